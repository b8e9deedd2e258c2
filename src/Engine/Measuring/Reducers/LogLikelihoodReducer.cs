using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Log-likelihood of the tokens that follow the measured positions: for each prompt "sum" (P), the sum of log p in nats, and "count" (P), how
/// many tokens were scored.
/// </summary>
/// <param name="lens">The model's head, which the last layer's states go through.</param>
public sealed class LogLikelihoodReducer(Lens lens) : Reducer
{
    /// <inheritdoc/>
    public override string Identity => "log-likelihood 1";

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) => (long)Lens.MostRows * width * sizeof(float);

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(lens, prompts);

    private sealed class State(Lens lens, PromptSet prompts) : Accumulator
    {
        private readonly double[] _sum = new double[prompts.Prompts.Count];
        private readonly double[] _count = new double[prompts.Prompts.Count];
        private readonly List<float> _waiting = [];
        private readonly List<(int Prompt, int Target)> _targets = [];

        public override void Add(in RowBlock rows)
        {
            for (int r = 0; r < rows.Count; r++)
            {
                int position = prompts.Prompts[rows.Prompt].Positions[rows.Slot + r];
                _targets.Add((rows.Prompt, prompts.Prompts[rows.Prompt].Tokens[position + 1]));
            }

            _waiting.AddRange(rows.States);
            if (_targets.Count >= Lens.MostRows) Pass();
        }

        private void Pass()
        {
            if (_targets.Count == 0) return;
            IReadOnlyList<LensReading> readings = lens.Read(CollectionsMarshal.AsSpan(_waiting), new LensRequest { Targets = _targets.Select(t => t.Target).ToArray() });
            for (int i = 0; i < readings.Count; i++)
            {
                _sum[_targets[i].Prompt] += readings[i].TargetLogProbability!.Value;
                _count[_targets[i].Prompt]++;
            }

            _waiting.Clear();
            _targets.Clear();
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            state.Pass();
            TensorPrimitives.Add(_sum, state._sum, _sum);
            TensorPrimitives.Add(_count, state._count, _count);
        }

        public override CellResult Finish()
        {
            Pass();
            return new CellResult(("sum", _sum), ("count", _count));
        }
    }
}

/// <summary>What follows from the result of a <see cref="LogLikelihoodReducer"/>.</summary>
public static class LogLikelihood
{
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
