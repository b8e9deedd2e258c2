using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using EmScan.Engine.Numerics;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// How far a direction tells two poles apart, one row a prompt: "d_prime" (mean+ - mean-) / sqrt((var+ + var-) / 2) along the direction, which was
/// made from these rows; "split_half_accuracy", the share of rows on the right side of the midpoint when the direction (mean difference) and the
/// midpoint come from the rows of the other half, ties one half; "cosine" of the mean difference with the direction; and "random_d_prime", |d'|
/// along each of some random directions. Parts that cannot be formed are left out.
/// </summary>
/// <remarks>Definition: docs/layers.md. Variances are those of samples (1 / (N - 1)).</remarks>
internal sealed class SeparationReducer : Reducer
{
    private readonly float[] _direction;
    private readonly bool[] _positive;
    private readonly bool[] _half;
    private readonly int _draws;
    private readonly int _seed;

    /// <summary>Makes the reducer.</summary>
    /// <param name="direction">(D), a unit vector that points to the positive pole.</param>
    /// <param name="positive">(P), whether a prompt is of the positive pole.</param>
    /// <param name="half">(P), which half a prompt is of.</param>
    /// <param name="draws">Random directions.</param>
    /// <param name="seed">Of these.</param>
    internal SeparationReducer(ReadOnlySpan<float> direction, bool[] positive, bool[] half, int draws, int seed)
    {
        if (positive.Length != half.Length) throw new ArgumentException("Each prompt needs a pole and a half.", nameof(half));
        (_direction, _positive, _half, _draws, _seed) = (direction.ToArray(), positive, half, draws, seed);
        byte[] labels = [.. positive.Zip(half, (p, h) => (byte)((p ? 2 : 0) + (h ? 1 : 0)))];
        Identity = $"separation 1 {draws} random of seed {seed} {Convert.ToHexStringLower(SHA256.HashData([.. MemoryMarshal.AsBytes<float>(_direction), .. labels]))}";
    }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return sizeof(float) * prompts.Rows * width;
    }

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (prompts.Rows != _positive.Length) throw new ArgumentException($"There are {prompts.Rows} rows for {_positive.Length} labels.", nameof(prompts));
        if (_direction.Length != width) throw new ArgumentException($"The direction has {_direction.Length} values, but the model's hidden size is {width}.", nameof(width));
        return new State(this, width);
    }

    private sealed class State(SeparationReducer reducer, int width) : Accumulator
    {
        private readonly float[] _rows = new float[checked(reducer._positive.Length * width)];
        private readonly bool[] _seen = new bool[reducer._positive.Length];

        public override void Add(in RowBlock rows)
        {
            if (rows.Count != 1) throw new InvalidOperationException("The poles have one row a prompt.");
            rows.States.CopyTo(_rows.AsSpan(rows.Prompt * width, width));
            _seen[rows.Prompt] = true;
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            for (int p = 0; p < _seen.Length; p++)
            {
                if (!state._seen[p]) continue;
                state._rows.AsSpan(p * width, width).CopyTo(_rows.AsSpan(p * width, width));
                _seen[p] = true;
            }
        }

        public override CellResult Finish()
        {
            if (!float.IsFinite(TensorPrimitives.Sum<float>(_rows)))
                throw new EmScanException("the hidden states of the traits' poles hold NaN or infinity; the weights are damaged or overflow.");
            var parts = new List<(string, double[])>();
            if (DPrime(Project(reducer._direction)) is { } along) parts.Add(("d_prime", [along]));
            if (SplitHalf() is { } accuracy) parts.Add(("split_half_accuracy", [accuracy]));
            double[] difference = Difference(_ => true);
            double[] direction = Array.ConvertAll(reducer._direction, v => (double)v);
            double norms = TensorPrimitives.Norm<double>(difference) * TensorPrimitives.Norm<double>(direction);
            if (norms > 0) parts.Add(("cosine", [TensorPrimitives.Dot<double>(difference, direction) / norms]));
            var random = new Random(reducer._seed);
            double[] byChance = [.. Enumerable.Range(0, reducer._draws).Select(_ => DPrime(Project(RandomDirection(random)))).OfType<double>().Select(Math.Abs)];
            if (byChance.Length > 0) parts.Add(("random_d_prime", byChance));
            return new CellResult([.. parts]);
        }

        private float[] RandomDirection(Random random)
        {
            double[] direction = new double[width];
            Normal.Direction(random, direction);
            return Array.ConvertAll(direction, v => (float)v);
        }

        private double[] Project(ReadOnlySpan<float> direction)
        {
            double[] projections = new double[_seen.Length];
            KernelSets.Default.Project(_rows, direction, width, projections);
            return projections;
        }

        private double? DPrime(double[] values)
        {
            (double mean, double variance) above = Moments(values, true), below = Moments(values, false);
            double spread = Math.Sqrt((above.variance + below.variance) / 2);
            return spread > 0 ? (above.mean - below.mean) / spread : null;
        }

        private (double Mean, double Variance) Moments(double[] values, bool positive)
        {
            double[] some = [.. values.Where((_, p) => reducer._positive[p] == positive)];
            double mean = some.Average();
            return (mean, some.Sum(v => (v - mean) * (v - mean)) / (some.Length - 1));
        }

        private double? SplitHalf()
        {
            foreach (bool half in new[] { false, true })
            {
                if (!Rows(true, half).Any() || !Rows(false, half).Any()) return null;
            }

            double right = 0;
            foreach (bool half in new[] { false, true })
            {
                float[] direction = Array.ConvertAll(Difference(p => reducer._half[p] == half), v => (float)v);
                double[] values = Project(direction);
                double middle = (Rows(true, half).Average(p => values[p]) + Rows(false, half).Average(p => values[p])) / 2;
                right += Rows(true, !half).Sum(p => Credit(values[p], middle)) + Rows(false, !half).Sum(p => Credit(middle, values[p]));
            }

            return right / _seen.Length;

            static double Credit(double higher, double lower) => higher > lower ? 1 : higher == lower ? 0.5 : 0;
        }

        private IEnumerable<int> Rows(bool positive, bool half) =>
            Enumerable.Range(0, _seen.Length).Where(p => reducer._positive[p] == positive && reducer._half[p] == half);

        // mean+ - mean- over some prompts, (D).
        private double[] Difference(Func<int, bool> some)
        {
            double[] difference = new double[width], sum = new double[width];
            foreach (bool positive in new[] { true, false })
            {
                Array.Clear(sum);
                int count = 0;
                for (int p = 0; p < _seen.Length; p++)
                {
                    if (reducer._positive[p] != positive || !some(p)) continue;
                    KernelSets.Default.AddRow(_rows.AsSpan(p * width, width), sum);
                    count++;
                }

                TensorPrimitives.MultiplyAdd(sum, (positive ? 1.0 : -1.0) / count, difference, difference);
            }

            return difference;
        }
    }
}
