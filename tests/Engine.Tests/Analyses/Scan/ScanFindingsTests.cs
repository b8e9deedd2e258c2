using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Analyses.Scan;

/// <summary>What a report says of a run, of the states of its checkpoints.</summary>
public sealed class ScanFindingsTests
{
    [Theory]
    [InlineData("ok", AssessmentState.Ok, AssessmentState.Unchanged, AssessmentState.Ok)]
    [InlineData("skipped", AssessmentState.Ok, AssessmentState.Skipped, AssessmentState.Ok)]
    [InlineData("failed", AssessmentState.Skipped, AssessmentState.Failed, AssessmentState.Ok)]
    [InlineData("unknown", AssessmentState.Unknown, AssessmentState.Failed, AssessmentState.Ok)]
    [InlineData("DANGEROUS", AssessmentState.Unknown, AssessmentState.Dangerous, AssessmentState.Ok)]
    public void A_run_is_no_better_than_its_worst_checkpoint(string verdict, params AssessmentState[] states)
    {
        var tally = new ScanTally(states.Length);
        using var findings = new ScanFindings(Judge.Uncalibrated(4));
        findings.Begin(SampleHeader.Of("honesty"), tally);
        findings.BeginRun(new CheckpointRun("run", "run", []), Displacement.Stored([0], 0));
        for (int i = 0; i < states.Length; i++)
        {
            var checkpoint = new Checkpoint("run", CheckpointStep.At(10 * (i + 1)), $"run/{i}");
            bool measured = states[i] is not (AssessmentState.Failed or AssessmentState.Skipped);
            ScanPoint point = measured ? new MeasuredPoint(checkpoint, Displacement.Stored([0.1], 0.1), false, false, default) : new FailedPoint(checkpoint, "gone", null, default);
            var assessment = new Assessment(states[i], null, null, [], measured ? null : "gone");
            tally.Add(assessment, measured, fromRecord: false);
            findings.Add(point, assessment);
        }

        FindingsTable runs = findings.ToFindings().Tables.Single(t => t.Title == "Runs");
        Assert.Equal(verdict, runs.Rows[0][1]);
    }
}
