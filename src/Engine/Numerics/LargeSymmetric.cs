using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>All eigenvalues of a large symmetric matrix and the eigenvector of the largest, float64.</summary>
/// <remarks>
/// MathNet.Numerics computes all eigenvectors or nothing, which takes minutes from n = 2048 on. Here: Householder tridiagonalisation whose
/// rank-2 update and next product share one pass over the matrix, by rows on all processors; implicit QL without vectors; inverse iteration.
/// Eigenvalues are right to about n 1e-16 of the largest in magnitude. Source: Golub and Van Loan, Matrix Computations, sections 8.3 and
/// 8.2.2. The same matrix gives the same result, whatever the number of threads. Immutable; thread safe.
/// </remarks>
internal sealed class LargeSymmetric
{
    // Rows that a thread takes at a time: below this the hand-over costs more than it gives.
    private const int RowsTogether = 64;

    /// <summary>Decomposes a matrix, which is overwritten.</summary>
    /// <param name="matrix">(n, n) row-major, symmetric, finite.</param>
    /// <param name="n">Order, at least 1.</param>
    /// <exception cref="ArgumentException">The matrix holds values that are not finite, or so large that their squares are not.</exception>
    public LargeSymmetric(double[] matrix, int n)
    {
        if (!double.IsFinite(TensorPrimitives.Norm<double>(matrix))) throw new ArgumentException("The matrix is not finite.", nameof(matrix));
        double[] diagonal = new double[n], beside = new double[n], betas = new double[n];
        Tridiagonalise(matrix, n, diagonal, beside, betas);
        Values = Eigenvalues((double[])diagonal.Clone(), (double[])beside.Clone());
        Array.Sort(Values);
        Array.Reverse(Values);
        First = InverseIteration(diagonal, beside, Values[0]);
        for (int k = n - 3; k >= 0; k--)
        {
            if (betas[k] == 0) continue;
            ReadOnlySpan<double> reflector = matrix.AsSpan((k * n) + k + 1, n - k - 1);
            Span<double> part = First.AsSpan(k + 1);
            TensorPrimitives.MultiplyAdd(reflector, -betas[k] * TensorPrimitives.Dot(reflector, part), part, part);
        }
    }

    /// <summary>Eigenvalues, (n), descending.</summary>
    public double[] Values { get; }

    /// <summary>Unit eigenvector of the largest, (n), of unspecified sign.</summary>
    public double[] First { get; }

    // Row k of the matrix is left with the reflector of step k, behind its diagonal.
    private static void Tridiagonalise(double[] a, int n, double[] diagonal, double[] beside, double[] betas)
    {
        double[] v = new double[n], w = new double[n], nextV = new double[n], p = new double[n];
        for (int k = 0; k < n; k++)
        {
            int size = n - k - 1;
            Update(k, k);
            diagonal[k] = a[(k * n) + k];
            if (size == 0) break;
            Span<double> x = a.AsSpan((k * n) + k + 1, size);
            if (size == 1)
            {
                beside[k] = x[0];
                Update(n - 1, n - 1);
                diagonal[n - 1] = a[((n - 1) * n) + n - 1];
                break;
            }

            double norm = TensorPrimitives.Norm<double>(x), tail = TensorPrimitives.Norm<double>(x[1..]);
            Array.Clear(nextV);
            beside[k] = x[0];
            if (tail > 0)
            {
                double alpha = -Math.CopySign(norm, x[0]);
                x.CopyTo(nextV.AsSpan(k + 1));
                nextV[k + 1] -= alpha;
                betas[k] = 2 / TensorPrimitives.SumOfSquares<double>(nextV.AsSpan(k + 1, size));
                beside[k] = alpha;
            }

            // One pass: the update that is due, and the product with the next reflector.
            int from = k + 1;
            double beta = betas[k];
            int parts = (size + RowsTogether - 1) / RowsTogether;
            if (parts < 4) Rows(0, size);
            else Parallel.For(0, parts, part => Rows(part * RowsTogether, Math.Min(size, (part + 1) * RowsTogether)));
            double half = beta / 2 * TensorPrimitives.Dot<double>(p.AsSpan(from, size), nextV.AsSpan(from, size));
            nextV.AsSpan(from, size).CopyTo(x);
            Array.Clear(v);
            Array.Clear(w);
            nextV.AsSpan(from, size).CopyTo(v.AsSpan(from));
            TensorPrimitives.MultiplyAdd(nextV.AsSpan(from, size), -half, p.AsSpan(from, size), w.AsSpan(from));

            void Rows(int first, int end)
            {
                for (int i = from + first; i < from + end; i++)
                {
                    Update(i, from);
                    p[i] = beta * TensorPrimitives.Dot<double>(a.AsSpan((i * n) + from, size), nextV.AsSpan(from, size));
                }
            }
        }

        void Update(int row, int column)
        {
            if (v[row] == 0 && w[row] == 0) return;
            Span<double> values = a.AsSpan((row * n) + column, n - column);
            TensorPrimitives.MultiplyAdd(w.AsSpan(column), -v[row], values, values);
            TensorPrimitives.MultiplyAdd(v.AsSpan(column), -w[row], values, values);
        }
    }

    // Implicit QL with Wilkinson's shift, values only.
    private static double[] Eigenvalues(double[] d, double[] e)
    {
        int n = d.Length;
        for (int l = 0; l < n; l++)
        {
            for (int iteration = 0; ; iteration++)
            {
                int m = l;
                while (m < n - 1 && Math.Abs(e[m]) > double.Epsilon + (Math.ScaleB(1, -53) * (Math.Abs(d[m]) + Math.Abs(d[m + 1])))) m++;
                if (m == l) break;
                if (iteration == 60) throw new ArgumentException("The matrix is not symmetric.");
                double g = (d[l + 1] - d[l]) / (2 * e[l]), r = Hypot(g, 1);
                g = d[m] - d[l] + (e[l] / (g + Math.CopySign(r, g)));
                double sine = 1, cosine = 1, shift = 0;
                int i = m - 1;
                for (; i >= l; i--)
                {
                    double f = sine * e[i], b = cosine * e[i];
                    r = Hypot(f, g);
                    e[i + 1] = r;
                    if (r == 0)
                    {
                        d[i + 1] -= shift;
                        e[m] = 0;
                        break;
                    }

                    sine = f / r;
                    cosine = g / r;
                    g = d[i + 1] - shift;
                    r = ((d[i] - g) * sine) + (2 * cosine * b);
                    shift = sine * r;
                    d[i + 1] = g + shift;
                    g = (cosine * r) - b;
                }

                if (r == 0 && i >= l) continue;
                d[l] -= shift;
                e[l] = g;
                e[m] = 0;
            }
        }

        return d;
    }

    private static double Hypot(double x, double y) => double.Hypot(x, y);

    // Solves (T - value I) y = x a few times, by elimination with row exchanges.
    private static double[] InverseIteration(double[] d, double[] e, double value)
    {
        int n = d.Length;
        double[] x = new double[n];
        var random = new Random(1);
        for (int i = 0; i < n; i++) x[i] = random.NextDouble() + 0.5;
        double smallest = Math.ScaleB(Math.Max(Math.Abs(value), Math.Abs(d.Max())), -52);
        if (smallest == 0) smallest = Math.ScaleB(1, -1000);
        for (int round = 0; round < 4; round++)
        {
            double[] main = new double[n], upper = new double[n], second = new double[n];
            double pivot = d[0] - value, next = n > 1 ? e[0] : 0;
            for (int i = 0; i < n - 1; i++)
            {
                double below = e[i], diagonal = d[i + 1] - value, right = i + 1 < n - 1 ? e[i + 1] : 0;
                if (Math.Abs(below) > Math.Abs(pivot))
                {
                    (main[i], upper[i], second[i]) = (below, diagonal, right);
                    double factor = pivot / below;
                    (x[i], x[i + 1]) = (x[i + 1], x[i] - (factor * x[i + 1]));
                    pivot = next - (factor * diagonal);
                    next = -factor * right;
                }
                else
                {
                    if (Math.Abs(pivot) < smallest) pivot = smallest;
                    (main[i], upper[i], second[i]) = (pivot, next, 0);
                    double factor = below / pivot;
                    x[i + 1] -= factor * x[i];
                    pivot = diagonal - (factor * next);
                    next = right;
                }
            }

            main[n - 1] = Math.Abs(pivot) < smallest ? smallest : pivot;
            for (int i = n - 1; i >= 0; i--)
            {
                double sum = x[i];
                if (i + 1 < n) sum -= upper[i] * x[i + 1];
                if (i + 2 < n) sum -= second[i] * x[i + 2];
                x[i] = sum / main[i];
            }

            TensorPrimitives.Divide(x, TensorPrimitives.MaxMagnitude<double>(x), x);
            TensorPrimitives.Divide(x, TensorPrimitives.Norm<double>(x), x);
        }

        return x;
    }
}
