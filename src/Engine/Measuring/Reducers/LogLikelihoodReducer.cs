using System.Numerics.Tensors;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Log-likelihood of the tokens that follow the measured positions, by the model's own logits: for each prompt "sum" (P), the sum of log p in
/// nats, and "count" (P), how many tokens were scored.
/// </summary>
internal sealed class LogLikelihoodReducer : Reducer
{
    /// <inheritdoc/>
    public override string Identity => "log-likelihood 1";

    /// <inheritdoc/>
    public override bool ReadsLogits => true;

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(prompts);

    private sealed class State(PromptSet prompts) : Accumulator
    {
        private readonly double[] _sum = new double[prompts.Prompts.Count];
        private readonly double[] _count = new double[prompts.Prompts.Count];

        public override void Add(in RowBlock rows)
        {
            int vocabulary = rows.States.Length / rows.Count;
            for (int r = 0; r < rows.Count; r++)
            {
                int position = prompts.Prompts[rows.Prompt].Positions[rows.Slot + r];
                ReadOnlySpan<float> logits = rows.States.Slice(r * vocabulary, vocabulary);
                _sum[rows.Prompt] += logits[prompts.Prompts[rows.Prompt].Tokens[position + 1]] - LogSumExp(logits);
                _count[rows.Prompt]++;
            }
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            TensorPrimitives.Add(_sum, state._sum, _sum);
            TensorPrimitives.Add(_count, state._count, _count);
        }

        public override CellResult Finish() => new(("sum", _sum), ("count", _count));

        // Few at a time in float32, whose sums are then float64: a vocabulary of 150,000 keeps all the digits that a logit has.
        private static double LogSumExp(ReadOnlySpan<float> logits)
        {
            const int Some = 512;
            Span<float> exponentials = stackalloc float[Some];
            float largest = TensorPrimitives.Max(logits);
            double sum = 0;
            for (int start = 0; start < logits.Length; start += Some)
            {
                ReadOnlySpan<float> part = logits.Slice(start, Math.Min(Some, logits.Length - start));
                Span<float> space = exponentials[..part.Length];
                TensorPrimitives.Subtract(part, largest, space);
                TensorPrimitives.Exp(space, space);
                sum += TensorPrimitives.Sum<float>(space);
            }

            return largest + Math.Log(sum);
        }
    }
}

/// <summary>What follows from the result of a <see cref="LogLikelihoodReducer"/>.</summary>
internal static class LogLikelihood
{
    /// <summary>The answers of conversations and what closes them; null for none.</summary>
    internal static PromptSet? Answers(string name, IReadOnlyList<ScoredConversation> chats) =>
        chats.Count == 0 ? null : PromptSet.Scored(name, [.. chats.Select(c => c.Tokens)], (chat, token) => chats[chat].IsScored(token));

    /// <summary>Good and bad answers by turns; null for none.</summary>
    /// <exception cref="EmScanException">An answer has no tokens.</exception>
    internal static PromptSet? Answers(IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> pairs)
    {
        if (pairs.Count == 0) return null;
        PromptSet answers = Answers("the pairs", [.. pairs.SelectMany(pair => new[] { pair.Good, pair.Bad })])!;
        return answers.Prompts.Count == 2 * pairs.Count ? answers : throw new EmScanException("In one of the pairs an answer has no tokens; both must have some.");
    }

    /// <summary>Mean over all scored tokens, nats per token; higher is better.</summary>
    public static double Pooled(CellResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        return result["sum"].Sum() / result["count"].Sum();
    }

    /// <summary>
    /// Mean over pairs of bad less good, of the mean log p of a token, and of the sum; the prompts are good and bad answers by turns.
    /// </summary>
    public static (double PerToken, double Sum) Preference(CellResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        double[] sum = result["sum"], count = result["count"];
        double perToken = 0, whole = 0;
        for (int good = 0; good < sum.Length; good += 2)
        {
            perToken += (sum[good + 1] / count[good + 1]) - (sum[good] / count[good]);
            whole += sum[good + 1] - sum[good];
        }

        return (2 * perToken / sum.Length, 2 * whole / sum.Length);
    }
}
