using EmScan.Engine;
using EmScan.Engine.Runtime;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>
/// A scan of 50 checkpoints against the way the paper's pipeline works: base loaded anew for every checkpoint, one prompt at a time, whole
/// network. With this same engine made to work that way, and with PyTorch on the same weights; and step by step from there to emscan.
/// </summary>
internal sealed class ReferencePart(Workload workload, Clock clock)
{
    private const int Checkpoints = 50;

    // ggml rounds the activations to 8 bits before it multiplies by Q8_0 weights, which moves a hidden state by 1 to 2% (with F32 weights
    // the difference is 0.02%); bfloat16 moves it by about as much again.
    private static readonly (string Precision, double Tolerance)[] Precisions = [("float32", 4e-2), ("bfloat16", 6e-2)];

    private readonly Way _reference = new("this engine, the reference's way (R)");
    private readonly Way _copied = new("  R, but weights copied into memory instead of mapped");
    private readonly Way _everyLogit = new("  R, but vocabulary head for every token");
    private readonly Way _kept = new("base kept; one prompt at a time, whole network");
    private readonly Way _packed = new("  and prompts packed");
    private readonly Way _stopped = new("  and stopped after the measured layer");
    private readonly Way _shared = new("  and common beginnings shared");
    private readonly Way _scan = new("emscan: a whole scan");

    private static string Choices =>
        $"""
        One measurement, the base or a checkpoint; {Checkpoints} checkpoints and the base are {Checkpoints + 1} on either side. The same
        threads. Warm file cache. Choices, each the kinder one to the reference: one process for everything, already running, nothing of its
        start counted; the base mapped, not copied (copied, llama.cpp without mmap, is in a line of its own; what its CPU code repacks at
        loading, it repacks in both); a context no larger than the longest prompt; vocabulary head for the last token only (transformers
        computes it for all: in a line of its own); no hidden state read out. Trait directions are at hand on both sides. The whole scan
        includes loading the model, the base's measurement, adapters, journal.
        """;

    /// <summary>Runs it all.</summary>
    /// <exception cref="EmScanException">PyTorch computes something else.</exception>
    internal async Task RunAsync()
    {
        Console.WriteLine(Choices);
        using PyTorchReference? python = workload.Options.Python is { } path ? PyTorchReference.Start(path, workload) : null;
        Way[] torch = python == null ? [] : [.. Precisions.Select(p => Verified(python, p.Precision, p.Tolerance))];
        Console.WriteLine(python == null
            ? "PyTorch was not run; --pytorch PYTHON does."
            : Invariant($"Starting Python and importing torch, {python.StartTime:0} ms, is not counted."));
        Console.WriteLine();

        using var raw = new RawPrefill(workload.Model, workload.Default, workload.Longest);
        using var unshared = new LlamaActivationSource(workload.Model, workload.Default with { SharePrefixes = false });
        using var source = new LlamaActivationSource(workload.Model, workload.Default);
        int layer = workload.Definition.Layer;
        CapturePlan apart = unshared.Plan(workload.Definition.Prompts, [layer]), plan = source.Plan(workload.Definition.Prompts, [layer]);
        var nothing = new Discard();
        var wall = new Clock(cpuTime: false);
        for (int round = -1; round < workload.Options.Rounds; round++)
        {
            double start = wall.Now;
            bool counts = round >= 0; // The first round warms up, with one checkpoint.
            int[] indices = workload.PerRound == 1 || !counts
                ? [(round + 1) % workload.Checkpoints.Length]
                : [.. Enumerable.Range(0, workload.PerRound)];
            foreach ((Way way, (string precision, _)) in torch.Zip(Precisions))
                way.Add(counts, indices.Select(i => python!.Measure(precision, i, clock)));
            _reference.Add(counts, indices.Select(i => TheirWay(i, copied: false, everyLogit: false)));
            _copied.Add(counts, indices.Select(i => TheirWay(i, copied: true, everyLogit: false)));
            _everyLogit.Add(counts, indices.Select(i => TheirWay(i, copied: false, everyLogit: true)));
            _kept.Add(counts, indices.Select(i => Raw(i, packed: false)));
            _packed.Add(counts, indices.Select(i => Raw(i, packed: true)));
            _stopped.Add(counts, indices.Select(i => Captured(unshared, apart, i)));
            _shared.Add(counts, indices.Select(i => Captured(source, plan, i)));

            int scanned = counts ? workload.Checkpoints.Length : 1;
            (double opening, double checkpoints) = await workload.ScanAsync(clock, scanned);
            _scan.Add(counts, [(opening / (Checkpoints + 1), checkpoints / scanned * Checkpoints / (Checkpoints + 1))]);
            Report.Round("the reference's way", round, workload.Options.Rounds, wall.Now - start);
        }

        Times([.. torch, _reference, _copied, _everyLogit, _kept, _packed, _stopped, _shared, _scan]);
        Report.Claims(Claims(torch, PlanTotals.Of([plan])));

        (double, double) Raw(int index, bool packed) => Timed(index, source, workload.Model.LayerCount - 1, adapter =>
        {
            raw.SetAdapter(adapter);
            raw.Run(workload.Tokens, packed);
            raw.ClearAdapters();
        });

        (double, double) Captured(LlamaActivationSource from, CapturePlan how, int index) => Timed(index, from, layer, adapter =>
        {
            from.SetAdapters([new WeightedAdapter(adapter, 1)]);
            from.Capture(how, nothing);
            from.SetAdapters([]);
        });
    }

    private static Way Verified(PyTorchReference python, string precision, double tolerance)
    {
        (double same, double without) = python.LargestDifference(precision);
        string figure =
            Invariant($"PyTorch {python.Version}, {precision}: the worst hidden state differs from emscan's by {same:0.0000} ") +
            Invariant($"of its norm (at most {tolerance}; by {without:0.00} if emscan leaves the adapter out)");
        if (same > tolerance || without < 3 * tolerance)
            throw new EmScanException($"{figure}: this is not the same work, and is not compared.");
        Console.WriteLine(figure + ".");
        return new Way($"PyTorch {python.Version}, {precision}, the reference's way");
    }

    private (double Load, double Forward) TheirWay(int index, bool copied, bool everyLogit)
    {
        double start = clock.Now;
        using GgufModel model = workload.LoadModel(copied);
        using var raw = new RawPrefill(model, workload.Default with { BatchTokens = 1 }, workload.Longest) { EveryLogit = everyLogit };
        using var source = new LlamaActivationSource(model, workload.Default);
        using ILoadedAdapter adapter = source.LoadAdapter(workload.Checkpoints[index].Path);
        raw.SetAdapter(adapter);
        double loaded = clock.Now;
        raw.Run(workload.Tokens, packed: false);
        double computed = clock.Now;
        raw.ClearAdapters();
        return (loaded - start, computed - loaded);
    }

    private (double Load, double Forward) Timed(int index, LlamaActivationSource source, int lastLayer, Action<ILoadedAdapter> work)
    {
        double start = clock.Now;
        using ILoadedAdapter adapter = source.LoadAdapter(workload.Checkpoints[index].Path, lastLayer);
        double loaded = clock.Now;
        work(adapter);
        return (loaded - start, clock.Now - loaded);
    }

    private void Times(Way[] ways)
    {
        Console.WriteLine();
        Console.WriteLine("| one measurement, ms | load | compute | both | range | rounds | x emscan |");
        Console.WriteLine("|---|---:|---:|---:|---:|---:|---:|");
        foreach (Way way in ways)
        {
            Samples s = way.Total;
            Console.WriteLine(
                Invariant($"| {way.Name,-60} | {way.Load.Median,8:0.0} | {way.Compute.Median,8:0.0} | {s.Median,8:0.0} ") +
                Invariant($"| {s.Least,8:0.0} to {s.Most,8:0.0} | {s.Count} | {s.Over(_scan.Total),6:0.00} |"));
        }

        Console.WriteLine();
    }

    private IEnumerable<(string What, string Target, double Value)> Claims(Way[] torch, PlanTotals plan)
    {
        Samples all = _reference.Total, scan = _scan.Total;
        yield return ($"reference's way over emscan, {Checkpoints} checkpoints", ">= 20", all.Over(scan));
        yield return ("  of which: base kept", "", all.Over(_kept.Total));
        yield return ("  of which: prompts packed", "", _kept.Total.Over(_packed.Total));
        yield return ($"  of which: stopped after {plan.LayersRun} of {plan.LayerCount} layers", "", _packed.Total.Over(_stopped.Total));
        yield return ($"  of which: {plan.SharedTokens} of {plan.PromptTokens} tokens shared", "", _stopped.Total.Over(_shared.Total));
        yield return ("  of which: a scan (loading, base, journal; several contexts) instead of its parts", "", _shared.Total.Over(scan));
        double share = plan.ShareOfPrefill, less = ShareOfProducts(plan);
        yield return (Invariant($"most a plan could give: {100 * share:0.0}% of the token-layers, packed, all else free"), "", Most(share));
        yield return (Invariant($"  and with feed-forward of the last layer for wanted rows only: {100 * less:0.0}%"), "", Most(less));
        foreach (Way way in torch) yield return ($"{way.Name} over emscan", "", way.Total.Over(scan));

        double Most(double part) => all.Over(_packed.Compute) / part;
    }

    /// <summary>
    /// The part of a prefill's products, without the vocabulary head, that is left if the last computed block runs its feed-forward
    /// matrices for the wanted rows only, as a scan does.
    /// </summary>
    private double ShareOfProducts(PlanTotals plan)
    {
        double attention = Weights("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output");
        double forward = Weights("ffn_gate", "ffn_up", "ffn_down");
        double last = ((plan.Tokens * attention) + (plan.Rows * forward)) / (attention + forward);
        return ((plan.Tokens * (plan.LayersRun - 1.0)) + last) / plan.FullTokenLayers;

        double Weights(params string[] names) =>
            names.Sum(n => workload.Model.File.Tensors.GetValueOrDefault($"blk.0.{n}.weight")?.ElementCount ?? 0.0);
    }

    /// <summary>One way to measure.</summary>
    private sealed class Way(string name)
    {
        internal string Name => name;

        internal Samples Load { get; } = new(name);

        internal Samples Compute { get; } = new(name);

        internal Samples Total { get; } = new(name);

        /// <summary>Takes the times of a round, each of one measurement.</summary>
        internal void Add(bool counts, IEnumerable<(double Load, double Compute)> times)
        {
            (double Load, double Compute)[] all = [.. times];
            if (!counts) return;
            Load.Add(all.Average(t => t.Load));
            Compute.Add(all.Average(t => t.Compute));
            Total.Add(all.Average(t => t.Load + t.Compute));
        }
    }

    private sealed class Discard : IHiddenStateSink
    {
        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) { }
    }
}
