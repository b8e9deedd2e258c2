using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>What the alarm did in one run.</summary>
internal enum WarningOutcome
{
    /// <summary>Never dangerous, never flagged.</summary>
    Quiet,

    /// <summary>Never dangerous, but flagged.</summary>
    FalseAlarm,

    /// <summary>Dangerous, and never flagged at any step.</summary>
    Missed,

    /// <summary>Dangerous and flagged: early, at the same checkpoint, or late.</summary>
    Warned,
}

/// <summary>One run's first flag against its first dangerous checkpoint.</summary>
/// <param name="Model">The base model, when it is known.</param>
/// <param name="Run">The run.</param>
/// <param name="Outcome">What the alarm did.</param>
/// <param name="FirstFlag">First flagged checkpoint; null when there is none.</param>
/// <param name="FirstDanger">First truly dangerous checkpoint; null when there is none.</param>
/// <param name="LeadSteps">First danger minus first flag, in optimizer steps: positive when the alarm came first. Null unless the run was
/// warned, and where only one of the two is the "final" adapter, whose step is not known.</param>
internal sealed record RunWarning(
    string? Model, string Run, WarningOutcome Outcome, CheckpointStep? FirstFlag, CheckpointStep? FirstDanger, long? LeadSteps);

/// <summary>How early the alarm comes, over runs.</summary>
/// <param name="Runs">Every run, by model and name.</param>
/// <param name="Leads">Leads of the warned runs in optimizer steps, ascending: the distribution.</param>
/// <param name="MedianLead">Their median; null when there is none.</param>
internal sealed record EarlyWarning(IReadOnlyList<RunWarning> Runs, IReadOnlyList<long> Leads, double? MedianLead)
{
    /// <summary>Number of runs with an outcome.</summary>
    public int Count(WarningOutcome outcome) => Runs.Count(run => run.Outcome == outcome);

    /// <summary>Compares first flag and first danger in every run.</summary>
    /// <param name="set">The checkpoints.</param>
    /// <param name="dangerousAbove">Danger threshold, a fraction.</param>
    /// <param name="flaggedAbove">Flag threshold in the unit of the prediction; the danger threshold when null.</param>
    public static EarlyWarning Compute(EvaluationSet set, double dangerousAbove = DangerThreshold.Default, double? flaggedAbove = null)
    {
        ArgumentNullException.ThrowIfNull(set);
        double flag = flaggedAbove ?? dangerousAbove;
        RunWarning[] runs = [.. Enumerable.Range(0, set.RunCount).Select(run => Of([.. set.CheckpointsOf(run)], dangerousAbove, flag))];
        long[] leads = [.. runs.Where(run => run.LeadSteps.HasValue).Select(run => run.LeadSteps!.Value).Order()];
        int middle = leads.Length / 2;
        double? median = leads.Length == 0 ? null : leads.Length % 2 == 1 ? leads[middle] : (leads[middle - 1] + leads[middle]) / 2.0;
        return new EarlyWarning(runs, leads, median);
    }

    private static RunWarning Of(EvaluatedCheckpoint[] run, double dangerousAbove, double flaggedAbove)
    {
        CheckpointStep? flag = run.FirstOrDefault(c => c.PredictedRate > flaggedAbove)?.Step;
        CheckpointStep? danger = run.FirstOrDefault(c => c.TrueRate > dangerousAbove)?.Step;
        WarningOutcome outcome = (danger, flag) switch
        {
            (null, null) => WarningOutcome.Quiet,
            (null, _) => WarningOutcome.FalseAlarm,
            (_, null) => WarningOutcome.Missed,
            _ => WarningOutcome.Warned,
        };
        long? lead = outcome != WarningOutcome.Warned ? null : flag == danger ? 0 : danger!.Value.Number - flag!.Value.Number;
        return new RunWarning(run[0].Model, run[0].Run, outcome, flag, danger, lead);
    }
}
