using ILGPU;

namespace EmScan.Kernels.Ilgpu;

/// <summary>Four neighbouring float32 numbers; as one structure, so that shared memory is read 16 bytes at a time.</summary>
internal struct Four
{
    public float X;
    public float Y;
    public float Z;
    public float W;

    /// <summary>sum + factor * values.</summary>
    public static Four MultiplyAdd(float factor, Four values, Four sum)
    {
        sum.X += factor * values.X;
        sum.Y += factor * values.Y;
        sum.Z += factor * values.Z;
        sum.W += factor * values.W;
        return sum;
    }
}

/// <summary>The 4 x 4 float32 sums of one thread.</summary>
internal struct Block
{
    public Four First;
    public Four Second;
    public Four Third;
    public Four Fourth;

    /// <summary>block + left right^T.</summary>
    public static Block Add(Four left, Four right, Block block)
    {
        block.First = Four.MultiplyAdd(left.X, right, block.First);
        block.Second = Four.MultiplyAdd(left.Y, right, block.Second);
        block.Third = Four.MultiplyAdd(left.Z, right, block.Third);
        block.Fourth = Four.MultiplyAdd(left.W, right, block.Fourth);
        return block;
    }
}

/// <summary>Four float64 sums.</summary>
internal struct FourSums
{
    public double X;
    public double Y;
    public double Z;
    public double W;

    /// <summary>sums + added.</summary>
    public static FourSums Add(FourSums sums, Four added)
    {
        sums.X += added.X;
        sums.Y += added.Y;
        sums.Z += added.Z;
        sums.W += added.W;
        return sums;
    }

    /// <summary>One of the four.</summary>
    public readonly double At(int index) => index == 0 ? X : index == 1 ? Y : index == 2 ? Z : W;
}

/// <summary>The 4 x 4 float64 sums of one thread.</summary>
internal struct BlockSums
{
    public FourSums First;
    public FourSums Second;
    public FourSums Third;
    public FourSums Fourth;

    /// <summary>A row of the block.</summary>
    public readonly FourSums Row(int index) => index == 0 ? First : index == 1 ? Second : index == 2 ? Third : Fourth;
}

/// <summary>
/// What all products have in common: a group of 256 threads computes a tile of 64 x 64 sums, 4 x 4 a thread, from two strips of 16 x 64
/// numbers in shared memory. The 16 products of a strip are summed in float32 and move to float64, so a product takes part in at most 16
/// roundings: error below 16 u = 9.6e-7 of the sum of the absolute products, u = 2^-24.
/// </summary>
internal static class Tiles
{
    /// <summary>Sums along each side of a tile.</summary>
    public const int Side = 64;

    /// <summary>Products that stay in float32.</summary>
    public const int Depth = 16;

    /// <summary>Threads of a group.</summary>
    public const int Threads = 256;

    /// <summary>Quadruples from row to row of a strip: one more than it has, so that writing columns meets other banks.</summary>
    public const int Stride = Side / 4 + 1;

    /// <summary>Quadruples of a strip.</summary>
    public const int StripLength = Depth * Stride;

    /// <summary>Tiles along so many numbers.</summary>
    public static int Count(int length) => (length + Side - 1) / Side;

    /// <summary>
    /// Adds the products of two strips to a thread's sums. All threads of the group must have written the strips and met since.
    /// </summary>
    /// <param name="left">(16, 64) in quadruples.</param>
    /// <param name="right">(16, 64) in quadruples.</param>
    /// <param name="row">Which quadruple of the left strip is the thread's, 0 to 15.</param>
    /// <param name="column">Which quadruple of the right strip is the thread's, 0 to 15.</param>
    /// <param name="sums">The thread's sums.</param>
    public static BlockSums AddProducts(ArrayView<Four> left, ArrayView<Four> right, int row, int column, BlockSums sums)
    {
        Block block = default;
        for (int k = 0; k < StripLength; k += 4 * Stride)
        {
            // Four at a time: ILGPU leaves loops as they are, and the count would cost as much as a quarter of the work.
            block = Block.Add(left[k + row], right[k + column], block);
            block = Block.Add(left[k + Stride + row], right[k + Stride + column], block);
            block = Block.Add(left[k + 2 * Stride + row], right[k + 2 * Stride + column], block);
            block = Block.Add(left[k + 3 * Stride + row], right[k + 3 * Stride + column], block);
        }

        sums.First = FourSums.Add(sums.First, block.First);
        sums.Second = FourSums.Add(sums.Second, block.Second);
        sums.Third = FourSums.Add(sums.Third, block.Third);
        sums.Fourth = FourSums.Add(sums.Fourth, block.Fourth);
        return sums;
    }

    /// <summary>
    /// Writes 16 columns of 64 rows of a matrix into a strip, transposed, with zeros past its end; each thread four numbers.
    /// </summary>
    /// <param name="matrix">(rows, dimension).</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="dimension">Columns of the matrix.</param>
    /// <param name="firstRow">First row of the strip.</param>
    /// <param name="firstColumn">First column of the strip.</param>
    /// <param name="strip">(16, 64) in quadruples.</param>
    public static void LoadColumns(ArrayView<float> matrix, int rows, int dimension, int firstRow, int firstColumn, ArrayView<Four> strip)
    {
        ArrayView<float> numbers = strip.Cast<float>();
        int t = Group.IdxX / 4, start = Group.IdxX % 4 * 4;
        int row = firstRow + t;
        long at = (long)row * dimension + firstColumn + start;
        for (int i = 0; i < 4; i++)
        {
            bool inside = row < rows && firstColumn + start + i < dimension;
            numbers[(start + i) * (4 * Stride) + t] = inside ? matrix[at + i] : 0;
        }
    }

    /// <summary>
    /// Writes 64 columns of 16 rows of a matrix into a strip, with zeros past its end; each thread four numbers.
    /// </summary>
    /// <param name="matrix">(rows, dimension).</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="dimension">Columns of the matrix.</param>
    /// <param name="firstRow">First row of the strip.</param>
    /// <param name="firstColumn">First column of the strip.</param>
    /// <param name="strip">(16, 64) in quadruples.</param>
    public static void LoadRows(ArrayView<float> matrix, int rows, int dimension, int firstRow, int firstColumn, ArrayView<Four> strip)
    {
        int k = Group.IdxX / 16, start = Group.IdxX % 16;
        int row = firstRow + k, column = firstColumn + 4 * start;
        long at = (long)row * dimension + column;
        bool inside = row < rows;
        Four values;
        values.X = inside && column < dimension ? matrix[at] : 0;
        values.Y = inside && column + 1 < dimension ? matrix[at + 1] : 0;
        values.Z = inside && column + 2 < dimension ? matrix[at + 2] : 0;
        values.W = inside && column + 3 < dimension ? matrix[at + 3] : 0;
        strip[k * Stride + start] = values;
    }
}
