using System.Text.Json.Nodes;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Analyses.Invariance;

/// <summary>A detector's figures over environments that it had not seen.</summary>
internal sealed record ScoredEnvironments(string Name, IReadOnlyList<(string Environment, int[] Traits)> Folds, EvaluationSet Set, EvaluationReport Report)
{
    internal static readonly Metric[] Shown = [Metric.Auroc, Metric.FalseNegativeRate, Metric.FalsePositiveRate, Metric.Accuracy, Metric.Spearman];

    internal static ScoredEnvironments Of(string name, IReadOnlyList<(string, int[])> folds, EvaluationSet set, double flag, InvarianceRequest request) =>
        new(name, folds, set, EvaluationReport.Compute(set, request.DangerousAbove, flag, new BootstrapOptions(Seed: request.Seed)));

    /// <summary>The same on the checkpoints of another set; itself where it has no others.</summary>
    internal ScoredEnvironments On(EvaluationSet other, double flag, InvarianceRequest request)
    {
        if (other.Checkpoints.Count == Set.Checkpoints.Count) return this;
        HashSet<(string?, string, Formats.CheckpointStep)> kept = [.. other.Checkpoints.Select(c => (c.Model, c.Run, c.Step))];
        return Of($"{Name}, where there are stable ones", Folds, new EvaluationSet(Set.Checkpoints.Where(c => kept.Contains((c.Model, c.Run, c.Step)))), flag, request);
    }

    internal JsonObject ToJson(IReadOnlyList<string> traits)
    {
        var data = new JsonObject
        {
            ["checkpoints"] = Set.Checkpoints.Count,
            ["dangerous"] = Report.Counts.Dangerous,
            ["folds"] = new JsonArray([.. Folds.Select(f => (JsonNode?)new JsonObject { ["left_out"] = f.Environment, ["traits"] = FindingsData.Texts(f.Traits.Select(k => traits[k])) })]),
        };
        foreach (Metric metric in Shown) data[Key(metric)] = EstimateJson(Report[metric]);
        return data;
    }

    internal static string Key(Metric metric) => metric switch { Metric.FalseNegativeRate => "fnr", Metric.FalsePositiveRate => "fpr", _ => metric.ToString().ToLowerInvariant() };

    internal static JsonObject EstimateJson(Estimate e) => new() { ["value"] = FindingsData.Number(e.Value), ["low"] = FindingsData.Number(e.Interval?.Low), ["high"] = FindingsData.Number(e.Interval?.High) };
}
