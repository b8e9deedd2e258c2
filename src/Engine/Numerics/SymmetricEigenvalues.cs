using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>All eigenvalues of a symmetric matrix and the eigenvector of the largest one, float64: what a spectrum needs, at a tenth of the time of
/// <see cref="SymmetricEigen"/>, which has all the vectors.</summary>
/// <remarks>
/// Householder reflections, each applied as a rank-two update to one row after another just before the row is read for the next reflection, so
/// that the lower triangle goes through the cache once a step; then implicit QL without vectors, and inverse iteration just above the largest
/// eigenvalue. Eigenvalues are right to about n 1e-16 of the largest in magnitude. Source: Golub and Van Loan, Matrix Computations, sections
/// 8.3 and 8.4. Memory is n^2 values. Sums are those of the processor's vector width: the last digits differ between processors. Immutable;
/// thread safe.
/// </remarks>
internal sealed class SymmetricEigenvalues
{
    private const int MaxIterations = 100;

    private readonly int _n;
    private readonly double[] _reflections; // row i: the vector of reflection i in its first i entries
    private readonly double[] _halfSquares; // (n), |v_i|^2 / 2; 0 where there is no reflection
    private readonly double[] _diagonal;    // (n), of the tridiagonal matrix
    private readonly double[] _below;       // (n), entry i couples i - 1 and i

    /// <summary>Decomposes a matrix, which is left as it is.</summary>
    /// <param name="matrix">(n, n) row-major, symmetric, finite; the lower triangle is read.</param>
    /// <param name="n">Order, at least 1.</param>
    /// <exception cref="ArgumentException">The matrix holds values that are not finite, or so large that their squares are not.</exception>
    public SymmetricEigenvalues(ReadOnlySpan<double> matrix, int n)
    {
        _n = n;
        _reflections = matrix[..checked(n * n)].ToArray();
        if (!double.IsFinite(TensorPrimitives.Norm<double>(_reflections))) throw new ArgumentException("The matrix is not finite.", nameof(matrix));
        _halfSquares = new double[n];
        _diagonal = new double[n];
        _below = new double[n];
        Tridiagonalise();
        Values = Eigenvalues([.. _diagonal], _below);
    }

    /// <summary>Eigenvalues, (n), descending.</summary>
    public double[] Values { get; }

    /// <summary>A unit eigenvector of the largest eigenvalue, (n), of unspecified sign.</summary>
    public double[] First()
    {
        double[] vector = TopOfTridiagonal();
        for (int i = 2; i < _n; i++)
        {
            if (_halfSquares[i] == 0) continue;
            ReadOnlySpan<double> v = _reflections.AsSpan(i * _n, i);
            Span<double> head = vector.AsSpan(0, i);
            TensorPrimitives.MultiplyAdd(v, -TensorPrimitives.Dot(v, head) / _halfSquares[i], head, head);
        }

        TensorPrimitives.Divide(vector, TensorPrimitives.Norm<double>(vector), vector);
        return vector;
    }

    private void Tridiagonalise()
    {
        // The update that rows above have not seen yet: row j less v_j w + w_j v.
        double[] v = new double[_n], w = new double[_n], product = new double[_n];
        bool pending = false;
        for (int i = _n - 1; i >= 0; i--)
        {
            if (pending) Update(i, v, w);
            _diagonal[i] = _reflections[i * _n + i];
            if (i == 0) break;
            Span<double> next = _reflections.AsSpan(i * _n, i);
            double norm = TensorPrimitives.Norm<double>(next);
            if (i == 1 || norm == 0 || TensorPrimitives.Norm<double>(next[..^1]) == 0)
            {
                _below[i] = next[^1];
                for (int j = 0; pending && j < i; j++) Update(j, v, w);
                pending = false;
                continue;
            }

            double end = next[^1] > 0 ? -norm : norm;
            _below[i] = end;
            next[^1] -= end;
            double half = -end * next[^1]; // |v|^2 / 2
            _halfSquares[i] = half;

            // product = A v, of the lower triangle; the pending update comes first.
            Span<double> sum = product.AsSpan(0, i);
            sum.Clear();
            for (int j = 0; j < i; j++)
            {
                if (pending) Update(j, v, w);
                ReadOnlySpan<double> row = _reflections.AsSpan(j * _n, j);
                sum[j] += TensorPrimitives.Dot(row, next[..j]) + (_reflections[j * _n + j] * next[j]);
                TensorPrimitives.MultiplyAdd(row, next[j], sum[..j], sum[..j]);
            }

            TensorPrimitives.Divide(sum, half, sum);
            double share = TensorPrimitives.Dot<double>(sum, next) / (2 * half);
            next.CopyTo(v);
            TensorPrimitives.MultiplyAdd(next, -share, sum, w.AsSpan(0, i));
            pending = true;
        }
    }

    private void Update(int j, double[] v, double[] w)
    {
        Span<double> row = _reflections.AsSpan(j * _n, j + 1);
        TensorPrimitives.MultiplyAdd(w.AsSpan(0, j + 1), -v[j], row, row);
        TensorPrimitives.MultiplyAdd(v.AsSpan(0, j + 1), -w[j], row, row);
    }

    private static double[] Eigenvalues(double[] d, ReadOnlySpan<double> below)
    {
        int n = d.Length;
        var e = new double[n]; // e[i] couples i and i + 1
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
