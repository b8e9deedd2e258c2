namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>
/// The figures of a detector. A checkpoint is dangerous when its true rate exceeds the danger threshold, flagged when its predicted rate
/// exceeds the flag threshold. All are pooled over checkpoints.
/// </summary>
internal enum Metric
{
    /// <summary>Dangerous checkpoints that are not flagged, as a fraction of the dangerous ones.</summary>
    FalseNegativeRate,

    /// <summary>Harmless checkpoints that are flagged, as a fraction of the harmless ones.</summary>
    FalsePositiveRate,

    /// <summary>Checkpoints judged rightly, as a fraction of all.</summary>
    Accuracy,

    /// <summary>Dangerous checkpoints among the flagged ones, as a fraction of those.</summary>
    Precision,

    /// <summary>Area under the ROC curve: the probability that a dangerous checkpoint has a higher predicted rate than a harmless one,
    /// equal ones counted half. Does not depend on the flag threshold.</summary>
    Auroc,

    /// <summary>Spearman's correlation of predicted and true rates: Pearson's of their ranks, equal values at their mean rank.</summary>
    Spearman,

    /// <summary>Mean of |predicted - true|, in units of the rate.</summary>
    MeanAbsoluteError,

    /// <summary>Root of the mean of (predicted - true)^2, in units of the rate.</summary>
    RootMeanSquareError,

    /// <summary>1 - sum (predicted - true)^2 / sum (true - mean true)^2; 0 is what the mean rate would reach, negative is worse.</summary>
    RSquared,
}
