using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>A random model with random prompts of one length, half of which is common to all, measured at half depth.</summary>
internal sealed class RandomWorkload : Workload
{
    private const int Traits = 7;

    private RandomWorkload(Options options, string folder, GgufModel model, ScanDefinition definition, Checkpoint[] checkpoints)
        : base(options, folder, model, definition, checkpoints) { }

    internal override CaptureOptions SameBatches => Default with { BatchTokens = Options.BatchTokens };

    internal override int PerRound => 1;

    internal override string Description =>
        $"{Options.Prompts} prompts of {Options.PromptTokens} tokens, of which {Options.SharedTokens} are common to all; " +
        $"rank {Options.Rank} on q and v";

    /// <summary>Writes the model and its adapters.</summary>
    /// <exception cref="EmScanException">There is too little room.</exception>
    internal static RandomWorkload Create(Options options, string folder)
    {
        string path = WriteModel(options, folder);
        var model = GgufModel.Load(path, new ModelOptions { GpuLayers = 0 });
        var random = new Random(7);
        int[] head = Tokens(Options.SharedTokens);
        CapturePrompt[] prompts = [.. Enumerable.Range(0, options.Prompts)
            .Select(_ => CapturePrompt.Last([.. head, .. Tokens(Options.PromptTokens - Options.SharedTokens)]))];
        float[] directions = [.. Enumerable.Range(0, Traits * model.HiddenSize).Select(_ => (float)random.NextDouble())];
        string[] traits = [.. Enumerable.Range(0, Traits).Select(i => $"trait {i}")];
        var definition = new ScanDefinition(new string('0', 64), (model.LayerCount / 2) - 1, traits, directions, prompts, "bench");
        Checkpoint[] checkpoints = [.. Enumerable.Range(0, options.Checkpoints)
            .Select(i => new Checkpoint("bench", CheckpointStep.At(i), Path.Combine(folder, $"adapter-{i}.gguf")))];
        foreach ((int i, Checkpoint checkpoint) in checkpoints.Index())
            LoraGgufWriter.Write(checkpoint.Path, SyntheticAdapter.Create(model.File, options.Rank, i));
        return new RandomWorkload(options, folder, model, definition, checkpoints);

        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(1, options.Shape.Vocabulary))];
    }

    // A random model would speak at random too, and to the end: the longest answers there are, which take minutes to generate.
    internal override int[][] Answers(LlamaActivationSource source)
    {
        var random = new Random(11);
        return [.. Tokens.Select(_ => (int[])[.. Enumerable.Range(0, BaseAnswers.MaxTokens).Select(_ => random.Next(1, Options.Shape.Vocabulary))])];
    }

    private static string WriteModel(Options options, string folder)
    {
        // PyTorch's copies of the base are in float32 and bfloat16.
        double bytes = RandomModel.SizeOf(options.Shape) +
            (options.Shape.Parameters * ((options.Type?.BytesPerWeight ?? 0) + (options.Python != null ? 4 + 2 : 0)));
        long free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < 1.1 * bytes)
        {
            throw new EmScanException(
                Invariant($"{options.Folder}: {1.1 * bytes / 1e9:0.0} GB are needed for a model of this size, but only ") +
                Invariant($"{free / 1e9:0.0} GB are free; give another --folder or --size."));
        }

        string eight = Path.Combine(folder, "model-q8_0.gguf");
        Console.WriteLine($"writing a random llama of {options.Shape.Parameters / 1e6:0}M weights, Q8_0 ...");
        RandomModel.Write(eight, options.Shape, seed: 1);
        if (options.Type is not { } type) return eight;

        string path = Path.Combine(folder, "model.gguf");
        Console.WriteLine($"converting it to {type.Name} by llama.cpp, some 25 million weights a second and processor ...");
        Console.WriteLine($"tensors: {Quantizer.Convert(eight, path, type)}");
        File.Delete(eight);
        return path;
    }

    internal override async Task<(double Opening, double Checkpoints)> ScanAsync(Clock clock, int checkpoints)
    {
        double start = clock.Now;
        using GgufModel model = LoadModel();
        (int contexts, int threads) = ThreadCount.Split(Options.Threads, 0, model.ParameterCount, model.HiddenSize, onCpu: true);
        var sources = new LlamaActivationSource[contexts];
        for (int i = 0; i < contexts; i++) sources[i] = new LlamaActivationSource(model, Default with { Threads = threads });
        try
        {
            double loaded = clock.Now;
            (double opening, double measuring) = await ScanAsync(clock, sources, checkpoints);
            return (loaded - start + opening, measuring);
        }
        finally
        {
            foreach (LlamaActivationSource source in sources) source.Dispose();
        }
    }

    public override void Dispose() => Model.Dispose();
}
