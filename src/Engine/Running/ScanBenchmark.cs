using System.Diagnostics;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Running;

/// <summary>What to measure with.</summary>
internal sealed record BenchmarkOptions
{
    /// <summary>A checkpoint to measure with; null for a synthetic one.</summary>
    public string? Adapter { get; init; }

    /// <summary>Rank of the synthetic adapter.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>Times that emscan and the ceiling are measured, in turns; at least 5. Small models are measured more often.</summary>
    public int Rounds { get; init; } = 5;

    /// <summary>Time that may be spent measuring; where the whole prompt set does not fit, a part of it is measured and scaled up.</summary>
    public TimeSpan Budget { get; init; } = TimeSpan.FromSeconds(40);
}

/// <summary>Milliseconds that one checkpoint takes in one context, by stage; medians.</summary>
/// <param name="Load">Fingerprint, reading, converting and activating the adapter. In a scan this happens beside the rest.</param>
/// <param name="Decode">llama_decode without the two below.</param>
/// <param name="Capture">Getting at the rows.</param>
/// <param name="Kernel">Projection, norms and means.</param>
/// <param name="Journal">Putting the measurement on the disk. In a scan this happens beside the rest.</param>
internal sealed record CheckpointTime(double Load, double Decode, double Capture, double Kernel, double Journal)
{
    /// <summary>The parts that the processor or accelerator must do one after another.</summary>
    public double Measuring => Decode + Capture + Kernel;
}

/// <summary>What a scan of this model does on this machine.</summary>
/// <param name="Plan">The evaluation prompts at the measured layer.</param>
/// <param name="Layer">The measured layer.</param>
/// <param name="MeasuredPrompts">Prompts that were measured; where these are fewer than all, times are scaled up by the work left out.</param>
/// <param name="Adapter">The checkpoint, or null when it was a synthetic one.</param>
/// <param name="Rank">Rank of the synthetic adapter.</param>
/// <param name="Rounds">Rounds behind the medians.</param>
/// <param name="CheckpointsPerMinute">Of a whole scan, with all contexts.</param>
/// <param name="Contexts">Contexts that measure different checkpoints at the same time.</param>
/// <param name="ThreadsEach">Threads of each.</param>
/// <param name="Checkpoint">One checkpoint, by stage.</param>
/// <param name="RawPrefill">Milliseconds of a packed prefill of the same prompts by llama.cpp alone, in one such context: whole network, nothing shared.</param>
/// <param name="PeakBytes">Peak resident memory of the scan, the model's mapped pages included.</param>
/// <param name="ModelBytes">Size of the model file.</param>
/// <param name="Processors">Processors of the machine.</param>
/// <param name="IdleProcessors">Processors that were idle before the benchmark began; null where the system does not say.</param>
internal sealed record BenchmarkResult(
    PlanTotals Plan, int Layer, int MeasuredPrompts, string? Adapter, int Rank, int Rounds, double CheckpointsPerMinute, int Contexts, int ThreadsEach,
    CheckpointTime Checkpoint, double RawPrefill, long PeakBytes, long ModelBytes, int Processors, double? IdleProcessors)
{
    /// <summary>Prompt tokens measured in a second by one context.</summary>
    public double TokensPerSecond => Plan.PromptTokens / Checkpoint.Measuring * 1000;

    /// <summary>The time that the plan would take if every token-layer in it cost what it costs in the raw prefill, in milliseconds.</summary>
    public double IdealTime => RawPrefill * Plan.ShareOfPrefill;

    /// <summary>Ideal time divided by real time: 1 is the ceiling. Above 1 is possible, because the ideal includes a share of the vocabulary head.</summary>
    public double ShareOfCeiling => IdealTime / Checkpoint.Measuring;

    /// <summary>How many times faster than the raw prefill.</summary>
    public double Speedup => RawPrefill / Checkpoint.Measuring;

    /// <summary>Whether something else kept a quarter of a processor or more busy.</summary>
    public bool MachineWasBusy => IdleProcessors is { } idle && idle < Processors - 0.25;
}

/// <summary>Measures how fast a user's own model is scanned on the user's own machine, and against what llama.cpp alone needs.</summary>
internal static class ScanBenchmark
{
    private const int CalibrationTokens = 96;
    private const int LeastRounds = 5, MostRounds = 101;

    private static readonly TimeSpan LeastTime = TimeSpan.FromSeconds(3);

    /// <summary>Runs the benchmark.</summary>
    /// <param name="prepared">The model, with the prompts and options of a scan.</param>
    /// <param name="options">What to measure with.</param>
    /// <param name="progress">Told what is being measured.</param>
    /// <param name="cancellationToken">Checked between batches.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than 5 rounds, or a rank below 1.</exception>
    /// <exception cref="EmScanException">The model or the adapter cannot be used.</exception>
    public static async Task<BenchmarkResult> RunAsync(
        LoadedModel prepared, BenchmarkOptions options, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prepared);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Rounds, LeastRounds, nameof(options));
        double? idle = ThreadCount.IdleProcessors();
        string folder = Path.Combine(prepared.Cache, "bench", Guid.NewGuid().ToString("N"));
        try
        {
            Directory.CreateDirectory(folder);
            return await Measure(prepared, options, folder, idle, progress, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EmScanException($"{folder}: the benchmark cannot write here ({e.Message}); give another cache folder.", e);
        }
        finally
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<BenchmarkResult> Measure(
        LoadedModel prepared, BenchmarkOptions options, string folder, double? idle, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        GgufModel model = prepared.Model;
        LlamaActivationSource source = prepared.Source;
        (int contexts, int threads) = prepared.Parallel;
        source.Threads = threads;
        int layer = prepared.ChooseLayer();
        CapturePrompt[] all = prepared.EvaluationPrompts();
        CapturePlan whole = source.Plan(all, [layer]);

        progress?.Report(new ScanProgress("finding out how fast this machine is", 0, 0));
        double rate = TokenLayersPerSecond(source, all, layer, cancellationToken);

        // In every round the raw prefill and one checkpoint; before that, some checkpoints in a real scan.
        int scanned = Math.Max(4, 2 * contexts);
        double perPlan = ((options.Rounds + 1) * (whole.FullTokenLayers + whole.TokenLayers)) + ((double)scanned / contexts * whole.TokenLayers);
        int count = Math.Clamp((int)(all.Length * options.Budget.TotalSeconds * rate / perPlan), 1, all.Length);
        CapturePrompt[] prompts = all[..count];
        CapturePlan plan = source.Plan(prompts, [layer]);
        var definition = Definition(prepared, layer, prompts);

        progress?.Report(new ScanProgress("scanning", 0, 0));
        string[] adapters = [.. Enumerable.Range(0, scanned).Select(i => AdapterFile(model, options, folder, i))];
        double scanSeconds = await Scan(prepared, definition, adapters, contexts, threads, folder, cancellationToken).ConfigureAwait(false);
        using var self = Process.GetCurrentProcess();
        long peak = self.PeakWorkingSet64;

        using CellStore store = CellStore.Open(Path.Combine(folder, "rounds"));
        using var raw = new RawPrefill(model, prepared.Request.Capture with { Threads = threads }, prompts.Max(p => p.Tokens.Length));
        int[][] tokens = [.. prompts.Select(p => p.Tokens)];
        var rounds = new List<(CheckpointTime Ours, double Raw)>();
        AccumulatorSink sink = definition.Sink();
        var timed = new TimedSink(sink);
        long began = Stopwatch.GetTimestamp();
        for (int round = -1; round < options.Rounds || (round < MostRounds && Stopwatch.GetElapsedTime(began) < LeastTime); round++)
        {
            progress?.Report(new ScanProgress("measuring", Math.Clamp(round, 0, options.Rounds), options.Rounds));
            string path = adapters[Math.Max(0, round) % adapters.Length];
            CheckpointTime ours = OneCheckpoint(source, plan, path, sink, timed, store, $"round {round}", out ILoadedAdapter adapter, cancellationToken);
            using (adapter)
            {
                raw.SetAdapter(adapter);
                long start = Stopwatch.GetTimestamp();
                raw.Run(tokens, packed: true);
                double milliseconds = Milliseconds(start);
                raw.ClearAdapters();
                cancellationToken.ThrowIfCancellationRequested();
                if (round >= 0) rounds.Add((ours, milliseconds)); // The first one warms up.
            }
        }

        double scale = (double)whole.TokenLayers / plan.TokenLayers;
        var time = new CheckpointTime(
            Median(rounds.Select(r => r.Ours.Load)), scale * Median(rounds.Select(r => r.Ours.Decode)), scale * Median(rounds.Select(r => r.Ours.Capture)),
            scale * Median(rounds.Select(r => r.Ours.Kernel)), Median(rounds.Select(r => r.Ours.Journal)));
        return new BenchmarkResult(
            PlanTotals.Of([whole]), layer, count, options.Adapter, options.Rank, rounds.Count, scanned / (scanSeconds * scale) * 60, contexts, threads, time,
            Median(rounds.Select(r => r.Raw)) * whole.FullTokenLayers / plan.FullTokenLayers, peak, new FileInfo(model.FilePath).Length,
            Environment.ProcessorCount, idle);
    }

    private static double TokenLayersPerSecond(LlamaActivationSource source, CapturePrompt[] prompts, int layer, CancellationToken cancellationToken)
    {
        int count = 0;
        for (int tokens = 0; count < prompts.Length && tokens < CalibrationTokens; count++) tokens += prompts[count].Tokens.Length;
        CapturePlan plan = source.Plan(prompts[..count], [layer]);
        var nothing = new Discard();
        source.Capture(plan, nothing, cancellationToken); // Brings the weights into memory.
        long start = Stopwatch.GetTimestamp();
        source.Capture(plan, nothing, cancellationToken);
        return plan.TokenLayers / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<double> Scan(
        LoadedModel prepared, ScanDefinition definition, string[] adapters, int contexts, int threads, string folder, CancellationToken cancellationToken)
    {
        List<LlamaActivationSource> more = [];
        try
        {
            while (more.Count < contexts - 1) more.Add(new LlamaActivationSource(prepared.Model, prepared.Request.Capture with { Threads = threads }));
            using CellStore store = CellStore.Open(Path.Combine(folder, "scan"));
            var scanner = new Scanner([prepared.Source, .. more], definition, store);
            scanner.MeasureBase(cancellationToken);
            Checkpoint[] checkpoints = [.. adapters.Select((path, i) => new Checkpoint("bench", CheckpointStep.At(i + 1), path))];
            long start = Stopwatch.GetTimestamp();
            await foreach (ScanPoint point in scanner.ScanAsync(checkpoints, cancellationToken).ConfigureAwait(false))
            {
                if (point is FailedPoint failed) throw new EmScanException(failed.Error);
            }

            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        finally
        {
            foreach (LlamaActivationSource source in more) source.Dispose();
        }
    }

    private static CheckpointTime OneCheckpoint(
        LlamaActivationSource source, CapturePlan plan, string path, AccumulatorSink sink, TimedSink timed, CellStore store, string key,
        out ILoadedAdapter adapter, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        _ = AdapterFingerprint.Compute(path);
        adapter = source.LoadAdapter(path, plan.Layers[^1]);
        try
        {
            source.SetAdapters([new WeightedAdapter(adapter, 1)]);
            double load = Milliseconds(start);
            _ = timed.TakeTime();
            _ = source.TakeTimeInTap();
            start = Stopwatch.GetTimestamp();
            source.Capture(plan, timed, cancellationToken);
            double total = Milliseconds(start), tap = source.TakeTimeInTap().TotalMilliseconds, kernel = timed.TakeTime().TotalMilliseconds;
            source.SetAdapters([]);
            CellResult result = sink.Take();
            start = Stopwatch.GetTimestamp();
            store.Append([new StoredCell(CellKey.Of(key), 0, result)]);
            return new CheckpointTime(load, total - tap, tap - kernel, kernel, Milliseconds(start));
        }
        catch
        {
            source.SetAdapters([]);
            adapter.Dispose();
            throw;
        }
    }

    // Every checkpoint of the scan needs content of its own: equal ones are measured once.
    private static string AdapterFile(GgufModel model, BenchmarkOptions options, string folder, int index)
    {
        string path = Path.Combine(folder, $"adapter-{index}.gguf");
        if (options.Adapter == null)
        {
            LoraGgufWriter.Write(path, SyntheticAdapter.Create(model.File, options.Rank, index));
            return path;
        }

        LoraAdapter given = AdapterReader.Open(options.Adapter, model.File);
        float alpha = given.Alpha * (1 + (0.01f * index));
        LoraGgufWriter.Write(path, new LoraAdapter(given.Path, given.Architecture, alpha, given.Tensors));
        return path;
    }

    private static ScanDefinition Definition(LoadedModel prepared, int layer, CapturePrompt[] prompts)
    {
        // Directions do not have to mean anything to take their time.
        var random = new Random(1);
        IReadOnlyList<string> traits = prepared.Traits.TraitNames;
        float[] directions = new float[checked(traits.Count * prepared.Model.HiddenSize)];
        for (int i = 0; i < directions.Length; i++) directions[i] = (float)((2 * random.NextDouble()) - 1);
        return new ScanDefinition(prepared.Sha256, layer, traits, directions, prompts, $"benchmark, {prepared.NumericMode}");
    }

    private static double Milliseconds(long start) => Stopwatch.GetElapsedTime(start).TotalMilliseconds;

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private sealed class Discard : IHiddenStateSink
    {
        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) { }
    }
}
