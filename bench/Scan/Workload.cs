using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Bench.Scan;

/// <summary>What is measured: a model, prompts, a layer, checkpoints.</summary>
internal abstract class Workload : IDisposable
{
    protected Workload(Options options, string folder, GgufModel model, ScanDefinition definition, Checkpoint[] checkpoints)
    {
        Options = options;
        Folder = folder;
        Model = model;
        Definition = definition;
        Checkpoints = checkpoints;
        Tokens = [.. definition.Prompts.Select(p => p.Tokens)];
        Longest = Tokens.Max(t => t.Length);
    }

    internal Options Options { get; }

    /// <summary>Where files may be written.</summary>
    internal string Folder { get; }

    internal GgufModel Model { get; }

    internal ScanDefinition Definition { get; }

    internal Checkpoint[] Checkpoints { get; }

    /// <summary>Token ids of the prompts, P x T.</summary>
    internal int[][] Tokens { get; }

    /// <summary>Tokens of the longest prompt.</summary>
    internal int Longest { get; }

    /// <summary>What a scan has by default.</summary>
    internal CaptureOptions Default => new() { Threads = Options.Threads };

    /// <summary>The same batches as raw packed decoding, where the two are compared token by token.</summary>
    internal abstract CaptureOptions SameBatches { get; }

    /// <summary>Checkpoints in a round of what takes long.</summary>
    internal abstract int PerRound { get; }

    /// <summary>One line about the prompts and adapters.</summary>
    internal abstract string Description { get; }

    /// <summary>Answers to the prompts, as token ids, (P).</summary>
    /// <param name="source">Can generate them, without an adapter.</param>
    internal abstract int[][] Answers(LlamaActivationSource source);

    /// <summary>A scan as a user has it, from loading the model to the last record on the disk.</summary>
    /// <param name="clock">What time is taken with.</param>
    /// <param name="checkpoints">How many checkpoints.</param>
    /// <returns>Milliseconds until the base is measured, and milliseconds of all checkpoints.</returns>
    internal abstract Task<(double Opening, double Checkpoints)> ScanAsync(Clock clock, int checkpoints);

    /// <summary>Loads the base once more.</summary>
    internal GgufModel LoadModel(bool copied = false) =>
        GgufModel.Load(Model.FilePath, new ModelOptions { GpuLayers = 0, CopyWeights = copied });

    /// <summary>A checkpoint as a LoRA GGUF file, converted when it is none.</summary>
    internal string AdapterGguf(int index)
    {
        string path = Checkpoints[index].Path;
        if (File.Exists(path) && Path.GetExtension(path) == ".gguf") return path;
        string converted = Path.Combine(Folder, $"adapter-{index}.gguf");
        if (!File.Exists(converted)) LoraGgufWriter.Write(converted, AdapterReader.Open(path, Model.File));
        return converted;
    }

    /// <summary>Measures the base, and then checkpoints.</summary>
    /// <returns>Milliseconds until the base is measured, and milliseconds of all checkpoints.</returns>
    internal async Task<(double Opening, double Checkpoints)> ScanAsync(Clock clock, IActivationSource[] sources, int checkpoints)
    {
        double start = clock.Now;
        using var store = CellStore.Open(Path.Combine(Folder, "cells"), fresh: true);
        var scanner = new Scanner(sources, Definition, store);
        scanner.MeasureBase();
        double opened = clock.Now;
        await Finish(scanner, Checkpoints[..checkpoints]);
        return (opened - start, clock.Now - opened);
    }

    /// <summary>Runs a scan to its end.</summary>
    /// <exception cref="LlamaException">A checkpoint cannot be measured.</exception>
    protected static async Task Finish(Scanner scanner, Checkpoint[] checkpoints)
    {
        await foreach (ScanPoint point in scanner.ScanAsync(checkpoints))
        {
            if (point is FailedPoint failed) throw new LlamaException(failed.Error);
        }
    }

    public abstract void Dispose();
}
