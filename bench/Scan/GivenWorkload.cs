using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;

namespace EmScan.Bench.Scan;

/// <summary>A model with a trait set and checkpoints that a user has.</summary>
internal sealed class GivenWorkload : Workload
{
    private readonly ScanRequest _request;
    private readonly ScanSession _session;
    private int _scans;

    private GivenWorkload(Options options, string folder, ScanRequest request, ScanSession session, Checkpoint[] checkpoints)
        : base(options, folder, session.Prepared.Model, session.Definition, checkpoints)
    {
        _request = request;
        _session = session;
    }

    internal override CaptureOptions SameBatches => Default;

    internal override int PerRound => Checkpoints.Length;

    internal override string Description
    {
        get
        {
            PlanTotals plan = PlanTotals.Of([_session.Scanner.Plan]);
            return $"{plan.Prompts} prompts of {plan.PromptTokens} tokens together, of which {plan.SharedTokens} are shared, " +
                $"layer {Definition.Layer}; {Checkpoints.Length} checkpoints";
        }
    }

    /// <summary>Opens the model, and extracts its trait directions.</summary>
    /// <exception cref="EmScanException">Something that was given cannot be used.</exception>
    internal static GivenWorkload Open(Options options, string folder)
    {
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(options.Adapters!);
        Checkpoint[] checkpoints = [.. found.Runs.SelectMany(r => r.Checkpoints).Take(options.Checkpoints)];
        var request = new ScanRequest
        {
            Model = options.Model!,
            TraitsFile = options.Traits,
            ModelOptions = new ModelOptions { GpuLayers = 0 },
            Capture = new CaptureOptions { Threads = options.Threads },
            CacheFolder = Path.Combine(folder, "cache"),
        };
        Console.WriteLine("extracting trait directions ...");
        return new GivenWorkload(options, folder, request, ScanSession.Open(request), checkpoints);
    }

    // The model's own.
    internal override int[][] Answers(LlamaActivationSource source) => source.GenerateGreedy(Tokens, BaseAnswers.MaxTokens);

    internal override async Task<(double Opening, double Checkpoints)> ScanAsync(Clock clock, int checkpoints)
    {
        // A journal of its own, or nothing would be left to measure. Directions are in the cache, as for every scan but the first.
        ScanRequest request = _request with { OutputFolder = Path.Combine(Folder, $"scan-{_scans++}") };
        double start = clock.Now;
        using var session = ScanSession.Open(request);
        double opened = clock.Now;
        await Finish(session.Scanner, Checkpoints[..checkpoints]);
        return (opened - start, clock.Now - opened);
    }

    // The model is the session's.
    public override void Dispose() => _session.Dispose();
}
