// emscan as a library: what a training loop or a dashboard would call.
// Usage: emscan-embed-sample model.gguf adapters
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Verdicts;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: emscan-embed-sample MODEL ADAPTERS");
    return 2;
}

try
{
    // The high road: everything that the program does, as rows with verdicts.
    // <readme>
    var request = new ScanRequest { Model = args[0], Capture = new CaptureOptions { Threads = 1 } };
    VerdictSource source = VerdictSource.Choose(request); // calibration.json beside the model, if there is one
    await using (ScanSession session = await ScanSession.OpenAsync(source.Complete(request)))
    {
        (Judge judge, IReadOnlyList<Remark> remarks) = await source.ToJudgeAsync(session);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(args[1]);
        foreach (Remark remark in (Remark[])[.. session.Remarks, .. remarks, .. found.Remarks]) Console.Error.WriteLine(remark.Text);
        await foreach ((ScanPoint point, Assessment assessment) in session.ScanAsync(found, judge))
            Console.WriteLine($"{point.Checkpoint.Run} {point.Checkpoint.Step}: {assessment.State} {assessment.Error}{string.Join("; ", assessment.Doubts.Select(d => d.Text))}");
    }

    // </readme>
    // The low road: hidden states of any layers at any positions, as they are computed.
    using GgufModel model = GgufModel.Load(args[0]);
    using var states = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
    int[] tokens = ChatPromptEncoder.Create(model).Encode(system: null, user: "hello");
    states.Capture([CapturePrompt.From(tokens, 0)], [0, model.LayerCount - 1], new PrintNorms());
    return 0;
}
catch (EmScanException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

internal sealed class PrintNorms : IHiddenStateSink
{
    public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) =>
        Console.WriteLine($"layer {layer}: {states.Length} values from position {firstPosition}");
}
