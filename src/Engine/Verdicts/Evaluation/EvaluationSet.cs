using EmScan.Engine.Adapters;

namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>Checkpoints of labelled runs with the predictions of one detector: what every figure is computed from.</summary>
/// <remarks>
/// Kept in one order (model, run, step), whatever the order they came in, so that equal input gives equal figures to the bit and two
/// detectors can be compared on the same draws. Immutable; thread safe.
/// </remarks>
internal sealed class EvaluationSet
{
    /// <summary>Scores beyond this would make squared errors overflow, and none is meant.</summary>
    private const double LargestScore = 1e9;

    private readonly int[] _runStarts; // (runs + 1): run r holds the checkpoints from _runStarts[r] to _runStarts[r + 1]

    /// <summary>Checks and orders checkpoints.</summary>
    /// <param name="checkpoints">At least one, all labelled, without the base unless it was predicted as well.</param>
    /// <exception cref="EmScanException">There is none, one occurs twice, a rate is not from 0 to 1, a prediction or interval is not
    /// finite.</exception>
    public EvaluationSet(IEnumerable<EvaluatedCheckpoint> checkpoints)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);
        EvaluatedCheckpoint[] ordered =
        [
            .. checkpoints.OrderBy(c => c.Model is not null).ThenBy(c => c.Model ?? "", NaturalOrder.Instance)
                .ThenBy(c => c.Run, NaturalOrder.Instance).ThenBy(c => c.Step),
        ];
        if (ordered.Length == 0) throw new EmScanException("There is no labelled checkpoint to evaluate.");
        var starts = new List<int>();
        for (int i = 0; i < ordered.Length; i++)
        {
            Check(ordered[i]);
            bool newRun = i == 0 || !SameRun(ordered[i - 1], ordered[i]);
            if (newRun) starts.Add(i);
            else if (ordered[i - 1].Step == ordered[i].Step) throw new EmScanException($"{Name(ordered[i])} occurs twice.");
        }

        Checkpoints = ordered;
        _runStarts = [.. starts, ordered.Length];
    }

    /// <summary>All checkpoints, by model, run and step.</summary>
    public IReadOnlyList<EvaluatedCheckpoint> Checkpoints { get; }

    /// <summary>Number of runs.</summary>
    public int RunCount => _runStarts.Length - 1;

    /// <summary>Indices of a run's checkpoints in <see cref="Checkpoints"/>, in the order of steps.</summary>
    /// <param name="run">From 0 to <see cref="RunCount"/> - 1.</param>
    public Range Run(int run) => _runStarts[run].._runStarts[run + 1];

    /// <summary>The checkpoints of a run in the order of steps.</summary>
    internal IEnumerable<EvaluatedCheckpoint> CheckpointsOf(int run) => Checkpoints.Take(Run(run));

    /// <summary>Says which checkpoint is meant, for sentences.</summary>
    internal static string Name(EvaluatedCheckpoint checkpoint) =>
        $"Step {checkpoint.Step} of run '{checkpoint.Run}'" + (checkpoint.Model is null ? "" : $" of model '{checkpoint.Model}'");

    private static bool SameRun(EvaluatedCheckpoint a, EvaluatedCheckpoint b) => a.Run == b.Run && a.Model == b.Model;

    private static void Check(EvaluatedCheckpoint checkpoint)
    {
        if (!(checkpoint.TrueRate is >= 0 and <= 1))
            throw Bad(checkpoint, $"the true EM rate {checkpoint.TrueRate}, which is not a fraction from 0 to 1");
        if (!(Math.Abs(checkpoint.PredictedRate) <= LargestScore))
            throw Bad(checkpoint, $"the predicted rate {checkpoint.PredictedRate}, from which nothing can be computed");
        if (checkpoint.PredictedInterval is { } interval && !(interval.Low <= interval.High && double.IsFinite(interval.Width)))
            throw Bad(checkpoint, $"a predicted interval from {interval.Low} to {interval.High}, which is none");
    }

    private static EmScanException Bad(EvaluatedCheckpoint checkpoint, string problem) => new($"{Name(checkpoint)} has {problem}.");
}
