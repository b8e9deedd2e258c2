using ILGPU;

namespace EmScan.Kernels.Ilgpu;

/// <summary>Products of states with directions, and what a sparse autoencoder makes of them. A group computes one tile.</summary>
internal static class ProductKernels
{
    /// <summary>products[t, k] = sum over d of left[t, d] * right[k, d]. Tiles of the right matrix run fastest.</summary>
    public static void Project(ArrayView<float> left, ArrayView<float> right, ArrayView<double> products, int rows, int count, int dimension)
    {
        int firstRow = Grid.IdxX / Tiles.Count(count) * Tiles.Side, firstColumn = Grid.IdxX % Tiles.Count(count) * Tiles.Side;
        BlockSums sums = Sum(left, right, rows, count, dimension, firstRow, firstColumn);
        firstRow += Group.IdxX / 16 * 4;
        firstColumn += Group.IdxX % 16 * 4;
        for (int i = 0; i < 4; i++)
        {
            FourSums row = sums.Row(i);
            for (int j = 0; j < 4; j++)
                if (firstRow + i < rows && firstColumn + j < count)
                    products[(long)(firstRow + i) * count + firstColumn + j] = row.At(j);
        }
    }

    /// <summary>
    /// activations[t, f] = z where z = bias[f] + sum over d of states[t, d] * weights[f, d] is above the threshold, else 0.
    /// </summary>
    public static void Encode(
        ArrayView<float> states,
        ArrayView<float> weights,
        ArrayView<float> bias,
        ArrayView<float> thresholds,
        ArrayView<float> activations,
        int rows,
        int count,
        int dimension)
    {
        int firstRow = Grid.IdxX / Tiles.Count(count) * Tiles.Side, firstColumn = Grid.IdxX % Tiles.Count(count) * Tiles.Side;
        BlockSums sums = Sum(states, weights, rows, count, dimension, firstRow, firstColumn);
        firstRow += Group.IdxX / 16 * 4;
        firstColumn += Group.IdxX % 16 * 4;
        for (int i = 0; i < 4; i++)
        {
            FourSums row = sums.Row(i);
            for (int j = 0; j < 4; j++)
            {
                int latent = firstColumn + j;
                if (firstRow + i >= rows || latent >= count)
                    continue;
                float value = (float)(row.At(j) + bias[latent]);

                // A NaN stays one.
                activations[(long)(firstRow + i) * count + latent] = value <= thresholds[latent] ? 0 : value;
            }
        }
    }

    /// <summary>
    /// The k largest positive activations of each row, the largest first, of equal ones the smaller latent first. A group takes a row: k
    /// times each thread looks for the largest of its own that comes after the last one found. Nothing is written twice, so no atomics.
    /// </summary>
    public static void Top(ArrayView<float> activations, ArrayView<int> latents, ArrayView<float> values, int count, int k)
    {
        ArrayView<float> bestValues = SharedMemory.Allocate<float>(Tiles.Threads);
        ArrayView<int> bestLatents = SharedMemory.Allocate<int>(Tiles.Threads);
        int thread = Group.IdxX;
        long row = (long)Grid.IdxX * count, target = (long)Grid.IdxX * k;
        float lastValue = float.PositiveInfinity;
        int lastLatent = -1;
        for (int i = 0; i < k; i++)
        {
            float value = 0;
            int latent = -1;
            for (int f = thread; f < count; f += Tiles.Threads)
            {
                float own = activations[row + f];
                bool follows = own < lastValue || (own == lastValue && f > lastLatent);
                if (follows && own > value)
                {
                    value = own;
                    latent = f;
                }
            }

            bestValues[thread] = value;
            bestLatents[thread] = latent;
            Group.Barrier();
            for (int half = Tiles.Threads / 2; half > 0; half /= 2)
            {
                if (thread < half)
                {
                    float other = bestValues[thread + half], mine = bestValues[thread];
                    int otherLatent = bestLatents[thread + half], myLatent = bestLatents[thread];
                    bool better = otherLatent >= 0 && (other > mine || (other == mine && (myLatent < 0 || otherLatent < myLatent)));
                    if (better)
                    {
                        bestValues[thread] = other;
                        bestLatents[thread] = otherLatent;
                    }
                }

                Group.Barrier();
            }

            lastValue = bestValues[0];
            lastLatent = bestLatents[0];
            if (thread == 0)
            {
                latents[target + i] = lastLatent;
                values[target + i] = lastValue;
            }

            // Where none was left, every later round finds none: nothing is above 0 and below 0.
            Group.Barrier();
        }
    }

    private static BlockSums Sum(
        ArrayView<float> left, ArrayView<float> right, int rows, int count, int dimension, int firstRow, int firstColumn)
    {
        ArrayView<Four> leftStrip = SharedMemory.Allocate<Four>(Tiles.StripLength);
        ArrayView<Four> rightStrip = SharedMemory.Allocate<Four>(Tiles.StripLength);
        BlockSums sums = default;
        for (int d = 0; d < dimension; d += Tiles.Depth)
        {
            Tiles.LoadColumns(left, rows, dimension, firstRow, d, leftStrip);
            Tiles.LoadColumns(right, count, dimension, firstColumn, d, rightStrip);
            Group.Barrier();
            sums = Tiles.AddProducts(leftStrip, rightStrip, Group.IdxX / 16, Group.IdxX % 16, sums);
            Group.Barrier();
        }

        return sums;
    }
}
