using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Analyses.Onset;

/// <summary>The measured EM rates of a run, by step.</summary>
/// <param name="Steps">Ascending; 0 is the base.</param>
/// <param name="Rates">Fractions.</param>
internal sealed record RateSeries(double[] Steps, double[] Rates);

/// <summary>EM rates of the runs of one base model.</summary>
internal sealed class RunLabels
{
    private readonly Dictionary<string, EmLabel[]> _byRun;
    private readonly string? _seed;
    private readonly double? _base;

    private RunLabels(Dictionary<string, EmLabel[]> byRun, string? seed, double? baseRate) => (_byRun, _seed, _base) = (byRun, seed, baseRate);

    /// <summary>Prepares labels.</summary>
    /// <param name="file">The labels.</param>
    /// <param name="scan">The runs that they are for.</param>
    /// <param name="seed">Take the labels of this training seed for every run of a perturbation; null to take each run's own.</param>
    /// <exception cref="InputFileException">It is not clear which model's labels are meant, or none fits a run.</exception>
    internal static RunLabels Of(LabelFile file, DriftScan scan, string? seed)
    {
        IReadOnlyList<EmLabel> labels = file.OfModel(file.Models.Contains(scan.Model) ? scan.Model : null);
        Dictionary<string, EmLabel[]> byRun = labels.Where(l => seed == null || l.Seed == seed)
            .GroupBy(l => seed == null ? l.Run : l.Perturbation)
            .ToDictionary(g => g.Key, g => g.Where(l => l.Step.Number != null).OrderBy(l => l.Step).ToArray());
        double[] ofBase = [.. labels.Where(l => l.Step == CheckpointStep.Base).Select(l => l.EmRate)];
        if (seed == null)
        {
            foreach ((string run, string named) in RunName.InLabels(byRun.Keys, scan.Runs.Select(r => r.Name))) byRun.TryAdd(run, byRun[named]);
        }

        var found = new RunLabels(byRun, seed, ofBase.Length > 0 ? ofBase.Average() : null);
        if (scan.Runs.Any(r => found.Of(r) != null)) return found;
        string there = byRun.Count > 0 ? $"it names '{InputFile.OneLine(byRun.Keys.First())}'" : $"none is of seed '{InputFile.OneLine(seed ?? "")}'";
        throw new InputFileException(file.Path, $"none of its labels fits a run: {there}, while the runs are named as '{InputFile.OneLine(scan.Runs[0].Name)}', by their path below the scanned folder");
    }

    /// <summary>The labels of a run; null without any.</summary>
    internal RateSeries? Of(DriftRun run)
    {
        if (!_byRun.TryGetValue(_seed == null ? RunName.Normalise(run.Name) : run.Perturbation, out EmLabel[]? labels)) return null;
        EmLabel[] distinct = [.. labels.DistinctBy(l => l.Step)];
        if (distinct.Length == 0) return null;
        bool needsBase = _base != null && distinct[0].Step != CheckpointStep.Base;
        return new RateSeries(
            [.. needsBase ? (double[])[0] : [], .. distinct.Select(l => (double)l.Step.Number!.Value)], [.. needsBase ? (double[])[_base!.Value] : [], .. distinct.Select(l => l.EmRate)]);
    }
}
