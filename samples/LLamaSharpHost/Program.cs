// A program that chats through LLamaSharp and has emscan watch its fine-tuning: one model in memory, used by both.
// Usage: emscan-llamasharp-host MODEL ADAPTERS host-first|emscan-first
using System.Text;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Samples.LLamaSharpHost;
using LLama;
using LLama.Common;
using LLama.Native;
using LLama.Sampling;

if (args is not [var modelPath, var adapters, ("host-first" or "emscan-first") and var order])
{
    Console.Error.WriteLine("usage: emscan-llamasharp-host MODEL ADAPTERS host-first|emscan-first");
    return 2;
}

try
{
    // What LLamaSharp is to be configured with must be said before either of the two uses it; emscan leaves it as it is.
    int logged = 0;
    NativeLogConfig.llama_log_set((_, _) => Interlocked.Increment(ref logged));

    // Whoever comes first loads llama.cpp; the other takes what is there.
    if (order == "emscan-first")
    {
        using GgufModel own = GgufModel.Load(modelPath);
        Console.WriteLine($"emscan first: {Rows.Of(own).Count} rows; {(logged > 0 ? "the host's log has them" : "the host's log is LOST")}");
    }

    var parameters = new ModelParams(modelPath) { ContextSize = 256, Threads = 1, BatchThreads = 1, GpuLayerCount = 0, LoadMode = LLamaLoadMode.MemoryMap };
    using LLamaWeights weights = LLamaWeights.LoadFromFile(parameters);
    string before = await GenerateAsync();

    string between;
    Dictionary<(int Prompt, int Layer), float[]> shared;
    using (GgufModel model = GgufModel.Attach(weights, modelPath))
    {
        using (ScanSession session = ScanSession.Open(new ScanRequest { Model = modelPath, Loaded = model, Capture = new CaptureOptions { Threads = 1 } }))
        {
            await ScanAsync(session, first: true);
            between = await GenerateAsync();
            await ScanAsync(session, first: false);
        }

        shared = Rows.Of(model);
    }

    int logsBefore = logged;
    string after = await GenerateAsync();
    using GgufModel separate = GgufModel.Load(modelPath);
    Dictionary<(int Prompt, int Layer), float[]> alone = Rows.Of(separate);
    int equal = alone.Count(row => row.Value.AsSpan().SequenceEqual(shared[row.Key]));
    bool same = before.Length > 0 && before == between && between == after;
    Console.WriteLine($"the host says: {before.ReplaceLineEndings(" ").Trim()}");
    Console.WriteLine($"the host's text before, between and after scans: {(same ? "the same" : "DIFFERS")}");
    Console.WriteLine($"rows on the host's model that equal those of a model of emscan's own: {equal} of {alone.Count}");
    Console.WriteLine($"the host's log is {(logged > logsBefore ? "still its own" : "LOST")}");
    return same && equal == alone.Count && logged > logsBefore ? 0 : 1;

    async Task<string> GenerateAsync()
    {
        var executor = new StatelessExecutor(weights, parameters);
        var text = new StringBuilder();
        await foreach (string piece in executor.InferAsync("what should i do today", new InferenceParams { MaxTokens = 24, SamplingPipeline = new GreedySamplingPipeline() }))
            text.Append(piece);
        return text.ToString();
    }

    async Task ScanAsync(ScanSession session, bool first)
    {
        foreach (CheckpointRun run in CheckpointDiscovery.Find(adapters).Runs)
        {
            // Half of the checkpoints each time, so that the host speaks between two that are measured.
            await foreach (ScanPoint point in session.Scanner.ScanAsync([.. run.Checkpoints.Where((_, i) => i % 2 == 0 == first)]))
                Console.WriteLine($"{point.Checkpoint.Run} {point.Checkpoint.Step} {(point is MeasuredPoint measured ? measured.Displacement.Magnitude.ToString("0.0000") : ((FailedPoint)point).Error)}");
        }
    }
}
catch (EmScanException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
