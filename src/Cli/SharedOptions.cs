using System.CommandLine;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>Options that several commands have, and how they become an Engine request.</summary>
internal sealed class SharedOptions
{
    internal Option<string> Model { get; } = MadeOnce.Model();
    internal Option<string?> Traits { get; } = new("--traits") { Description = "Trait set, YAML. Default: traits.yaml beside the model if there is one, else the seven built-in traits.", HelpName = "FILE" };
    internal Option<int?> Layer { get; } = MadeOnce.Layer();
    internal Option<bool> Precise { get; } = new("--precise") { Description = "Exact mode: no flash attention, F32 KV cache. Errors near 1e-5 instead of 1e-3 of an activation's norm, at 0.7 x the speed." };
    internal Option<int> Threads { get; } = new CommonOption<int>("--threads", "-t") { Description = "CPU threads. Default: as many as there are idle processors; 1 for a model under 50M parameters.", HelpName = "N" }.Within(1, 512);
    internal Option<int> Parallel { get; } = new Option<int>("--parallel") { Description = "Checkpoints measured at the same time, each with its share of the threads. Default: 1 on a GPU; on a CPU 8 for a model under 50M parameters, 1 for width 2048 and more, else 2, if there are as many threads.", HelpName = "N" }.Within(1, 64);
    internal Option<int> BatchTokens { get; } = new Option<int>("--batch-tokens") { Description = "Tokens computed together. Default: 512, or 256 on a CPU for models of width 2048 and more.", HelpName = "N" }.Within(1, 65536);
    internal Option<int?> GpuLayers { get; } = new Option<int?>("--gpu-layers") { Description = "Blocks kept on the GPU; 0 means CPU only. Default: all, where llama.cpp finds a GPU.", HelpName = "N" }.Within(0, 9999);
    internal Option<string?> Device { get; } = new("--device") { Description = "Device to compute on, as 'emscan inspect' lists them (cpu, CUDA0, Vulkan0, ...).", HelpName = "NAME" };
    internal Option<string?> Llama { get; } = new("--llama") { Description = $"Folder with llama.cpp's shared libraries, instead of the ones shipped (also {LlamaLibrary.DirectoryVariable}).", HelpName = "DIR" };
    internal Option<string?> ChatTemplate { get; } = new("--chat-template") { Description = "Jinja chat template to use instead of the model's own: a file, or plain (base models), or chatml.", HelpName = "FILE" };
    internal Option<string> Method { get; } = Choice("--method", "How directions are extracted", [.. Enum.GetValues<DirectionMethod>().Select(m => m.ToName())], new ExtractionOptions().Method.ToName());
    internal Option<string> Pool { get; } = Choice("--pooling", "Which positions of a prompt make up its hidden state when directions are extracted", [.. Enum.GetValues<Pooling>().Select(p => p.ToName())], null, "what fits --place");
    internal Option<string> Place { get; } = Choice("--place", "Where hidden states are taken, in the evaluation prompts or in the base's own answers to them, which are then generated once", PlaceChoices, null, $"the calibration's; without one {Calibration.DefaultPlace.ToName()} to calibrate and evaluate, else {MeasuredPlace.LastPromptToken.ToName()}");

    internal static IReadOnlyList<string> PlaceChoices => [.. Enum.GetValues<MeasuredPlace>().Select(p => p.ToName())];
    internal Option<int> Seed { get; } = new Option<int>("--seed") { Description = "Seed of everything random: extraction, forests, bootstrap.", HelpName = "N", DefaultValueFactory = _ => new ExtractionOptions().Seed }.Within(int.MinValue, int.MaxValue);
    internal Option<string?> Cache { get; } = new("--cache") { Description = $"Folder for what can be computed again: directions, digests, measurements (also {CacheFolder.Variable}). Default: {CacheFolder.Usual}.", HelpName = "DIR" };
    internal Option<bool> Fresh { get; } = new("--fresh") { Description = "Compute all of it again: drop cached directions and measurements on record." };
    internal Option<bool> Verbose { get; } = new("--verbose", "-v") { Description = "Show llama.cpp's own messages on stderr." };

    private bool _saidWhereTheCacheIs;

    internal void AddModelOptions(Command command) => AddAll(command, Model, GpuLayers, Device, Threads, Llama, Verbose);

    /// <summary>All that a measurement depends on.</summary>
    /// <param name="command">Gets the options.</param>
    /// <param name="oneModel">False for commands that take several models, with a layer each, by options of their own.</param>
    /// <param name="onePlace">False for commands that take several places, by an option of their own.</param>
    internal void AddMeasurementOptions(Command command, bool oneModel = true, bool onePlace = true)
    {
        if (oneModel) AddAll(command, Model, Layer);
        if (onePlace) AddAll(command, Place);
        AddAll(command, Traits, Precise, Threads, BatchTokens, GpuLayers, Device, Llama, ChatTemplate, Method, Pool, Seed, Cache, Fresh, Verbose);
    }

    internal ModelOptions ToModelOptions(ParseResult parsed)
    {
        int? layers = parsed.GetValue(GpuLayers);
        return new ModelOptions { GpuLayers = layers ?? -1, Device = parsed.GetValue(Device), LlamaDirectory = parsed.GetValue(Llama) };
    }

    internal CaptureOptions ToCaptureOptions(ParseResult parsed)
    {
        int threads = parsed.GetValue(Threads), batch = parsed.GetValue(BatchTokens);
        return new CaptureOptions { Precise = parsed.GetValue(Precise), Threads = threads, BatchTokens = batch };
    }

    internal ScanRequest ToScanRequest(ParseResult parsed) => ToScanRequest(parsed, parsed.GetValue(Model)!, parsed.GetValue(Layer));

    internal ScanRequest ToScanRequest(ParseResult parsed, string model, int? layer) => new()
    {
        Model = model,
        TraitsFile = parsed.GetValue(Traits),
        Layer = layer,
        Place = PlaceNames.TryParse(parsed.GetValue(Place), out MeasuredPlace place) ? place : null,
        Extraction = ToExtractionOptions(parsed),
        ModelOptions = ToModelOptions(parsed),
        Capture = ToCaptureOptions(parsed),
        Parallel = parsed.GetValue(Parallel),
        ChatTemplate = parsed.GetValue(ChatTemplate),
        CacheFolder = ToCache(parsed),
        Recompute = parsed.GetValue(Fresh),
    };

    /// <summary>The folder asked for, once it is known that it can be written; null for the default, and a word when that is a makeshift.</summary>
    private string? ToCache(ParseResult parsed)
    {
        if (parsed.GetValue(Cache) is { } asked)
        {
            OutputPath.RequireFolder(asked, Cache.Name);
            return asked;
        }

        if (CacheFolder.Asked is { } variable) OutputPath.RequireFolder(variable, CacheFolder.Variable);
        else if (CacheFolder.Remark is { } remark && !_saidWhereTheCacheIs) Runner.Note($"{remark}, or give {Cache.Name} DIR.");
        _saidWhereTheCacheIs = true;
        return null;
    }

    private ExtractionOptions ToExtractionOptions(ParseResult parsed)
    {
        _ = ExtractionNames.TryParse(parsed.GetValue(Method), out DirectionMethod method);
        Pooling? pooling = ExtractionNames.TryParse(parsed.GetValue(Pool), out Pooling named) ? named : null;
        return new ExtractionOptions { Method = method, Pooling = pooling, Seed = parsed.GetValue(Seed) };
    }

    internal void ApplyLogging(ParseResult parsed) => LlamaLibrary.Log = parsed.GetValue(Verbose) ? Console.Error.Write : null;

    private static Option<string> Choice(string name, string what, IReadOnlyList<string> values, string? byDefault, string? words = null)
    {
        var option = new Option<string>(name) { Description = $"{what}: {string.Join(", ", values)}.{(words == null ? "" : $" Default: {words}.")}", HelpName = "NAME" };
        if (byDefault != null) option.DefaultValueFactory = _ => byDefault;
        option.AcceptOnlyFromAmong([.. values]);
        return option;
    }

    private static void AddAll(Command command, params Option[] options)
    {
        foreach (Option option in options) command.Options.Add(option);
    }
}

/// <summary>The command line asks for something that makes no sense; exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
