using System.Numerics.Tensors;

namespace EmScan.Engine.Measuring;

/// <summary>The tokens of the largest logits of a row that comes in pieces, in the order of their ids. Not thread safe.</summary>
/// <param name="capacity">How many are kept.</param>
internal sealed class TokenRanking(int capacity)
{
    private readonly List<TokenLogit> _best = new(capacity);

    /// <summary>The best so far, the largest first.</summary>
    public IReadOnlyList<TokenLogit> Best => _best;

    /// <summary>Looks at the next piece.</summary>
    /// <param name="first">Id of its first token.</param>
    /// <param name="logits">A NaN ranks nowhere.</param>
    public void Add(int first, ReadOnlySpan<double> logits)
    {
        if (capacity == 0 || (_best.Count == capacity && TensorPrimitives.MaxNumber(logits) <= _best[^1].Logit)) return;
        for (int i = 0; i < logits.Length; i++) Add(new TokenLogit(first + i, logits[i]));
    }

    /// <summary>Looks at the best of the tokens that follow.</summary>
    public void Add(TokenRanking following)
    {
        foreach (TokenLogit token in following._best) Add(token);
    }

    private void Add(TokenLogit token)
    {
        if (double.IsNaN(token.Logit) || capacity == 0 || (_best.Count == capacity && token.Logit <= _best[^1].Logit)) return;
        int place = _best.Count;
        while (place > 0 && _best[place - 1].Logit < token.Logit) place--;
        if (_best.Count == capacity) _best.RemoveAt(capacity - 1);
        _best.Insert(place, token);
    }
}
