using ILGPU;

namespace EmScan.Kernels.Ilgpu;

/// <summary>
/// The steps of <see cref="RunningMoments"/> on a device: a block of rows is centred on its own mean and joined to what came before (Chan,
/// Golub and LeVeque 1979).
/// </summary>
internal static class MomentKernels
{
    /// <summary>
    /// The mean of a block of rows, its distance from the mean so far, and that mean moved; a thread takes a column, in row order.
    /// </summary>
    /// <param name="rows">(T, D).</param>
    /// <param name="centre">(D), overwritten by the mean of the block.</param>
    /// <param name="delta">(D), overwritten by centre - mean.</param>
    /// <param name="mean">(D), moved by share * delta.</param>
    /// <param name="count">T.</param>
    /// <param name="dimension">D.</param>
    /// <param name="share">T / (T + rows so far).</param>
    public static void Centre(
        ArrayView<float> rows, ArrayView<double> centre, ArrayView<double> delta, ArrayView<double> mean, int count, int dimension, double share)
    {
        int column = Grid.IdxX * Tiles.Threads + Group.IdxX;
        if (column >= dimension)
            return;
        double sum = 0;
        for (int t = 0; t < count; t++)
            sum += rows[(long)t * dimension + column];
        sum /= count;
        double distance = sum - mean[column];
        centre[column] = sum;
        delta[column] = distance;
        mean[column] += share * distance;
    }

    /// <summary>rows[t, d] becomes its deviation from the centre, formed in float64 and rounded once.</summary>
    public static void Deviate(ArrayView<float> rows, ArrayView<double> centre, int count, int dimension)
    {
        int column = Grid.IdxX % Columns(dimension) * Tiles.Threads + Group.IdxX;
        if (column >= dimension)
            return;
        double own = centre[column];
        for (int t = Grid.IdxX / Columns(dimension); t < count; t += RowGroups)
            rows[(long)t * dimension + column] = (float)(rows[(long)t * dimension + column] - own);
    }

    /// <summary>Groups that share out the rows of <see cref="Deviate"/>.</summary>
    public const int RowGroups = 32;

    /// <summary>Groups that the columns need.</summary>
    public static int Columns(int dimension) => (dimension + Tiles.Threads - 1) / Tiles.Threads;

    /// <summary>
    /// upper[i, j] += sum over t of rows[t, i] * rows[t, j] + weight * delta[i] * delta[j] for i at most j; a group takes a tile of the upper
    /// triangle.
    /// </summary>
    public static void AddOuter(
        ArrayView<float> rows, ArrayView<double> delta, ArrayView<double> upper, int count, int dimension, double weight)
    {
        // Tiles column by column: (0, 0), (0, 1), (1, 1), (0, 2) ...
        int tile = Grid.IdxX, tileColumn = 0;
        while (tile > tileColumn)
        {
            tileColumn++;
            tile -= tileColumn;
        }

        int firstRow = tile * Tiles.Side, firstColumn = tileColumn * Tiles.Side;
        ArrayView<Four> left = SharedMemory.Allocate<Four>(Tiles.StripLength);
        ArrayView<Four> right = SharedMemory.Allocate<Four>(Tiles.StripLength);
        BlockSums sums = default;
        for (int t = 0; t < count; t += Tiles.Depth)
        {
            Tiles.LoadRows(rows, count, dimension, t, firstRow, left);
            Tiles.LoadRows(rows, count, dimension, t, firstColumn, right);
            Group.Barrier();
            sums = Tiles.AddProducts(left, right, Group.IdxX / 16, Group.IdxX % 16, sums);
            Group.Barrier();
        }

        firstRow += Group.IdxX / 16 * 4;
        firstColumn += Group.IdxX % 16 * 4;
        for (int a = 0; a < 4; a++)
        {
            FourSums row = sums.Row(a);
            for (int b = 0; b < 4; b++)
            {
                int i = firstRow + a, j = firstColumn + b;
                if (i > j || j >= dimension)
                    continue;
                upper[RowStart(i, dimension) + j - i] += row.At(b) + weight * delta[i] * delta[j];
            }
        }
    }

    /// <summary>upper += other + weight * delta delta^T, upper halves; a group takes a row.</summary>
    public static void Merge(ArrayView<double> upper, ArrayView<double> other, ArrayView<double> delta, int dimension, double weight)
    {
        int i = Grid.IdxX;
        long start = RowStart(i, dimension) - i;
        for (int j = i + Group.IdxX; j < dimension; j += Tiles.Threads)
            upper[start + j] += other[start + j] + weight * delta[i] * delta[j];
    }

    /// <summary>delta = other - mean, and mean moved by share * delta.</summary>
    public static void MoveMean(ArrayView<double> mean, ArrayView<double> other, ArrayView<double> delta, int dimension, double share)
    {
        int column = Grid.IdxX * Tiles.Threads + Group.IdxX;
        if (column >= dimension)
            return;
        double distance = other[column] - mean[column];
        delta[column] = distance;
        mean[column] += share * distance;
    }

    /// <summary><see cref="PackedUpper.RowStart"/>, for the device.</summary>
    private static long RowStart(int row, int dimension) => (long)row * dimension - (long)row * ((long)row - 1) / 2;
}
