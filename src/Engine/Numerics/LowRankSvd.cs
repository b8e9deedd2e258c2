using System.Numerics.Tensors;
using MathNet.Numerics.Providers.LinearAlgebra;

namespace EmScan.Engine.Numerics;

/// <summary>Singular values and vectors of a product of factors, s B A, without forming it, float64.</summary>
/// <remarks>With B = Qb Rb and A' = Qa Ra, s B A = Qb (s Rb Ra') Qa', and the middle is only R x R. Costs O((O + I) R^2 + R^3). Products of
/// singular values that are tiny beside the largest are right to 1e-16 of the largest. Immutable; thread safe.</remarks>
internal sealed class LowRankSvd
{
    private readonly Side _output; // (O, R)
    private readonly Side _input;  // (I, R)
    private readonly double[] _u;  // columns of (k1)
    private readonly double[] _v;  // rows of V', transposed: column i is right vector i, (k2)

    /// <param name="b">B, (O, R) row-major, finite: lora_B.</param>
    /// <param name="a">A, (R, I) row-major, finite: lora_A.</param>
    /// <param name="rank">R, at least 1.</param>
    /// <param name="scale">s, for example alpha / R.</param>
    /// <exception cref="ArgumentException">A length is no multiple of the rank, or zero.</exception>
    public LowRankSvd(ReadOnlySpan<float> b, ReadOnlySpan<float> a, int rank, double scale = 1)
    {
        if (b.IsEmpty || a.IsEmpty || b.Length % rank != 0 || a.Length % rank != 0)
            throw new ArgumentException($"Factors of {b.Length} and {a.Length} values have no rank {rank}.", nameof(rank));
        int outputs = b.Length / rank, inputs = a.Length / rank;
        var ofB = new double[rank][];
        var ofA = new double[rank][];
        for (int r = 0; r < rank; r++)
        {
            ofB[r] = new double[outputs];
            for (int o = 0; o < outputs; o++) ofB[r][o] = b[(o * rank) + r] * scale;
            ofA[r] = new double[inputs];
            TensorPrimitives.ConvertTruncating(a.Slice(r * inputs, inputs), ofA[r]);
        }

        (_output, _input) = (new Side(ofB), new Side(ofA));
        int rows = _output.Dimension, columns = _input.Dimension;
        var core = new double[rows * columns]; // column by column
        for (int j = 0; j < columns; j++)
        {
            for (int i = 0; i < rows; i++)
            {
                double sum = 0;
                for (int r = 0; r < rank; r++) sum += _output.Coordinate(r, i) * _input.Coordinate(r, j);
                core[(j * rows) + i] = sum;
            }
        }

        Values = new double[Math.Min(rows, columns)];
        _u = new double[rows * rows];
        var vt = new double[columns * columns];
        ManagedLinearAlgebraProvider.Instance.SingularValueDecomposition(true, core, rows, columns, Values, _u, vt);
        _v = new double[vt.Length];
        for (int i = 0; i < columns; i++)
        {
            for (int j = 0; j < columns; j++) _v[(i * columns) + j] = vt[(j * columns) + i];
        }
    }

    /// <summary>Singular values, (min(R, O, I)), descending, not negative.</summary>
    public double[] Values { get; }

    /// <summary>Left singular vector i, a unit vector on the output side, (O).</summary>
    public double[] Left(int i) => _output.Lift(_u.AsSpan(i * _output.Dimension, _output.Dimension));

    /// <summary>Right singular vector i, a unit vector on the input side, (I).</summary>
    public double[] Right(int i) => _input.Lift(_v.AsSpan(i * _input.Dimension, _input.Dimension));

    /// <summary>R columns in an orthonormal basis of what they span, or as they are where they are no longer than there are of them.</summary>
    private sealed class Side
    {
        private readonly double[][] _columns;
        private readonly ThinQr? _qr;

        public Side(double[][] columns)
        {
            _columns = columns;
            Dimension = Math.Min(columns.Length, columns[0].Length);
            if (columns[0].Length > columns.Length) _qr = new ThinQr(columns);
        }

        public int Dimension { get; }

        public double Coordinate(int column, int i) => _qr?.R(i, column) ?? _columns[column][i];

        public double[] Lift(ReadOnlySpan<double> coordinates) => _qr?.Multiply(coordinates) ?? coordinates.ToArray();
    }
}
