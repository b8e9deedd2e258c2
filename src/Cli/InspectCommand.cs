using System.CommandLine;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Cli;

/// <summary><c>emscan inspect</c>: what a file, a folder or this machine is, as emscan sees it.</summary>
internal sealed class InspectCommand
{
    private readonly Argument<string?> _path = new("path") { Description = "Any file or folder: a GGUF model, a LoRA checkpoint, a folder of checkpoints, directions, a calibration, ... Without it: the devices and the llama.cpp in use.", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string> _model = MadeOnce.Model();
    private readonly Option<int?> _layer = MadeOnce.Layer();
    private readonly Option<bool> _json = MadeOnce.Json();
    private readonly Option<string?> _llama = new SharedOptions().Llama;

    internal Command ToCommand()
    {
        var command = new Verb("inspect", "Show what emscan sees in a file, a folder of checkpoints, or this machine. With --model: also which share of each adapter the measured layer can see. --json is of checkpoints.", "emscan inspect ./lora --model model.gguf");
        _model.Required = false;
        command.Arguments.Add(_path);
        command.Options.Add(_model);
        command.Options.Add(_layer);
        command.Options.Add(_json);
        command.Options.Add(_llama);
        command.SetAction((parsed, _) => Runner.Run(() => Task.FromResult(Run(parsed))));
        return command;
    }

    private int Run(ParseResult parsed)
    {
        string? path = parsed.GetValue(_path);
        if (path == null) Machine(parsed.GetValue(_llama));
        else if (Directory.Exists(path) || RecognisedFile.Of(path).Kind is FileKind.LoraGguf or FileKind.AdapterWeights or FileKind.AdapterConfig or FileKind.Archive)
            return InspectAdapters.Print(Console.Out, path, Layer(parsed), parsed.GetValue(_json));
        else Thing(path);
        return ExitCode.Success;
    }

    private int? Layer(ParseResult parsed)
    {
        int? layer = parsed.GetValue(_layer);
        if (parsed.GetValue(_model) is not { } model) return layer;
        InputUse.Model.Require(model);
        long count = GgufFile.Open(model).BlockCount;
        return layer < count || layer == null ? layer ?? (int)(count / 2) : throw new UsageException($"--layer must be between 0 and {count - 1} for {model}.");
    }

    /// <summary>A file, whatever it is: what can be given to emscan is opened and checked, the rest is called what it is.</summary>
    private static void Thing(string path)
    {
        InputUse.Anything.Require(path);
        RecognisedFile found = RecognisedFile.Of(path);
        switch (found.Kind)
        {
            case FileKind.Model:
                Model(path, GgufFile.Open(path));
                break;
            case FileKind.Directions:
                var directions = DirectionSet.Load(path);
                Console.Out.WriteLine($"{Printable.Of(path)}: trait directions, hidden size {directions.HiddenSize}, layers {string.Join(' ', directions.Layers)}, traits {string.Join(", ", directions.Traits)}");
                break;
            case FileKind.ControlVector:
                var vector = ControlVectorFile.Read(path);
                Console.Out.WriteLine($"{Printable.Of(path)}: {found.What}, hidden size {vector.Layers.First().Value.Length}, layers {string.Join(' ', vector.Layers.Keys)}"
                    + $"{(string.IsNullOrEmpty(vector.ModelHint) ? "" : $", for \"{Printable.Of(vector.ModelHint)}\"")}{(vector.Texts.TryGetValue("trait", out string? trait) ? $", trait {Printable.Of(trait)}" : "")}");
                break;
            case FileKind.Calibration:
                var calibration = CalibrationFile.Read(path);
                Console.Out.WriteLine($"{Printable.Of(path)}: calibration, {calibration.Detector.Features.Title}, {calibration.Detector.Learner.Title}, layer {calibration.Base.Layer} of {calibration.Base.LayerCount}, "
                    + $"from {calibration.Set.Checkpoints} checkpoints of {calibration.Set.Runs} runs, traits {string.Join(", ", calibration.Base.Traits)}");
                break;
            case FileKind.Labels:
                var labels = LabelFile.Read(path);
                int runs = labels.Labels.Select(l => l.Run).Distinct().Count();
                Console.Out.WriteLine($"{Printable.Of(path)}: labels of {labels.Labels.Count} {(labels.Labels.Count == 1 ? "checkpoint" : "checkpoints")} in {runs} {(runs == 1 ? "run" : "runs")}");
                break;
            case FileKind.Traits:
                var traits = TraitSet.Load(path);
                Console.Out.WriteLine($"{Printable.Of(path)}: trait set {traits.Name}, {traits.EvalPrompts.Count} evaluation prompts, traits {string.Join(", ", traits.TraitNames)}");
                foreach (string remark in traits.Remarks) Runner.Note(remark);
                break;
            case FileKind.Unknown:
                // Damaged: its reader says what is wrong.
                if (Path.GetExtension(path).Equals(".safetensors", StringComparison.OrdinalIgnoreCase)) SafetensorsFile.Open(path).Dispose();
                else if (Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase)) _ = GgufFile.Open(path);
                throw new InputFileException(path, $"is {found.What}");
            default:
                Console.Out.WriteLine($"{Printable.Of(path)}: {found.What}");
                break;
        }
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
        Console.Out.WriteLine($"{Printable.Of(path)}: GGUF model, {model.Tensors.Count} tensors");
        foreach ((string key, GgufValue value) in model.Metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            Console.Out.WriteLine($"  {Printable.Of(key)} = {Text(value)}");
    }

    private static string Text(GgufValue value)
    {
        if (value.IsArray) return $"[{value.Count} values]";
        if (value.ElementType != GgufValueType.Text) return value.ElementType == GgufValueType.Bool ? (value.AsNumber() != 0).ToString() : value.AsNumber().ToString("R", CultureInfo.InvariantCulture);
        string text = Printable.Of(value.AsText());
        return text.Length <= 100 ? text : text[..97] + "...";
    }
}
