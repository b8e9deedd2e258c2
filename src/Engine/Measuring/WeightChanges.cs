using EmScan.Engine.Formats;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Weight changes made from others, in memory: restricted to blocks, masked, and noise of the same size. What is not of low rank any more
/// is written as a full-rank product, with an identity as the factor on the shorter side.
/// </summary>
internal static class WeightChanges
{
    /// <summary>The part of an adapter in a band of blocks; null when there is none.</summary>
    internal static LoraAdapter? In(LayerBand band, LoraAdapter adapter)
    {
        LoraTensor[] inside = [.. adapter.Tensors.Where(t => band.Contains(t.Name))];
        return inside.Length == 0 ? null : new LoraAdapter(adapter.Path, adapter.Architecture, adapter.Alpha, inside);
    }

    /// <summary>An adapter of which only some coordinates are kept; null when none is.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="mask">The choice of coordinates, of the weights that it changes.</param>
    /// <param name="of">The adapter whose coordinates are compared; null for the first.</param>
    internal static LoraAdapter? Masked(LoraAdapter adapter, WeightMask mask, LoraAdapter? of = null)
    {
        float[][] dense = [.. adapter.Tensors.Select(t => Dense(t, adapter.Alpha))];
        long total = dense.Sum(d => (long)d.Length), kept = (long)Math.Ceiling(mask.Share * total);
        if (mask.Share is not (> 0 and <= 1)) throw new ArgumentException($"The share of a mask lies in (0, 1]; got {mask.Share}.", nameof(mask));
        float[][] compared = of == null || of == adapter ? dense : [.. adapter.Tensors.Select(t => Dense(of, t))];
        bool[][] keep = mask.Kind == WeightMaskKind.Largest ? Largest(compared, kept) : Drawn(dense, kept, total, mask.Seed);
        var tensors = new List<LoraTensor>();
        for (int i = 0; i < dense.Length; i++)
        {
            for (int j = 0; j < dense[i].Length; j++)
            {
                if (keep[i][j] == mask.Inverted) dense[i][j] = 0;
            }

            if (dense[i].AsSpan().ContainsAnyExcept(0f)) tensors.Add(FullRank(adapter.Tensors[i], dense[i], adapter.Alpha));
        }

        return tensors.Count == 0 ? null : new LoraAdapter(adapter.Path, adapter.Architecture, adapter.Alpha, tensors);
    }

    /// <summary>An adapter of which only some singular directions of each weight's change are kept.</summary>
    internal static LoraAdapter Along(LoraAdapter adapter, WeightDirections directions) =>
        new(adapter.Path, adapter.Architecture, adapter.Alpha, [.. adapter.Tensors.Select(t => Along(t, adapter.Alpha, directions))]);

    private static LoraTensor Along(LoraTensor tensor, float alpha, WeightDirections directions)
    {
        var svd = new LowRankSvd(tensor.B, tensor.A, tensor.Rank, (double)alpha / tensor.Rank);
        int[] chosen = [.. Enumerable.Range(0, svd.Values.Length)];
        if (directions.Seed is { } seed) new Random(HashCode(seed, tensor.Name)).Shuffle(chosen);
        chosen = [.. chosen.Take(directions.Count)];
        int rank = chosen.Length, inputs = tensor.InputSize;
        float[] a = new float[rank * inputs], b = new float[tensor.OutputSize * rank];

        // llama.cpp multiplies by alpha / rank.
        double undo = rank / (double)alpha;
        for (int r = 0; r < rank; r++)
        {
            double[] left = svd.Left(chosen[r]), right = svd.Right(chosen[r]);
            for (int c = 0; c < inputs; c++) a[(r * inputs) + c] = (float)right[c];
            for (int o = 0; o < left.Length; o++) b[(o * rank) + r] = (float)(undo * svd.Values[chosen[r]] * left[o]);
        }

        return new LoraTensor(tensor.Name, rank, a, b, tensor.Source);
    }

    /// <summary>Random changes of the weights that an adapter changes, orthogonal to its own; null when the band has none of them.</summary>
    internal static LoraAdapter? Noise(LoraAdapter adapter, WeightNoise noise)
    {
        var tensors = new List<LoraTensor>();
        for (int i = 0; i < adapter.Tensors.Count; i++)
        {
            LoraTensor tensor = adapter.Tensors[i];
            if (noise.Layers is { } band && !band.Contains(tensor.Name)) continue;

            // Each weight has its own sequence, so that a band has the numbers that all layers have.
            var random = new Random(HashCode(noise.Seed, tensor.Name));
            tensors.Add(noise.Kind == WeightNoiseKind.Gaussian ? Gaussian(tensor, adapter.Alpha, noise.Ratio, random) : LowRank(tensor, adapter.Alpha, noise.Ratio, random));
        }

        return tensors.Count == 0 ? null : new LoraAdapter(adapter.Path, adapter.Architecture, adapter.Alpha, tensors);
    }

    /// <summary>dW = (alpha / R) B A in full, (out, in) row-major.</summary>
    internal static float[] Dense(LoraTensor tensor, float alpha)
    {
        int rank = tensor.Rank, inputs = tensor.InputSize;
        float[] dense = new float[checked(tensor.OutputSize * inputs)];
        double[] row = new double[inputs];
        for (int o = 0; o < tensor.OutputSize; o++)
        {
            Array.Clear(row);
            for (int r = 0; r < rank; r++)
            {
                double b = (double)alpha / rank * tensor.B[(o * rank) + r];
                for (int c = 0; c < inputs; c++) row[c] += b * tensor.A[(r * inputs) + c];
            }

            for (int c = 0; c < inputs; c++) dense[(o * inputs) + c] = (float)row[c];
        }

        return dense;
    }

    // What an adapter changes of a weight of another one; zeros where it does not.
    private static float[] Dense(LoraAdapter adapter, LoraTensor like)
    {
        LoraTensor? own = adapter.Tensors.FirstOrDefault(t => t.Name == like.Name);
        return own == null ? new float[checked(like.OutputSize * like.InputSize)] : Dense(own, adapter.Alpha);
    }

    // Ties at the border of the choice go to the earlier coordinate.
    private static bool[][] Largest(float[][] dense, long kept)
    {
        float[] magnitudes = [.. dense.SelectMany(d => d, (_, v) => Math.Abs(v))];
        Array.Sort(magnitudes);
        float border = magnitudes[magnitudes.LongLength - kept];
        long atBorder = kept - magnitudes.LongCount(m => m > border);
        return [.. dense.Select(d => Array.ConvertAll(d, v => Math.Abs(v) > border || (Math.Abs(v) == border && atBorder-- > 0)))];
    }

    private static bool[][] Drawn(float[][] dense, long kept, long total, int seed)
    {
        // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S): exactly so many, each choice equally likely.
        var random = new Random(seed);
        long left = total;
        return [.. dense.Select(d => Array.ConvertAll(d, _ =>
        {
            bool taken = random.NextDouble() * left-- < kept;
            if (taken) kept--;
            return taken;
        }))];
    }

    private static LoraTensor Gaussian(LoraTensor tensor, float alpha, double ratio, Random random)
    {
        float[] change = Dense(tensor, alpha);
        double[] noise = [.. change.Select(_ => Normal.Next(random))];
        double dot = 0, square = 0;
        for (int i = 0; i < noise.Length; i++)
        {
            dot += noise[i] * change[i];
            square += (double)change[i] * change[i];
        }

        double norm = 0;
        for (int i = 0; i < noise.Length; i++)
        {
            if (square > 0) noise[i] -= change[i] * dot / square;
            norm += noise[i] * noise[i];
        }

        double scale = ratio * Math.Sqrt(square / norm);
        return FullRank(tensor, Array.ConvertAll(noise, n => (float)(scale * n)), alpha);
    }

    // N = Q P - c dW is the product of [Q, -c' B] and [P; A]: of twice the rank.
    private static LoraTensor LowRank(LoraTensor tensor, float alpha, double ratio, Random random)
    {
        int rank = tensor.Rank, inputs = tensor.InputSize, outputs = tensor.OutputSize;
        double[] p = [.. Enumerable.Range(0, rank * inputs).Select(_ => Normal.Next(random))];
        double[] q = [.. Enumerable.Range(0, outputs * rank).Select(_ => Normal.Next(random))];
        double[] a = Wide(tensor.A), b = Scaled(tensor, alpha);

        double square = Inner(a, b, a, b), dot = Inner(p, q, a, b), own = Inner(p, q, p, q);
        double share = square > 0 ? dot / square : 0;
        double scale = ratio * Math.Sqrt(square / (own - (share * dot)));
        float[] wideA = [.. p.Concat(a).Select(v => (float)v)], wideB = new float[outputs * 2 * rank];

        // llama.cpp multiplies by alpha / rank, here alpha / 2 R.
        double undo = 2 * rank / (double)alpha;
        for (int o = 0; o < outputs; o++)
        {
            for (int r = 0; r < rank; r++)
            {
                wideB[(o * 2 * rank) + r] = (float)(undo * scale * q[(o * rank) + r]);
                wideB[(o * 2 * rank) + rank + r] = (float)(-undo * scale * share * b[(o * rank) + r]);
            }
        }

        return new LoraTensor(tensor.Name, 2 * rank, wideA, wideB, tensor.Source);

        double Inner(double[] a1, double[] b1, double[] a2, double[] b2) => LowRankProduct.Inner<double>(a1, b1, rank, a2, b2, rank);
    }

    /// <summary>Cosine of two weight changes over all weights together, sum of dW1 . dW2 over the norms; NaN where one of them is zero.</summary>
    /// <remarks>sum over i, j of (B1' B2)_ij (A1 A2')_ij: R x R matrices, never the weights themselves.</remarks>
    internal static double Cosine(LoraAdapter x, LoraAdapter y) => Inner(x, y) / Math.Sqrt(Inner(x, x) * Inner(y, y));

    private static double Inner(LoraAdapter x, LoraAdapter y) => x.Tensors
        .Join(y.Tensors, a => a.Name, b => b.Name, (a, b) =>
            (double)x.Alpha / a.Rank * y.Alpha / b.Rank * LowRankProduct.Inner<float>(a.A, a.B, a.Rank, b.A, b.B, b.Rank)).Sum();

    private static double[] Wide(float[] values) => Array.ConvertAll(values, v => (double)v);

    private static double[] Scaled(LoraTensor tensor, float alpha) => Array.ConvertAll(tensor.B, v => (double)alpha / tensor.Rank * v);

    private static LoraTensor FullRank(LoraTensor like, float[] dense, float alpha)
    {
        int inputs = like.InputSize, outputs = like.OutputSize, rank = Math.Min(inputs, outputs);
        float[] identity = new float[rank * rank];
        for (int i = 0; i < rank; i++) identity[(i * rank) + i] = 1;
        float undo = rank / alpha;
        float[] scaled = Array.ConvertAll(dense, v => v * undo);
        return outputs <= inputs
            ? new LoraTensor(like.Name, rank, scaled, identity, like.Source)
            : new LoraTensor(like.Name, rank, identity, scaled, like.Source);
    }

    // string.GetHashCode differs from run to run.
    private static int HashCode(int seed, string name) => name.Aggregate(unchecked(seed * 486187739), (hash, c) => unchecked((hash * 16777619) ^ c));
}
