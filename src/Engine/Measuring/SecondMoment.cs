using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using EmScan.Engine.Numerics;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

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
        rows <= width ? new KeptRows((int)rows, width) : new Moments(width, device.StartMoments(width));

    /// <summary>Bytes that this takes.</summary>
    internal static long Bytes(long rows, int width) =>
        rows <= width ? rows * width * sizeof(float) : (PackedUpper.Length(width) * sizeof(double)) + ((long)RunningMoments.BlockRows * width * sizeof(float));

    /// <summary>Bytes that its spectra take while they are computed: one square matrix, whatever their number.</summary>
    internal static long SpectrumBytes(long rows, int width) => sizeof(double) * (long)Math.Min(rows, width) * Math.Min(rows, width);

    /// <summary>Adds rows.</summary>
    /// <param name="rows">(n, D).</param>
    /// <param name="groups">(n), the group of each row; may be empty where no groups are asked for.</param>
    internal abstract void Add(ReadOnlySpan<float> rows, ReadOnlySpan<int> groups);

    /// <summary>Adds what another one of the same kind has seen.</summary>
    internal abstract void Merge(SecondMoment other);

    /// <summary>The spectra of the rows, of the rows less their mean, and, where there are groups, of the rows less the means of these.</summary>
    /// <param name="groups">The groups' sums, or null.</param>
    internal abstract RowSpectra Spectra(GroupSums? groups);

    /// <summary>Gives a device's memory back.</summary>
    public virtual void Dispose()
    {
    }

    /// <summary>Sum of x x', (D, D); only where the moment is kept.</summary>
    internal virtual double[] Uncentred() => throw new NotSupportedException("The rows were few enough to be kept.");

    /// <summary>Covariance with divisor N, (D, D); only where the moment is kept.</summary>
    internal virtual double[] Covariance() => throw new NotSupportedException("The rows were few enough to be kept.");

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

        internal override RowSpectra Spectra(GroupSums? groups)
        {
            // Centring takes N m m' off: with the mean as the last axis one reduction gives both spectra.
            double[] mean = Mean(), products = Uncentred();
            var eigen = new SymmetricEigenvalues(products, width, mean);
            double energy = Rows * TensorPrimitives.SumOfSquares<double>(mean);
            var spectra = new RowSpectra(new Spectrum(eigen.Values), eigen.First(), new Spectrum(energy > 0 ? eigen.Less(energy) : eigen.Values));
            if (groups == null) return spectra;
            WriteUncentred(products);
            SubtractMeans(products, groups);
            eigen = new SymmetricEigenvalues(products, width);
            return spectra with { BehindGroups = new Spectrum(eigen.Values), FirstBehindGroups = eigen.First() };
        }

        internal override double[] Uncentred()
        {
            double[] products = new double[checked(width * width)];
            WriteUncentred(products);
            return products;
        }

        internal override double[] Covariance()
        {
            double[] covariance = new double[checked(width * width)];
            _moments.CopyCovariance(covariance, VarianceKind.Population);
            return covariance;
        }

        private double[] Mean()
        {
            double[] mean = new double[width];
            _moments.CopyMean(mean);
            return mean;
        }

        private void WriteUncentred(double[] products)
        {
            _moments.CopyCovariance(products, VarianceKind.Population);
            TensorPrimitives.Multiply(products, Rows, products);
            double[] mean = Mean();
            for (int i = 0; i < width; i++)
            {
                Span<double> row = products.AsSpan(i * width, width);
                TensorPrimitives.MultiplyAdd(mean, Rows * mean[i], row, row);
            }
        }

        // Less n_g M_g M_g' for each group, some groups at a time; in the lower triangle, which is all that is read.
        private void SubtractMeans(double[] products, GroupSums groups)
        {
            const int most = 64;
            foreach ((int Id, GroupSums.Group Group)[] some in groups.InOrder().Chunk(most))
            {
                double[] sums = new double[some.Length * width];
                for (int g = 0; g < some.Length; g++)
                    TensorPrimitives.Divide(some[g].Group.Sum, Math.Sqrt(some[g].Group.Count), sums.AsSpan(g * width, width));
                MatrixProduct.Add(-1, sums, width, sums, width, some.Length, products, width, width, width, lower: true);
            }
        }
    }

    private sealed class KeptRows(int expected, int width) : SecondMoment
    {
        private readonly List<float> _rows = new((int)Math.Min(Array.MaxLength, (long)expected * width));
        private readonly List<int> _groups = new(expected);

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

        internal override RowSpectra Spectra(GroupSums? groups)
        {
            // Centring takes the direction (1, .., 1) out of X X': with it as the last axis one reduction gives both spectra.
            int n = (int)Rows;
            double[] products = new double[checked(n * n)], constant = new double[n];
            Array.Fill(constant, 1);
            AddProducts(products, n, null);
            var eigen = new SymmetricEigenvalues(products, n, constant);
            var spectra = new RowSpectra(new Spectrum(eigen.Values), Direction(eigen.First(), null), new Spectrum(eigen.Without()));
            if (groups == null) return spectra;
            Dictionary<int, double[]> means = groups.InOrder().ToDictionary(g => g.Id, g => Array.ConvertAll(g.Group.Sum, sum => sum / g.Group.Count));
            Array.Clear(products);
            AddProducts(products, n, means);
            eigen = new SymmetricEigenvalues(products, n);
            return spectra with { BehindGroups = new Spectrum(eigen.Values), FirstBehindGroups = Direction(eigen.First(), means) };
        }

        // X X' in the lower triangle, some columns of X at a time.
        private void AddProducts(double[] products, int n, Dictionary<int, double[]>? means)
        {
            const int most = 128;
            ReadOnlySpan<float> rows = CollectionsMarshal.AsSpan(_rows);
            double[] columns = new double[most * n];
            for (int first = 0; first < width; first += most)
            {
                int count = Math.Min(most, width - first);
                for (int i = 0; i < n; i++)
                {
                    ReadOnlySpan<double> mean = means == null ? default : means[_groups[i]];
                    for (int d = 0; d < count; d++) columns[(d * n) + i] = rows[(i * width) + first + d] - (mean.IsEmpty ? 0 : mean[first + d]);
                }

                MatrixProduct.Add(1, columns, n, columns, n, count, products, n, n, n, lower: true);
            }
        }

        // X' u, a unit vector.
        private double[] Direction(double[] along, Dictionary<int, double[]>? means)
        {
            ReadOnlySpan<float> rows = CollectionsMarshal.AsSpan(_rows);
            double[] direction = new double[width], row = new double[width];
            for (int i = 0; i < along.Length; i++)
            {
                TensorPrimitives.ConvertTruncating(rows.Slice(i * width, width), row);
                if (means != null) TensorPrimitives.Subtract(row, means[_groups[i]], row);
                TensorPrimitives.MultiplyAdd(row, along[i], direction, direction);
            }

            double norm = TensorPrimitives.Norm<double>(direction);
            if (norm > 0) TensorPrimitives.Divide(direction, norm, direction);
            return direction;
        }
    }
}

/// <summary>Spectra of the same rows. Directions are first right singular vectors, (D), unit vectors of unspecified sign.</summary>
/// <param name="Uncentred">Of the rows.</param>
/// <param name="First">Their first direction.</param>
/// <param name="Centred">Of the rows less their mean.</param>
internal sealed record RowSpectra(Spectrum Uncentred, double[] First, Spectrum Centred)
{
    /// <summary>Of the rows less the means of their groups; null without groups.</summary>
    internal Spectrum? BehindGroups { get; init; }

    /// <summary>The first direction of these.</summary>
    internal double[]? FirstBehindGroups { get; init; }
}
