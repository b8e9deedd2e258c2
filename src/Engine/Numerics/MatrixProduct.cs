using System.Buffers;
using System.Numerics;

namespace EmScan.Engine.Numerics;

/// <summary>Products of float64 matrices that do not fit a cache: C += s X' Y, what factorisations of D x D matrices spend their time with.</summary>
/// <remarks>
/// Both factors are laid out in pieces that stay in the caches, and a tile of C in registers takes their products (Goto and van de Geijn, 2008,
/// doi 10.1145/1356052.1356053). Sums are those of the processor's vector width: the last digits differ between processors. Stateless; thread
/// safe.
/// </remarks>
internal static unsafe class MatrixProduct
{
    private const int TileRows = 4;
    private const int TileVectors = 3;

    // Of X and Y at a time: a strip of Y stays in the first-level cache, beside the rows of a tile.
    private const int MostDepth = 256;

    private static int TileColumns => TileVectors * Vector<double>.Count;

    /// <summary>C += s X' Y.</summary>
    /// <param name="scale">s.</param>
    /// <param name="x">(K, N) row-major.</param>
    /// <param name="xStride">From row to row of X.</param>
    /// <param name="y">(K, M) row-major.</param>
    /// <param name="yStride">From row to row of Y.</param>
    /// <param name="depth">K.</param>
    /// <param name="c">(N, M) row-major.</param>
    /// <param name="cStride">From row to row of C.</param>
    /// <param name="rows">N.</param>
    /// <param name="columns">M.</param>
    /// <param name="lower">Only elements whose column is not above their row.</param>
    public static void Add(
        double scale, ReadOnlySpan<double> x, int xStride, ReadOnlySpan<double> y, int yStride, int depth, Span<double> c, int cStride, int rows, int columns, bool lower)
    {
        if (rows == 0 || columns == 0) return;
        int groups = ((rows - 1) / TileRows) + 1, most = Math.Min(depth, MostDepth);
        double[] packed = ArrayPool<double>.Shared.Rent((groups * TileRows * most) + (TileColumns * most));
        fixed (double* xAt = x, yAt = y, cAt = c, left = packed)
        {
            double* right = left + ((nint)groups * TileRows * most), edge = stackalloc double[TileRows * TileColumns];
            for (int k = 0; k < depth; k += most)
            {
                int deep = Math.Min(most, depth - k);
                for (int g = 0; g < groups; g++)
                    Pack(xAt + ((nint)k * xStride) + (g * TileRows), xStride, deep, Math.Min(TileRows, rows - (g * TileRows)), TileRows, left + ((nint)g * TileRows * deep));
                for (int column = 0; column < columns; column += TileColumns)
                {
                    int wide = Math.Min(TileColumns, columns - column);
                    Pack(yAt + ((nint)k * yStride) + column, yStride, deep, wide, TileColumns, right);
                    for (int g = lower ? column / TileRows : 0; g < groups; g++)
                    {
                        int row = g * TileRows, high = Math.Min(TileRows, rows - row);
                        double* target = cAt + ((nint)row * cStride) + column;
                        if (high == TileRows && wide == TileColumns && (!lower || column + TileColumns - 1 <= row))
                        {
                            Tile(scale, left + ((nint)row * deep), right, deep, target, cStride);
                            continue;
                        }

                        new Span<double>(edge, TileRows * TileColumns).Clear();
                        Tile(scale, left + ((nint)row * deep), right, deep, edge, TileColumns);
                        for (int r = 0; r < high; r++)
                        {
                            int some = lower ? Math.Min(wide, row + r - column + 1) : wide;
                            for (int i = 0; i < some; i++) target[((nint)r * cStride) + i] += edge[(r * TileColumns) + i];
                        }
                    }
                }
            }
        }

        ArrayPool<double>.Shared.Return(packed);
    }

    // (depth, width), with zeros behind the count.
    private static void Pack(double* source, int stride, int depth, int count, int width, double* target)
    {
        for (int p = 0; p < depth; p++, source += stride, target += width)
        {
            for (int i = 0; i < count; i++) target[i] = source[i];
            for (int i = count; i < width; i++) target[i] = 0;
        }
    }

    // Twelve sums, three vectors of Y and one number of X: sixteen registers.
    private static void Tile(double scale, double* x, double* y, int depth, double* c, nint stride)
    {
        int w = Vector<double>.Count;
        Vector<double> a0 = default, a1 = default, a2 = default, b0 = default, b1 = default, b2 = default;
        Vector<double> c0 = default, c1 = default, c2 = default, d0 = default, d1 = default, d2 = default;
        for (int p = 0; p < depth; p++, x += TileRows, y += TileVectors * w)
        {
            Vector<double> y0 = Vector.Load(y), y1 = Vector.Load(y + w), y2 = Vector.Load(y + (2 * w)), factor = new(x[0]);
            a0 = Vector.MultiplyAddEstimate(factor, y0, a0);
            a1 = Vector.MultiplyAddEstimate(factor, y1, a1);
            a2 = Vector.MultiplyAddEstimate(factor, y2, a2);
            factor = new(x[1]);
            b0 = Vector.MultiplyAddEstimate(factor, y0, b0);
            b1 = Vector.MultiplyAddEstimate(factor, y1, b1);
            b2 = Vector.MultiplyAddEstimate(factor, y2, b2);
            factor = new(x[2]);
            c0 = Vector.MultiplyAddEstimate(factor, y0, c0);
            c1 = Vector.MultiplyAddEstimate(factor, y1, c1);
            c2 = Vector.MultiplyAddEstimate(factor, y2, c2);
            factor = new(x[3]);
            d0 = Vector.MultiplyAddEstimate(factor, y0, d0);
            d1 = Vector.MultiplyAddEstimate(factor, y1, d1);
            d2 = Vector.MultiplyAddEstimate(factor, y2, d2);
        }

        Store(scale, a0, a1, a2, c);
        Store(scale, b0, b1, b2, c + stride);
        Store(scale, c0, c1, c2, c + (2 * stride));
        Store(scale, d0, d1, d2, c + (3 * stride));
    }

    private static void Store(double scale, Vector<double> first, Vector<double> second, Vector<double> third, double* c)
    {
        int w = Vector<double>.Count;
        Vector<double> factor = new(scale);
        Vector.MultiplyAddEstimate(factor, first, Vector.Load(c)).Store(c);
        Vector.MultiplyAddEstimate(factor, second, Vector.Load(c + w)).Store(c + w);
        Vector.MultiplyAddEstimate(factor, third, Vector.Load(c + (2 * w))).Store(c + (2 * w));
    }

    /// <summary>A x for a symmetric A of which only the lower triangle is read, once from memory.</summary>
    /// <param name="matrix">(n, n) row-major, its rows <paramref name="stride"/> apart.</param>
    /// <param name="stride">From row to row.</param>
    /// <param name="x">(n).</param>
    /// <param name="product">(n), overwritten.</param>
    public static void MultiplySymmetric(ReadOnlySpan<double> matrix, int stride, ReadOnlySpan<double> x, Span<double> product)
    {
        int n = x.Length, w = Vector<double>.Count, row = 0;
        product.Clear();
        fixed (double* a = matrix, v = x, sum = product)
        {
            // Four rows a time, so that x and the product go through the first-level cache once for four of them.
            for (; row + 4 <= n; row += 4)
            {
                double* r0 = a + ((nint)row * stride), r1 = r0 + stride, r2 = r1 + stride, r3 = r2 + stride;
                Vector<double> v0 = new(v[row]), v1 = new(v[row + 1]), v2 = new(v[row + 2]), v3 = new(v[row + 3]);
                Vector<double> s0 = default, s1 = default, s2 = default, s3 = default;
                int j = 0;
                for (; j + w <= row; j += w)
                {
                    Vector<double> at = Vector.Load(v + j), total = Vector.Load(sum + j);
                    Vector<double> e0 = Vector.Load(r0 + j), e1 = Vector.Load(r1 + j), e2 = Vector.Load(r2 + j), e3 = Vector.Load(r3 + j);
                    s0 = Vector.MultiplyAddEstimate(e0, at, s0);
                    s1 = Vector.MultiplyAddEstimate(e1, at, s1);
                    s2 = Vector.MultiplyAddEstimate(e2, at, s2);
                    s3 = Vector.MultiplyAddEstimate(e3, at, s3);
                    total = Vector.MultiplyAddEstimate(e0, v0, total);
                    total = Vector.MultiplyAddEstimate(e1, v1, total);
                    total = Vector.MultiplyAddEstimate(e2, v2, total);
                    Vector.MultiplyAddEstimate(e3, v3, total).Store(sum + j);
                }

                sum[row] += Vector.Sum(s0);
                sum[row + 1] += Vector.Sum(s1);
                sum[row + 2] += Vector.Sum(s2);
                sum[row + 3] += Vector.Sum(s3);
                for (int r = row; r < row + 4; r++) AddRow(a + ((nint)r * stride), v, sum, j, r);
            }

            for (; row < n; row++) AddRow(a + ((nint)row * stride), v, sum, 0, row);
        }
    }

    private static void AddRow(double* elements, double* x, double* sum, int from, int row)
    {
        for (int j = from; j < row; j++)
        {
            sum[row] += elements[j] * x[j];
            sum[j] += elements[j] * x[row];
        }

        sum[row] += elements[row] * x[row];
    }
}
