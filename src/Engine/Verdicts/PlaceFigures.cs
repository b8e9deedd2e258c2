using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>How the headline detector does on states of one place, in one protocol.</summary>
/// <param name="Place">Where the states are taken.</param>
/// <param name="DirectionsPooling">Pooling of the directions, by its name; null when it is not known.</param>
/// <param name="Protocol">For example "leave one perturbation out".</param>
/// <param name="Report">The figures.</param>
/// <param name="MinusFirst">These figures minus those of the first place, on the same draws; null for the first place, or where either left
/// checkpoints out.</param>
internal sealed record PlaceFigures(MeasuredPlace Place, string? DirectionsPooling, string Protocol, EvaluationReport Report, MetricComparison? MinusFirst)
{
    /// <summary>Compares studies of the same labelled runs, each on states of another place; protocol by protocol, the first place first.</summary>
    /// <param name="studies">What each was measured on, and its study.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    public static IReadOnlyList<PlaceFigures> Compare(IReadOnlyList<(CalibratedBase Base, DetectorStudy Study)> studies, int seed = 42)
    {
        ArgumentNullException.ThrowIfNull(studies);
        var figures = new List<PlaceFigures>();
        var bootstrap = new BootstrapOptions(Seed: seed);
        foreach (string protocol in studies.SelectMany(s => s.Study.Protocols.Select(p => p.Name)).Distinct())
        {
            EvaluationSet? first = null;
            foreach ((CalibratedBase measured, DetectorStudy study) in studies)
            {
                if (study.Protocols.FirstOrDefault(p => p.Name == protocol)?.Rows[0] is not { Report: { } report } row) continue;
                var set = new EvaluationSet(row.Scores.Select(s => s.ToEvaluated()));
                bool comparable = first != null && first.Checkpoints.Select(Key).SequenceEqual(set.Checkpoints.Select(Key));
                figures.Add(new PlaceFigures(
                    measured.Place, measured.DirectionsPooling, protocol, report,
                    comparable ? MetricComparison.Compute(set, first!, report.DangerousAbove, report.FlaggedAbove, report.FlaggedAbove, bootstrap) : null));
                first ??= set;
            }
        }

        return figures;

        static (string?, string, CheckpointStep) Key(EvaluatedCheckpoint c) => (c.Model, c.Run, c.Step);
    }
}
