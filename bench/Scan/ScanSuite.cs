using System.Diagnostics;
using System.Globalization;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Scanning;
using EmScan.Kernels;

namespace EmScan.Bench.Scan;

/// <summary>Measures a scan against what llama.cpp does without emscan, and against its own plan.</summary>
internal sealed class ScanSuite : IDisposable
{
    private const int Traits = 7;
    private const int ReferenceRounds = 3;
    private const int ReferenceCheckpoints = 50;

    private readonly Options _options;
    private readonly string _path;
    private readonly string _folder;
    private readonly GgufModel _model;
    private readonly CapturePrompt[] _prompts;
    private readonly int[][] _tokens;
    private readonly ScanDefinition _definition;
    private readonly Checkpoint[] _checkpoints;

    internal ScanSuite(Options options, string path)
    {
        _options = options;
        _path = path;
        _folder = Path.GetDirectoryName(path)!;
        _model = Load();
        var random = new Random(7);
        int[] head = Tokens(options.SharedTokens);
        _tokens = [.. Enumerable.Range(0, options.Prompts).Select(_ => (int[])[.. head, .. Tokens(options.PromptTokens - options.SharedTokens)])];
        _prompts = [.. _tokens.Select(CapturePrompt.Last)];
        float[] directions = [.. Enumerable.Range(0, Traits * _model.HiddenSize).Select(_ => (float)random.NextDouble())];
        _definition = new ScanDefinition(new string('0', 64), (_model.LayerCount / 2) - 1, [.. Enumerable.Range(0, Traits).Select(i => $"trait {i}")], directions, _prompts, "bench");
        _checkpoints = [.. Enumerable.Range(0, options.Checkpoints).Select(i => new Checkpoint("bench", CheckpointStep.At(i), Path.Combine(_folder, $"adapter-{i}.gguf")))];
        foreach ((int i, Checkpoint checkpoint) in _checkpoints.Index())
            LoraGgufWriter.Write(checkpoint.Path, SyntheticAdapter.Create(_model.File, options.Rank, i));

        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(1, options.Shape.Vocabulary))];
    }

    // What is compared with raw decoding on the same tokens has the same batches; everything else has what a scan has by default.
    private CaptureOptions Default => new() { Threads = _options.Threads };

    private CaptureOptions SameBatches => Default with { BatchTokens = _options.BatchTokens };

    internal async Task RunAsync()
    {
        Console.WriteLine($"{_model.Description}, {_model.LayerCount} layers, hidden size {_model.HiddenSize}; {_model.Device.Description}; llama.cpp {LlamaLibrary.SupportedVersion}; {DateTime.UtcNow:yyyy-MM-dd}");
        Console.WriteLine($"{_options.Prompts} prompts of {_options.PromptTokens} tokens, of which {_options.SharedTokens} are common to all; rank {_options.Rank} on q and v; {_options.Threads} thread(s) unless it says otherwise");
        WarnIfBusy();
        Console.WriteLine();

        (long oneContext, long twoTogether) = await Memory();
        var single = new Samples("(a) llama_decode, one prompt at a time", _options.CpuTime);
        var packed = new Samples("(b) llama_decode, packed", _options.CpuTime);
        var tapped = new Samples("(c) emscan, the same batches, every layer tapped", _options.CpuTime);
        var inputs = new Samples("    llama_decode, packed, copying the input of every block itself", _options.CpuTime);
        var scan = new Samples("(d) emscan, half depth, common tokens shared", _options.CpuTime);
        var kernel = new Samples("    of which kernels");
        var capture = new Samples("    of which getting at the rows");
        var load = new Samples("    loading and activating a checkpoint");
        PlanTotals plan = Depths(single, packed, tapped, inputs, scan, kernel, capture, load);

        Table([single, packed, tapped, inputs, scan, kernel, capture, load]);

        var reference = new Samples("(e) a checkpoint the reference's way: base loaded anew, one by one", _options.CpuTime);
        for (int round = 0; round < ReferenceRounds; round++) reference.Time(() => ReferenceWay(round));
        Table([reference]);

        var one = new Samples($"(f) {_checkpoints.Length} checkpoints, 1 context, 1 thread");
        var twoThreads = new Samples($"    {_checkpoints.Length} checkpoints, 1 context, 2 threads");
        var twoContexts = new Samples($"    {_checkpoints.Length} checkpoints, 2 contexts, 1 thread each");
        if (!_options.CpuTime)
        {
            await Cores(one, twoThreads, twoContexts);
            Table([one, twoThreads, twoContexts]);
        }

        double ideal = packed.Median * plan.ShareOfPrefill;
        double ours50 = ReferenceCheckpoints + 1; // And the base, once.
        Console.WriteLine();
        Console.WriteLine("| claim | target | this run |");
        Console.WriteLine("|---|---:|---:|");
        Row("full depth, every layer tapped, over raw packed prefill", "<= 1.02", tapped.Over(packed));
        Row("block inputs copied by llama.cpp, over raw packed prefill", "", inputs.Over(packed));
        Row($"scan over the ideal of its plan ({100 * plan.ShareOfPrefill:0.0}% of the prefill, {ideal:0} ms)", "<= 1.10", scan.Over(packed) / plan.ShareOfPrefill);
        Row("raw packed prefill over scan", ">= 3.4", packed.Over(scan));
        Row("one prompt at a time over scan", ">= 4.2", single.Over(scan));
        Row($"reference's way over emscan, {ReferenceCheckpoints} checkpoints, same threads", ">= 20", ReferenceCheckpoints * reference.Median / (ours50 * scan.Median));
        if (!_options.CpuTime)
        {
            Row("one core over two, as two contexts", ">= 1.9", one.Over(twoContexts));
            Row("one core over two, as two threads in one context", "(1.85)", one.Over(twoThreads));
        }

        Row("loading a checkpoint over measuring it, % (beside the measuring)", "< 3", 100 * load.Over(scan));
        Row("kernels over measuring, %", "<= 1", 100 * kernel.Over(scan));
        if (oneContext > 0)
        {
            Row("resident memory besides the mapped model, one context, MB", "<= 200", oneContext / 1e6);
            Row("resident memory besides the mapped model, two contexts, MB", "<= 200", twoTogether / 1e6);
        }

        WarnIfBusy();

        static void Row(string what, string target, double value) =>
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what,-84} | {target,8} | {value,8:0.000} |"));
    }

    // As soon as it is known: on a slow machine somebody may lose patience.
    private static void Table(Samples[] rows)
    {
        Console.WriteLine();
        Console.WriteLine("| what | median ms | range | rounds |");
        Console.WriteLine("|---|---:|---:|---:|");
        foreach (Samples samples in rows) Console.WriteLine(samples);
        Console.WriteLine();
    }

    // What a scan keeps beside the pages of the model file: 0 where the system does not say.
    private async Task<(long One, long Two)> Memory()
    {
        using LlamaActivationSource a = new(_model, Default), b = new(_model, Default);
        await Scan([a], _checkpoints[..2]);
        long one = AnonymousBytes();
        await Scan([a, b], _checkpoints);
        return (one, AnonymousBytes());

        static long AnonymousBytes() => !OperatingSystem.IsLinux() ? 0 : File.ReadLines("/proc/self/status")
            .Where(line => line.StartsWith("RssAnon:", StringComparison.Ordinal))
            .Select(line => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024)
            .FirstOrDefault();
    }

    private PlanTotals Depths(Samples single, Samples packed, Samples tapped, Samples inputs, Samples scan, Samples kernel, Samples capture, Samples load)
    {
        using var raw = new RawPrefill(_model, SameBatches, _options.PromptTokens);
        using var copying = new RawPrefill(_model, SameBatches, _options.PromptTokens);
        for (int block = 1; copying.CanCopyLayerInputs && block < _model.LayerCount; block++) copying.CopyLayerInput(block);
        using var plain = new LlamaActivationSource(_model, SameBatches with { SharePrefixes = false });
        using var source = new LlamaActivationSource(_model, Default);
        CapturePlan everything = plain.Plan(_prompts, [.. Enumerable.Range(0, _model.LayerCount)]), plan = source.Plan(_prompts, [_definition.Layer]);
        MeasurementShape shape = _definition.Shape;
        var sink = new MeasurementSink(KernelSets.Default, _definition.DirectionArray, shape.Traits, shape.HiddenSize, shape.Prompts);
        var timed = new TimedSink(sink);
        for (int round = -1; round < _options.Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            string path = _checkpoints[(round + 1) % _checkpoints.Length].Path;
            long loading = Stopwatch.GetTimestamp();
            _ = AdapterFingerprint.Compute(path);
            using ILoadedAdapter adapter = source.LoadAdapter(path, _definition.Layer);
            source.SetAdapters([new WeightedAdapter(adapter, 1)]);
            double loaded = Stopwatch.GetElapsedTime(loading).TotalMilliseconds;
            using ILoadedAdapter all = source.LoadAdapter(path);
            plain.SetAdapters([new WeightedAdapter(all, 1)]);
            raw.SetAdapter(all);
            copying.SetAdapter(all);

            bool counts = round >= 0; // The first round warms up.
            Measure(counts, single, () => raw.Run(_tokens, packed: false));
            Measure(counts, packed, () => raw.Run(_tokens, packed: true));
            Measure(counts, tapped, () => plain.Capture(everything, sink));
            if (copying.CanCopyLayerInputs) Measure(counts, inputs, () => copying.Run(_tokens, packed: true));
            _ = source.TakeTimeInTap();
            _ = timed.TakeTime();
            Measure(counts, scan, () => source.Capture(plan, timed));
            if (counts)
            {
                double kernels = timed.TakeTime().TotalMilliseconds;
                kernel.Add(kernels);
                capture.Add(source.TakeTimeInTap().TotalMilliseconds - kernels);
                load.Add(loaded);
            }

            source.SetAdapters([]);
            plain.SetAdapters([]);
            raw.ClearAdapters();
            copying.ClearAdapters();
            Console.WriteLine($"depth and sharing, round {round + 1} of {_options.Rounds}: {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        }

        return PlanTotals.Of([plan]);

        static void Measure(bool counts, Samples samples, Action work)
        {
            if (counts) samples.Time(work);
            else work();
        }
    }

    private async Task Cores(Samples one, Samples twoThreads, Samples twoContexts)
    {
        using LlamaActivationSource a = Source(1), b = Source(1), both = Source(2);
        for (int round = -1; round < _options.Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            await Time(one, [a]);
            await Time(twoThreads, [both]);
            await Time(twoContexts, [a, b]);
            Console.WriteLine($"cores, round {round + 1} of {_options.Rounds}: {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");

            async Task Time(Samples samples, IActivationSource[] sources)
            {
                if (round < 0) await Scan(sources, _checkpoints[..1]);
                else await Scan(sources, _checkpoints, samples);
            }
        }

        LlamaActivationSource Source(int threads) => new(_model, Default with { Threads = threads });
    }

    private async Task Scan(IActivationSource[] sources, Checkpoint[] checkpoints, Samples? samples = null)
    {
        using RunJournal journal = RunJournal.Open(Path.Combine(_folder, "journal"), _definition.Fingerprint, _definition.Shape, fresh: true);
        var scanner = new Scanner(sources, _definition, journal);
        scanner.MeasureBase();
        await (samples ?? new Samples("untimed")).TimeAsync(async () =>
        {
            await foreach (ScanPoint point in scanner.ScanAsync(checkpoints))
            {
                if (point.Error != null) throw new LlamaException(point.Error);
            }
        });
    }

    // Whole network, nothing shared, nothing kept from one checkpoint to the next. It is spared the capture.
    private void ReferenceWay(int round)
    {
        using GgufModel model = Load();
        using var raw = new RawPrefill(model, SameBatches, _options.PromptTokens);
        using var source = new LlamaActivationSource(model, Default);
        using ILoadedAdapter adapter = source.LoadAdapter(_checkpoints[round % _checkpoints.Length].Path);
        raw.SetAdapter(adapter);
        raw.Run(_tokens, packed: false);
        raw.ClearAdapters();
    }

    private GgufModel Load() => GgufModel.Load(_path, new ModelOptions { GpuLayers = 0 });

    private static void WarnIfBusy()
    {
        if (ThreadCount.IdleProcessors() is { } idle && idle < Environment.ProcessorCount - 0.25)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"NOTE: the machine is busy ({idle:0.0} of {Environment.ProcessorCount} processors idle); only a quiet one gives figures to go by."));
    }

    public void Dispose() => _model.Dispose();
}
