using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>All eigenvalues of a symmetric matrix and the eigenvector of the largest one, float64: what a spectrum needs, at a fraction of the
/// time of <see cref="SymmetricEigen"/>, which has all the vectors.</summary>
/// <remarks>
/// <para>Householder reflections in blocks: a product with the matrix for each, and one rank-2b update for b of them; then implicit QL without
/// vectors, and inverse iteration just above the largest eigenvalue. Eigenvalues are right to about n 1e-16 of the largest in magnitude.
/// Source: Golub and Van Loan, Matrix Computations, sections 8.3 and 8.4; blocks as in Dongarra, Sorensen and Hammarling, 1989, doi
/// 10.1016/0377-0427(89)90367-1.</para>
/// <para>A direction u can be made the last axis of the tridiagonal matrix. Then A - a u u', or A without u, is the same tridiagonal matrix but
/// for its last element or two, and its eigenvalues cost no second reduction: <see cref="Less"/>, <see cref="Without"/>.</para>
/// <para>Works in the matrix that it is given, and in 128 n values more. Sums are those of the processor's vector width: the last digits
/// differ between processors. Immutable; thread safe, as long as nobody else writes to the matrix.</para>
/// </remarks>
internal sealed class SymmetricEigenvalues
{
    private const int MaxIterations = 100;

    // Reflections in a block.
    private const int Block = 32;

    private readonly int _n;
    private readonly double[] _reflections; // row i: the vector of reflection i in its first i entries
    private readonly double[] _halfSquares; // (n), |v_i|^2 / 2; 0 where there is no reflection
    private readonly double[] _diagonal;    // (n), of the tridiagonal matrix
    private readonly double[] _below;       // (n), entry i couples i - 1 and i
    private readonly double[] _turn = [];   // (n), the reflection that turns the direction to the last axis
    private readonly double _halfTurn;      // half of its square; 0 where there is none

    /// <summary>Decomposes a matrix.</summary>
    /// <param name="matrix">(n, n) row-major, symmetric, finite; the lower triangle is read. Overwritten and kept.</param>
    /// <param name="n">Order, at least 1.</param>
    /// <param name="along">(n), a direction of any length for <see cref="Less"/> and <see cref="Without"/>; empty or zero for none.</param>
    /// <exception cref="ArgumentException">The matrix holds values that are not finite, or so large that their squares are not.</exception>
    public SymmetricEigenvalues(double[] matrix, int n, ReadOnlySpan<double> along = default)
    {
        _n = n;
        _reflections = matrix;
        for (int i = 0; i < n; i++)
        {
            if (!double.IsFinite(TensorPrimitives.SumOfSquares<double>(Row(i, i + 1)))) throw new ArgumentException("The matrix is not finite.", nameof(matrix));
        }

        _halfSquares = new double[n];
        _diagonal = new double[n];
        _below = new double[n];
        double length = along.IsEmpty ? 0 : TensorPrimitives.Norm(along);
        if (length > 0)
        {
            _turn = along.ToArray();
            TensorPrimitives.Divide(_turn, length, _turn);
            double end = _turn[^1] > 0 ? -1 : 1;
            _turn[^1] -= end;
            _halfTurn = -end * _turn[^1];
            Turn();
        }

        Tridiagonalise();
        Values = Eigenvalues(_diagonal, _below);
    }

    /// <summary>Eigenvalues, (n), descending.</summary>
    public double[] Values { get; }

    /// <summary>Eigenvalues of A - amount u u', u the unit vector of the direction that was given, (n), descending.</summary>
    /// <exception cref="InvalidOperationException">No direction was given.</exception>
    public double[] Less(double amount) => Changed(_diagonal[^1] - amount, _n == 1 ? 0 : _below[^1]);

    /// <summary>Eigenvalues of (I - u u') A (I - u u'), u the unit vector of the direction that was given, (n), descending.</summary>
    /// <exception cref="InvalidOperationException">No direction was given.</exception>
    public double[] Without() => Changed(0, 0);

    private double[] Changed(double diagonal, double below)
    {
        if (_halfTurn == 0) throw new InvalidOperationException("There is no direction to leave out.");
        return Eigenvalues([.. _diagonal[..^1], diagonal], [.. _below[..^1], below]);
    }

    /// <summary>A unit eigenvector of the largest eigenvalue, (n), of unspecified sign.</summary>
    public double[] First()
    {
        double[] vector = TopOfTridiagonal();
        for (int i = 2; i < _n; i++)
        {
            if (_halfSquares[i] > 0) Reflect(Row(i, i), _halfSquares[i], vector.AsSpan(0, i));
        }

        if (_halfTurn > 0) Reflect(_turn, _halfTurn, vector);
        TensorPrimitives.Divide(vector, TensorPrimitives.Norm<double>(vector), vector);
        return vector;
    }

    private static void Reflect(ReadOnlySpan<double> v, double halfSquare, Span<double> vector) =>
        TensorPrimitives.MultiplyAdd(v, -TensorPrimitives.Dot(v, vector) / halfSquare, vector, vector);

    private Span<double> Row(int row, int length) => _reflections.AsSpan(checked(row * _n), length);

    // The reflection of the direction from both sides: less v w' + w v'.
    private void Turn()
    {
        double[] w = new double[_n];
        MatrixProduct.MultiplySymmetric(_reflections, _n, _turn, w);
        Complete(w, _turn, _halfTurn);
        double[] left = [.. _turn, .. w], right = [.. w, .. _turn];
        MatrixProduct.Add(-1, left, _n, right, _n, 2, _reflections, _n, _n, _n, lower: true);
    }

    // From A v to the w of the update.
    private static void Complete(Span<double> product, ReadOnlySpan<double> v, double halfSquare)
    {
        TensorPrimitives.Divide(product, halfSquare, product);
        double share = TensorPrimitives.Dot(product, v) / (2 * halfSquare);
        TensorPrimitives.MultiplyAdd(v, -share, product, product);
    }

    private void Tridiagonalise()
    {
        // Pairs v, w and w, v of the reflections of a block, whose update the rows above have not seen yet.
        double[] left = new double[2 * Block * _n], right = new double[2 * Block * _n];
        for (int i = _n - 1; i > 0;)
        {
            int used = 0;
            for (; i > 0 && used < Block; i--)
            {
                Span<double> row = Row(i, i + 1);
                for (int p = 0; p < 2 * used; p++)
                    TensorPrimitives.MultiplyAdd(right.AsSpan(p * _n, i + 1), -left[(p * _n) + i], row, row);
                _diagonal[i] = row[i];
                Span<double> next = row[..i];
                double norm = TensorPrimitives.Norm<double>(next);
                if (i == 1 || norm == 0 || TensorPrimitives.Norm<double>(next[..^1]) == 0)
                {
                    _below[i] = next[^1];
                    continue;
                }

                double end = next[^1] > 0 ? -norm : norm;
                _below[i] = end;
                next[^1] -= end;
                double half = -end * next[^1]; // |v|^2 / 2
                _halfSquares[i] = half;

                // w from A v, where A is the matrix in memory less the updates of this block.
                Span<double> v = left.AsSpan(2 * used * _n, i), w = right.AsSpan(2 * used * _n, i);
                next.CopyTo(v);
                MatrixProduct.MultiplySymmetric(_reflections, _n, v, w);
                for (int p = 0; p < 2 * used; p++)
                {
                    ReadOnlySpan<double> known = right.AsSpan(p * _n, i);
                    TensorPrimitives.MultiplyAdd(known, -TensorPrimitives.Dot<double>(left.AsSpan(p * _n, i), v), w, w);
                }

                Complete(w, v, half);
                w.CopyTo(left.AsSpan(((2 * used) + 1) * _n));
                v.CopyTo(right.AsSpan(((2 * used) + 1) * _n));
                used++;
            }

            MatrixProduct.Add(-1, left, _n, right, _n, 2 * used, _reflections, _n, i + 1, i + 1, lower: true);
        }

        _diagonal[0] = _reflections[0];
    }

    private static double[] Eigenvalues(ReadOnlySpan<double> diagonal, ReadOnlySpan<double> below)
    {
        int n = diagonal.Length;
        double[] d = diagonal.ToArray(), e = new double[n]; // e[i] couples i and i + 1
        below[1..].CopyTo(e);
        for (int l = 0; l < n; l++)
        {
            for (int iteration = 0; ; iteration++)
            {
                int m = l;
                while (m < n - 1 && Math.Abs(e[m]) > double.Exp2(-53) * (Math.Abs(d[m]) + Math.Abs(d[m + 1]))) m++;
                if (m == l) break;
                if (iteration == MaxIterations) throw new ArgumentException("The eigenvalues did not converge.", nameof(below));
                Sweep(d, e, l, m);
            }
        }

        Array.Sort(d);
        Array.Reverse(d);
        return d;
    }

    /// <summary>One implicit QL sweep over rows l to m.</summary>
    private static void Sweep(double[] d, double[] e, int l, int m)
    {
        double g = (d[l + 1] - d[l]) / (2 * e[l]);
        g = d[m] - d[l] + (e[l] / (g + Math.CopySign(double.Hypot(g, 1), g)));
        double sine = 1, cosine = 1, shift = 0;
        for (int i = m - 1; i >= l; i--)
        {
            double f = sine * e[i], b = cosine * e[i], r = double.Hypot(f, g);
            e[i + 1] = r;
            if (r == 0)
            {
                d[i + 1] -= shift;
                e[m] = 0;
                return;
            }

            sine = f / r;
            cosine = g / r;
            g = d[i + 1] - shift;
            r = ((d[i] - g) * sine) + (2 * cosine * b);
            shift = sine * r;
            d[i + 1] = g + shift;
            g = (cosine * r) - b;
        }

        d[l] -= shift;
        e[l] = g;
        e[m] = 0;
    }

    private double[] TopOfTridiagonal()
    {
        int n = _n;
        var pivots = new double[n];
        double size = Math.Max(Math.Abs(Values[0]), Math.Abs(Values[^1])), shift = Values[0];
        var vector = new double[n];
        if (size == 0)
        {
            vector[0] = 1;
            return vector;
        }

        // x I - T is positive definite for x above the spectrum, so that elimination without pivoting is stable.
        for (double step = 1e-15 * size; !IsAboveAll(shift); step *= 2) shift += step;
        var random = new Random(12345);
        for (int i = 0; i < n; i++) vector[i] = (2 * random.NextDouble()) - 1;
        for (int iteration = 0; iteration < 4; iteration++)
        {
            for (int i = 1; i < n; i++) vector[i] += vector[i - 1] * _below[i] / pivots[i - 1];
            for (int i = n - 1; i >= 0; i--) vector[i] = (vector[i] + (i < n - 1 ? _below[i + 1] * vector[i + 1] : 0)) / pivots[i];
            TensorPrimitives.Divide(vector, Math.Abs(TensorPrimitives.MaxMagnitude<double>(vector)), vector);
        }

        return vector;

        // True when no eigenvalue reaches x: all pivots of x I - T are positive (Sylvester's law of inertia). Leaves the pivots behind.
        bool IsAboveAll(double x)
        {
            for (int i = 0; i < n; i++)
            {
                pivots[i] = x - _diagonal[i] - (i > 0 ? _below[i] * _below[i] / pivots[i - 1] : 0);
                if (!(pivots[i] > 0)) return false;
            }

            return true;
        }
    }
}
