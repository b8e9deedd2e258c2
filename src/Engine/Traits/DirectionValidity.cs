namespace EmScan.Engine.Traits;

/// <summary>How far the direction of one trait at one layer can be trusted.</summary>
/// <remarks>
/// All but the permutation test refit the same estimator on a part of the questions. System prompts are the same in all parts: the figures
/// say how the direction generalises to new questions, not to new system prompts. Prompts with the same question are never on both sides of
/// a split.
/// </remarks>
/// <param name="Trait">Name of the trait.</param>
/// <param name="Layer">Layer, counted from 0.</param>
/// <param name="Separation">L2 norm of mean(h+) - mean(h-), in the model's activation units.</param>
/// <param name="ProbeAccuracy">
/// Share of held-out samples on the right side of the midpoint between the poles' projected means, both from the other folds; five folds
/// of questions. Ties count one half. NaN with a single question.
/// </param>
/// <param name="Auc">
/// Probability that a held-out positive sample projects above a held-out negative one, ties one half, over the same folds. NaN with a
/// single question.
/// </param>
/// <param name="SplitHalfCosine">
/// Cosine of the directions from two random halves of the questions, mean over ten splits. NaN with a single question.
/// </param>
/// <param name="PermutationP">
/// (1 + #) / (1 + n) for the norm of the mean difference under the null that the poles are exchangeable: n random sign flips of the
/// per-question differences, all prompts of a question flipped together. With few questions it cannot be small: Q of them have 2^(Q-1)
/// flips.
/// </param>
internal sealed record DirectionValidity(
    string Trait, int Layer, double Separation, double ProbeAccuracy, double Auc, double SplitHalfCosine, double PermutationP)
{
    /// <summary>
    /// Distance of the poles' held-out projections in deviations, (mean+ - mean-) / sqrt((var+ + var-) / 2), mean over the same folds. Goes on
    /// growing where accuracy is 1 already. NaN with a single question, or where a pole has one held-out sample.
    /// </summary>
    public double DPrime { get; init; } = double.NaN;
}
