using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>Brings variants into an activation source.</summary>
/// <param name="source">Loads adapters; used from any thread for that.</param>
/// <param name="model">The model's header, which adapters are read in the terms of; needed for bands, masks and noise only.</param>
internal sealed class VariantLoader(IActivationSource source, GgufFile? model)
{
    /// <summary>Loads what a variant needs.</summary>
    /// <param name="variant">The variant.</param>
    /// <param name="lastLayer">The last layer that will be captured; int.MaxValue where logits are wanted.</param>
    /// <exception cref="InputFileException">An adapter is malformed, does not fit this model, or cannot be represented exactly.</exception>
    internal LoadedVariant Load(Variant variant, int lastLayer)
    {
        var loaded = new List<WeightedAdapter>();
        try
        {
            foreach (VariantTerm term in variant.Terms)
            {
                if (term is { Layers: null, Mask: null, Directions: null })
                {
                    loaded.Add(new WeightedAdapter(source.LoadAdapter(term.Adapter.Path, lastLayer), (float)term.Weight));
                }
                else if (Restrict(term) is { } restricted)
                {
                    loaded.Add(new WeightedAdapter(source.LoadAdapter(restricted, lastLayer), (float)term.Weight));
                }
            }

            if (variant.Noise is { Ratio: > 0 } noise && WeightChanges.Noise(Read(noise.Like), noise) is { } random)
                loaded.Add(new WeightedAdapter(source.LoadAdapter(random, lastLayer), 1));
            return new LoadedVariant(loaded, variant.Steering);
        }
        catch
        {
            foreach (WeightedAdapter adapter in loaded) adapter.Adapter.Dispose();
            throw;
        }
    }

    private LoraAdapter? Restrict(VariantTerm term)
    {
        LoraAdapter? adapter = Read(term.Adapter);
        if (term.Layers is { } band) adapter = WeightChanges.In(band, adapter);
        if (adapter != null && term.Directions is { } directions) adapter = WeightChanges.Along(adapter, directions);
        if (adapter != null && term.Mask is { } mask) adapter = WeightChanges.Masked(adapter, mask, mask.Of == null ? adapter : Read(mask.Of));
        return adapter;
    }

    private LoraAdapter Read(AdapterSource adapter) => AdapterReader.Open(
        adapter.Path, model ?? throw new InvalidOperationException("Bands, masks and noise need the model's header."));
}

/// <summary>A variant that a source can take.</summary>
/// <param name="adapters">Owned.</param>
/// <param name="steering">What is added to the residual stream, or null.</param>
internal sealed class LoadedVariant(IReadOnlyList<WeightedAdapter> adapters, ControlVector? steering) : IDisposable
{
    /// <summary>Makes it active in a source, whichever it was loaded through.</summary>
    internal void Apply(IActivationSource source)
    {
        source.SetAdapters(adapters);
        source.SetSteering(steering);
    }

    /// <summary>Leaves the base model in a source.</summary>
    internal static void Clear(IActivationSource source)
    {
        source.SetAdapters([]);
        source.SetSteering(null);
    }

    public void Dispose()
    {
        foreach (WeightedAdapter adapter in adapters) adapter.Adapter.Dispose();
    }
}
