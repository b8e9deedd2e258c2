using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>
/// The bands of blocks in which an adapter is kept or dropped, each as the one variant that says the same with the fewest words: what is the same
/// model is measured once.
/// </summary>
internal sealed class LayerBands
{
    private readonly AdapterSource _adapter;
    private readonly int[] _touched;
    private readonly bool _outside;
    private readonly Dictionary<string, Variant> _variants = [];

    /// <summary>Cuts the blocks into pieces of nearly the same number.</summary>
    /// <param name="source">The adapter.</param>
    /// <param name="adapter">What it changes.</param>
    /// <param name="layers">L.</param>
    /// <param name="pieces">At most so many pieces.</param>
    internal LayerBands(AdapterSource source, LoraAdapter adapter, int layers, int pieces)
    {
        _adapter = source;
        int?[] blocks = [.. adapter.Tensors.Select(t => WeightName.BlockOf(t.Name))];
        _touched = [.. blocks.OfType<int>().Distinct().Order()];
        _outside = blocks.Contains(null);
        int count = Math.Min(pieces, layers);
        Pieces = [.. Enumerable.Range(0, count).Select(p => (p * layers / count, ((p + 1) * layers / count) - 1))];
        All = [.. Enumerable.Range(0, count).SelectMany(a => Enumerable.Range(a, count - a).Select(b => (Pieces[a].First, Pieces[b].Last)))];
        Full = Known(Variant.Of(source));
    }

    /// <summary>First and last block of each piece.</summary>
    internal IReadOnlyList<(int First, int Last)> Pieces { get; }

    /// <summary>First and last block of every band, ordered by both.</summary>
    internal IReadOnlyList<(int First, int Last)> All { get; }

    /// <summary>The whole adapter.</summary>
    internal Variant Full { get; }

    /// <summary>Whether it changes weights in no block, such as the head: they are outside of every band.</summary>
    internal bool ChangesOutside => _outside;

    /// <summary>The adapter in a band only.</summary>
    internal Variant Keep((int First, int Last) band)
    {
        int[] inside = [.. _touched.Where(block => block >= band.First && block <= band.Last)];
        if (inside.Length == 0) return Variant.Base;
        return inside.Length == _touched.Length && !_outside ? Full : Restricted(new LayerBand(inside[0], inside[^1]));
    }

    /// <summary>The adapter everywhere but in a band.</summary>
    internal Variant Drop((int First, int Last) band)
    {
        int[] inside = [.. _touched.Where(block => block >= band.First && block <= band.Last)];
        if (inside.Length == 0) return Full;
        if (_outside) return Restricted(new LayerBand(inside[0], inside[^1], Inside: false));
        int[] left = [.. _touched.Except(inside)];
        if (left.Length == 0) return Variant.Base;

        // What is left in one piece is a band that is kept.
        bool whole = left[^1] < inside[0] || left[0] > inside[^1];
        return whole ? Restricted(new LayerBand(left[0], left[^1])) : Restricted(new LayerBand(inside[0], inside[^1], Inside: false));
    }

    private Variant Restricted(LayerBand band) => Known(new Variant([new VariantTerm(_adapter, 1, band)]));

    // One object for one variant: cells of the same object share a pass.
    private Variant Known(Variant variant)
    {
        if (_variants.TryGetValue(variant.Name, out Variant? known)) return known;
        _variants.Add(variant.Name, variant);
        return variant;
    }
}
