using System.Numerics.Tensors;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Running;

/// <summary>Measures the runs of one base model for what is said of whole runs, prompt by prompt.</summary>
internal static class DriftMeasurement
{
    /// <summary>Measures checkpoints; those on record are not measured again.</summary>
    /// <param name="session">An open scan of the base model.</param>
    /// <param name="model">Names the base model.</param>
    /// <param name="runs">What is measured; one that cannot be becomes a remark.</param>
    /// <param name="progress">Told after each checkpoint.</param>
    /// <param name="cancellationToken">Ends it; what was measured is on record.</param>
    /// <exception cref="EmScanException">Nothing could be measured.</exception>
    internal static async Task<DriftScan> MeasureAsync(
        ScanSession session, string model, IReadOnlyList<CheckpointRun> runs, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        int traits = session.Definition.Shape.Traits, done = 0, total = runs.Sum(r => r.Checkpoints.Count);
        var remarks = new List<Remark>();
        Dictionary<string, List<DriftOfStep>> measured = runs.ToDictionary(r => r.Name, _ => new List<DriftOfStep>());
        await foreach (ScanPoint point in session.Scanner.ScanAsync(runs.SelectMany(r => r.Checkpoints), cancellationToken).ConfigureAwait(false))
        {
            progress?.Report(new ScanProgress("measuring", ++done, total));
            if (point is MeasuredPoint now) measured[point.Checkpoint.Run].Add(new DriftOfStep(point.Checkpoint.Step, [.. now.Displacement.PerTrait], Prompts(now.Measurement!)));
            else if (point is FailedPoint failed) remarks.Add(new Remark(failed.Skipped == null ? "failed" : "skipped", $"Left out: {failed.Skipped?.Text ?? failed.Error}"));
        }

        var origin = new DriftOfStep(CheckpointStep.Base, new double[traits], new double[session.Baseline.Projections.Length]);
        DriftRun[] found =
        [
            .. runs.Where(r => measured[r.Name].Count > 0).Select(r =>
            {
                (string perturbation, string? seed) = RunName.Split(r.Name);
                return new DriftRun(model, r.Name, perturbation, seed, [origin, .. measured[r.Name].OrderBy(p => p.Step)]);
            }),
        ];
        if (found.Length == 0) throw new EmScanException($"None of the checkpoints could be measured. {string.Join(' ', remarks.Select(r => r.Text).Distinct())}");
        return new DriftScan(model, session.Header.ModelPath, session.Header, session.Header.Place.ToName(), found, remarks);

        // (P, K), in units of n0.
        double[] Prompts(Measurement measurement)
        {
            var differences = new double[measurement.Projections.Length];
            TensorPrimitives.Subtract(measurement.Projections, session.Baseline.Projections, differences);
            TensorPrimitives.Divide(differences, session.Header.Step0Norm, differences);
            return differences;
        }
    }
}
