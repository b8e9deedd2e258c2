using System.CommandLine;
using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Cli;

/// <summary><c>emscan inspect</c>: what a file, a folder or this machine is, as emscan sees it.</summary>
internal sealed class InspectCommand
{
    private readonly Argument<string?> _path = new("path") { Description = "A GGUF model, a LoRA checkpoint, or a folder of checkpoints. Without it: the devices and the llama.cpp in use.", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> _llama = new SharedOptions().Llama;

    internal Command ToCommand()
    {
        var command = new Command("inspect", "Show what emscan sees in a model file, a checkpoint, a folder of checkpoints, or this machine.");
        command.Arguments.Add(_path);
        command.Options.Add(_llama);
        command.SetAction((parsed, _) => Runner.Run(() => Task.FromResult(Run(parsed))));
        return command;
    }

    private int Run(ParseResult parsed)
    {
        string? path = parsed.GetValue(_path);
        if (path == null) Machine(parsed.GetValue(_llama));
        else if (File.Exists(path) && GgufFile.Open(path) is var model && model.GetText("general.type") != "adapter") Model(path, model);
        else Checkpoints(path);
        return ExitCode.Success;
    }

    private static void Machine(string? llama)
    {
        LlamaLibrary library = LlamaLibrary.Load(llama);
        Console.Out.WriteLine($"llama.cpp {library.Version}, {library.Directory}");
        foreach (LlamaDevice device in library.Devices)
        {
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{device.Name,-10}{device.Description}, {device.MemoryBytes / (double)(1L << 30):0.0} GiB"));
        }
    }

    private static void Model(string path, GgufFile model)
    {
        GgufModelValidator.Validate(model);
        Console.Out.WriteLine($"{path}: GGUF model, {model.Tensors.Count} tensors");
        foreach ((string key, GgufValue value) in model.Metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            Console.Out.WriteLine($"  {key} = {Text(value)}");
    }

    private static string Text(GgufValue value)
    {
        if (value.IsArray) return $"[{value.Count} values]";
        if (value.ElementType != GgufValueType.Text) return value.ElementType == GgufValueType.Bool ? (value.AsNumber() != 0).ToString() : value.AsNumber().ToString("R", CultureInfo.InvariantCulture);
        string text = value.AsText().ReplaceLineEndings("\\n");
        return text.Length <= 100 ? text : text[..97] + "...";
    }

    private static void Checkpoints(string path)
    {
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(path);
        foreach (CheckpointRun run in found.Runs)
            Console.Out.WriteLine($"{run.Name}: {run.Checkpoints.Count} checkpoints, steps {string.Join(" ", run.Checkpoints.Select(c => c.Step))}");
        foreach (string remark in found.Remarks) Console.Out.WriteLine(remark);
    }
}
