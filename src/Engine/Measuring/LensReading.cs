namespace EmScan.Engine.Measuring;

/// <summary>How a vector goes through the final norm before it meets the vocabulary.</summary>
internal enum LensInput
{
    /// <summary>A hidden state, as the model treats it: the logits that it would give if no block followed.</summary>
    State,

    /// <summary>
    /// A difference of states: normalised as a state, U (g v / sqrt(mean v^2 + eps)), but without what does not depend on it: no bias, no
    /// cap.
    /// </summary>
    Direction,

    /// <summary>A vector as it is: U v.</summary>
    AsIs,
}

/// <summary>What is asked of a <see cref="Lens"/>.</summary>
internal sealed record LensRequest
{
    /// <summary>How the vectors go through the final norm.</summary>
    public LensInput Input { get; init; } = LensInput.State;

    /// <summary>How many tokens of the largest logits are wanted.</summary>
    public int Top { get; init; }

    /// <summary>How many tokens of the smallest logits are wanted.</summary>
    public int Bottom { get; init; }

    /// <summary>Token ids whose joint probability is wanted; ids that occur twice count once.</summary>
    public IReadOnlyCollection<int> Group { get; init; } = [];

    /// <summary>One token id for each vector, whose log-probability is wanted; or none.</summary>
    public ReadOnlyMemory<int> Targets { get; init; }
}

/// <summary>A token and its logit.</summary>
/// <param name="Token">Token id.</param>
/// <param name="Logit">The logit, not normalised.</param>
internal readonly record struct TokenLogit(int Token, double Logit);

/// <summary>One vector through the model's head.</summary>
/// <param name="Top">Tokens of the largest logits, the largest first; of equal ones the smaller id first.</param>
/// <param name="Bottom">Tokens of the smallest logits, the smallest first.</param>
/// <param name="LogSumExp">log sum exp over the vocabulary, nats: a logit less this is the token's log-probability.</param>
/// <param name="GroupProbability">Softmax mass of <see cref="LensRequest.Group"/>; 0 for an empty one.</param>
/// <param name="TargetLogProbability">log p of the vector's own target, nats; null where none was asked for.</param>
internal sealed record LensReading(
    IReadOnlyList<TokenLogit> Top,
    IReadOnlyList<TokenLogit> Bottom,
    double LogSumExp,
    double GroupProbability,
    double? TargetLogProbability);
