using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>A random adapter for a model, as large as a trained one: for measuring speed where there is none.</summary>
internal static class SyntheticAdapter
{
    // The paper's targets first; else what other architectures have in their place.
    private static readonly string[][] Targets = [["attn_q", "attn_v"], ["attn_qkv"], ["ffn_up", "ffn_down"]];

    /// <summary>Makes an adapter for the query and value projections of every block, or their like.</summary>
    /// <param name="model">The model.</param>
    /// <param name="rank">R.</param>
    /// <param name="seed">Seed of the values.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rank is below 1.</exception>
    /// <exception cref="InputFileException">The model has no matrix that an adapter could change.</exception>
    public static LoraAdapter Create(GgufFile model, int rank, int seed)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        var random = new Random(seed);
        foreach (string[] names in Targets)
        {
            LoraTensor[] tensors = [.. model.Tensors.Values
                .Where(t => t.Ne.Length == 2 && names.Any(n => t.Name.StartsWith("blk.", StringComparison.Ordinal) && t.Name.EndsWith($".{n}.weight", StringComparison.Ordinal)))
                .OrderBy(t => t.Name, StringComparer.Ordinal)
                .Select(t => new LoraTensor(t.Name, rank, Values(t.Ne[0], 1 / Math.Sqrt(t.Ne[0])), Values(t.Ne[1], 0.01), t.Name))];
            if (tensors.Length > 0) return new LoraAdapter("a synthetic adapter", model.Architecture, 2 * rank, tensors);
        }

        throw new InputFileException(model.Path, "has no attention or feed-forward matrix that a LoRA adapter could change.");

        float[] Values(long size, double scale)
        {
            float[] values = new float[checked(size * rank)];
            for (int i = 0; i < values.Length; i++) values[i] = (float)(scale * ((2 * random.NextDouble()) - 1));
            return values;
        }
    }
}
