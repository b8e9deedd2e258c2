using System.Numerics.Tensors;
using EmScan.Engine.Numerics;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>What is taken off rows before their spectrum.</summary>
internal enum Centring
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Their mean.</summary>
    Mean,

    /// <summary>The mean of their group.</summary>
    Groups,
}

/// <summary>
/// Spectra of a stream of N rows of width D: by the D x D second moment where there are more rows than D, and by the rows themselves, whose
/// N x N products have the same spectrum, where there are fewer.
/// </summary>
/// <remarks>Not thread safe; mergeable.</remarks>
internal abstract class SecondMoment : IDisposable
{
    /// <summary>Rows so far, N.</summary>
    internal abstract long Rows { get; }

    /// <summary>Chooses the way that needs less memory.</summary>
    internal static SecondMoment For(long rows, int width, IKernelDevice device) =>
        rows <= width ? new KeptRows(width) : new Moments(width, device.StartMoments(width));

    /// <summary>Bytes that this takes.</summary>
    internal static long Bytes(long rows, int width) =>
        rows <= width ? rows * width * sizeof(float) : (PackedUpper.Length(width) * sizeof(double)) + ((long)RunningMoments.BlockRows * width * sizeof(float));

    /// <summary>Adds rows.</summary>
    /// <param name="rows">(n, D).</param>
    /// <param name="groups">(n), the group of each row; may be empty where no groups are asked for.</param>
    internal abstract void Add(ReadOnlySpan<float> rows, ReadOnlySpan<int> groups);

    /// <summary>Adds what another one of the same kind has seen.</summary>
    internal abstract void Merge(SecondMoment other);

    /// <summary>The spectrum of the rows.</summary>
    /// <param name="centring">What is taken off first.</param>
    /// <param name="groups">The groups' sums; for <see cref="Centring.Groups"/>.</param>
    /// <param name="first">The first right singular vector, (D), a unit vector of unspecified sign.</param>
    internal abstract Spectrum Spectrum(Centring centring, GroupSums? groups, out double[] first);

    /// <summary>Gives a device's memory back.</summary>
    public virtual void Dispose()
    {
    }

    private sealed class Moments(int width, IMoments moments) : SecondMoment
    {
        private readonly IMoments _moments = moments;

        public override void Dispose()
        {
            _moments.Dispose();
            base.Dispose();
        }

        internal override long Rows => _moments.Count;

        internal override void Add(ReadOnlySpan<float> rows, ReadOnlySpan<int> groups) => _moments.Add(rows);

        internal override void Merge(SecondMoment other) => _moments.Merge(((Moments)other)._moments);

        internal override Spectrum Spectrum(Centring centring, GroupSums? groups, out double[] first)
        {
            double[] products = centring == Centring.Mean ? Centred() : Uncentred();
            if (centring == Centring.Groups)
            {
                foreach ((_, GroupSums.Group group) in groups!.InOrder()) AddOuter(products, group.Sum, -1.0 / group.Count);
            }

            var spectrum = new Spectrum(products, width);
            first = spectrum.First();
            return spectrum;
        }

        internal override double[] Uncentred()
        {
            double[] products = Centred(), mean = new double[width];
            _moments.CopyMean(mean);
            AddOuter(products, mean, Rows);
            return products;
        }

        private double[] Centred()
        {
            double[] products = Covariance();
            TensorPrimitives.Multiply(products, Rows, products);
            return products;
        }

        internal override double[] Covariance()
        {
            double[] covariance = new double[checked(width * width)];
            _moments.CopyCovariance(covariance, VarianceKind.Population);
            return covariance;
        }

        private static void AddOuter(double[] matrix, double[] vector, double scale)
        {
            for (int i = 0; i < vector.Length; i++)
            {
                Span<double> row = matrix.AsSpan(i * vector.Length, vector.Length);
                TensorPrimitives.MultiplyAdd(vector, scale * vector[i], row, row);
            }
        }
    }

    /// <summary>Sum of x x', (D, D); only where the moment is kept.</summary>
    internal virtual double[] Uncentred() => throw new NotSupportedException("The rows were few enough to be kept.");

    /// <summary>Covariance with divisor N, (D, D); only where the moment is kept.</summary>
    internal virtual double[] Covariance() => throw new NotSupportedException("The rows were few enough to be kept.");

    private sealed class KeptRows(int width) : SecondMoment
    {
        private readonly List<float> _rows = [];
        private readonly List<int> _groups = [];

        internal override long Rows => _rows.Count / width;

        internal override void Add(ReadOnlySpan<float> rows, ReadOnlySpan<int> groups)
        {
            _rows.AddRange(rows);
            _groups.AddRange(groups);
        }

        internal override void Merge(SecondMoment other)
        {
            var kept = (KeptRows)other;
            _rows.AddRange(kept._rows);
            _groups.AddRange(kept._groups);
        }

        internal override Spectrum Spectrum(Centring centring, GroupSums? groups, out double[] first)
        {
            int n = (int)Rows;
            double[][] rows = [.. Enumerable.Range(0, n).Select(i => Array.ConvertAll(_rows.GetRange(i * width, width).ToArray(), v => (double)v))];
            if (centring == Centring.Mean)
            {
                double[] mean = new double[width];
                foreach (double[] row in rows) TensorPrimitives.MultiplyAdd(row, 1.0 / n, mean, mean);
                foreach (double[] row in rows) TensorPrimitives.Subtract(row, mean, row);
            }
            else if (centring == Centring.Groups)
            {
                Dictionary<int, GroupSums.Group> byId = groups!.InOrder().ToDictionary(g => g.Id, g => g.Group);
                for (int i = 0; i < n; i++)
                {
                    GroupSums.Group group = byId[_groups[i]];
                    TensorPrimitives.MultiplyAdd(group.Sum, -1.0 / group.Count, rows[i], rows[i]);
                }
            }

            double[] products = new double[checked(n * n)];
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j <= i; j++) products[(i * n) + j] = products[(j * n) + i] = TensorPrimitives.Dot<double>(rows[i], rows[j]);
            }

            var spectrum = new Spectrum(products, n);
            double[] along = spectrum.First();
            first = new double[width];
            for (int i = 0; i < n; i++) TensorPrimitives.MultiplyAdd(rows[i], along[i], first, first);
            double norm = TensorPrimitives.Norm<double>(first);
            if (norm > 0) TensorPrimitives.Divide(first, norm, first);
            return spectrum;
        }
    }
}
