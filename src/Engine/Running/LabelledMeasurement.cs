using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Running;

/// <summary>Measures labelled checkpoints, for detectors to be fitted on or evaluated with.</summary>
internal static class LabelledMeasurement
{
    /// <summary>Measures all labelled checkpoints of one model; those on record are not measured again.</summary>
    /// <param name="session">An open scan of the base model.</param>
    /// <param name="model">Names the base model in observations.</param>
    /// <param name="match">Which labels belong to which checkpoints.</param>
    /// <param name="progress">Told after each checkpoint.</param>
    /// <param name="cancellationToken">Ends the scan; what was measured is on record.</param>
    /// <exception cref="EmScanException">Nothing could be measured.</exception>
    public static async Task<LabelledSet> MeasureAsync(
        ScanSession session, string model, LabelMatch match, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(match);
        List<string> remarks = [.. match.Remarks];
        var measured = new List<LabelledObservation>(match.Checkpoints.Count);
        Dictionary<Checkpoint, EmLabel> labels = match.Checkpoints.ToDictionary(c => c.Checkpoint, c => c.Label);
        var doubts = new List<string>();
        int done = 0, unchanged = 0;
        await foreach (ScanPoint point in session.Scanner.ScanAsync(match.Checkpoints.Select(c => c.Checkpoint), cancellationToken).ConfigureAwait(false))
        {
            progress?.Report(new ScanProgress("measuring labelled checkpoints", ++done, labels.Count));
            if (point is not MeasuredPoint checkpoint)
            {
                remarks.Add($"Left out: {((FailedPoint)point).Error}");
                continue;
            }

            if (checkpoint.Displacement.ChangesNothing) unchanged++;
            EmLabel label = labels[point.Checkpoint];
            measured.Add(new LabelledObservation(session.Observe(model, checkpoint), label.EmRate, label.Perturbation, label.Seed)
            {
                ScoredCount = label.ScoredCount,
                VisibleShare = Survey(point.Checkpoint, doubts)?.VisibleShare(session.Header.Layer),
            });
        }

        if (measured.Count == 0) throw new EmScanException($"None of the labelled checkpoints could be measured. {string.Join(" ", remarks)}");
        if (doubts.Count > 0) remarks.Add($"{doubts.Count} of the labelled checkpoints may not be what was labelled, first {doubts[0]}.");
        if (unchanged > 0) remarks.Add($"{unchanged} of the labelled checkpoints change nothing up to this layer; are the labels of the right adapters?");
        return new LabelledSet(session.MeasuredBase, session.Definition.Directions.ToArray(), measured, match.BaseLabels.Count > 0 ? match.BaseLabels[0].EmRate : null, remarks)
        {
            Header = session.Header,
        };
    }

    // A label belongs to the whole adapter; whether the file holds that is worth a word.
    private static AdapterSurvey? Survey(Checkpoint checkpoint, List<string> doubts)
    {
        try
        {
            var survey = AdapterSurvey.Read(checkpoint.Path);
            if (survey.Doubts.Count > 0) doubts.Add($"{checkpoint.Path}: {survey.Doubts[0]}");
            return survey;
        }
        catch (InputFileException)
        {
            // It was measured a moment ago and is gone now; only its share stays unknown.
            return null;
        }
    }
}
