using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>One checkpoint in one context: llama.cpp alone, with every layer tapped, and as a scan measures it.</summary>
internal sealed class DepthPart(Workload workload, Clock clock)
{
    private readonly Samples _single = new("(a) llama_decode, one prompt at a time");
    private readonly Samples _packed = new("(b) llama_decode, packed");
    private readonly Samples _tapped = new("(c) emscan, the same batches, every layer tapped");
    private readonly Samples _inputs = new("    llama_decode, packed, copying the input of every block itself");
    private readonly Samples _scan = new("(d) emscan, up to the measured layer, common tokens shared");
    private readonly Samples _kernel = new("    of which kernels");
    private readonly Samples _capture = new("    of which getting at the rows");
    private readonly Samples _load = new("    loading and activating a checkpoint");

    internal void Run()
    {
        using var raw = new RawPrefill(workload.Model, workload.SameBatches, workload.Longest);
        using var copying = new RawPrefill(workload.Model, workload.SameBatches, workload.Longest);
        for (int block = 1; copying.CanCopyLayerInputs && block < copying.LayerCount; block++) copying.CopyLayerInput(block);
        using var plain = new LlamaActivationSource(workload.Model, workload.SameBatches with { SharePrefixes = false });
        using var source = new LlamaActivationSource(workload.Model, workload.Default);

        ScanDefinition definition = workload.Definition;
        CapturePlan everything = plain.Plan(definition.Prompts, [.. Enumerable.Range(0, plain.LayerCount)]);
        CapturePlan plan = source.Plan(definition.Prompts, [definition.Layer]);
        AccumulatorSink sink = definition.Sink();
        var timed = new TimedSink(sink);
        var wall = new Clock(cpuTime: false);
        for (int round = -1; round < workload.Options.Rounds; round++)
        {
            double start = wall.Now;
            string path = workload.Checkpoints[(round + 1) % workload.Checkpoints.Length].Path;
            double loading = wall.Now;
            _ = AdapterFingerprint.Compute(path);
            using ILoadedAdapter adapter = source.LoadAdapter(path, definition.Layer);
            source.SetAdapters([new WeightedAdapter(adapter, 1)]);
            double loaded = wall.Now - loading;
            using ILoadedAdapter all = source.LoadAdapter(path);
            plain.SetAdapters([new WeightedAdapter(all, 1)]);
            raw.SetAdapter(all);
            copying.SetAdapter(all);

            bool counts = round >= 0; // The first round warms up.
            Measure(_single, () => raw.Run(workload.Tokens, packed: false));
            Measure(_packed, () => raw.Run(workload.Tokens, packed: true));
            Measure(_tapped, () => plain.Capture(everything, sink));
            if (copying.CanCopyLayerInputs) Measure(_inputs, () => copying.Run(workload.Tokens, packed: true));
            _ = source.TakeTimeInTap();
            _ = timed.TakeTime();
            Measure(_scan, () => source.Capture(plan, timed));
            if (counts)
            {
                double kernels = timed.TakeTime().TotalMilliseconds;
                _kernel.Add(kernels);
                _capture.Add(source.TakeTimeInTap().TotalMilliseconds - kernels);
                _load.Add(loaded);
            }

            source.SetAdapters([]);
            plain.SetAdapters([]);
            raw.ClearAdapters();
            copying.ClearAdapters();
            Report.Round("depth and sharing", round, workload.Options.Rounds, wall.Now - start);

            void Measure(Samples samples, Action work)
            {
                double time = clock.Time(work);
                if (counts) samples.Add(time);
            }
        }

        Report.Times([_single, _packed, _tapped, _inputs, _scan, _kernel, _capture, _load]);
        Report.Claims(Claims(PlanTotals.Of([plan]).ShareOfPrefill));
    }

    private IEnumerable<(string What, string Target, double Value)> Claims(double share)
    {
        // The targets are those of a random model: half depth, half of the tokens shared.
        yield return ("full depth, every layer tapped, over raw packed prefill", "<= 1.02", _tapped.Over(_packed));
        if (_inputs.Count > 0) yield return ("block inputs copied by llama.cpp, over raw packed prefill", "", _inputs.Over(_packed));
        yield return (
            Invariant($"scan over the ideal of its plan ({100 * share:0.0}% of the prefill, {_packed.Median * share:0} ms)"),
            "<= 1.10", _scan.Over(_packed) / share);
        yield return ("raw packed prefill over scan", ">= 3.4", _packed.Over(_scan));
        yield return ("one prompt at a time over scan", ">= 4.2", _single.Over(_scan));
        yield return ("loading a checkpoint over measuring it, % (beside the measuring)", "< 3", 100 * _load.Over(_scan));
        yield return ("kernels over measuring, %", "<= 1", 100 * _kernel.Over(_scan));
    }
}
