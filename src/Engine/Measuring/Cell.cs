using System.Globalization;

namespace EmScan.Engine.Measuring;

/// <summary>
/// One thing worth measuring once and remembering: what is done to the base model, the rows that are looked at, the layer, and what they
/// are reduced to. Its key names all of that together with the model and the numeric mode.
/// </summary>
internal sealed class Cell
{
    /// <summary>Defines a cell of hidden states.</summary>
    /// <param name="variant">What is done to the base.</param>
    /// <param name="prompts">The rows.</param>
    /// <param name="layer">The layer: residual stream after this block, from 0.</param>
    /// <param name="reducer">What becomes of the rows.</param>
    /// <exception cref="ArgumentException">The reducer reads no hidden states, or the layer is negative.</exception>
    public Cell(Variant variant, PromptSet prompts, int layer, Reducer reducer) : this(variant, prompts, (int?)layer, reducer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        if (reducer.ReadsLogits || reducer.Generates) throw new ArgumentException("Logits and answers belong to no layer.", nameof(layer));
    }

    /// <summary>Defines a cell of logits, or of answers.</summary>
    /// <param name="variant">What is done to the base.</param>
    /// <param name="prompts">The rows; the prompts that are answered.</param>
    /// <param name="reducer">What becomes of the rows; reads logits, or generates.</param>
    /// <exception cref="ArgumentException">The reducer reads hidden states, or the rows are pooled.</exception>
    public Cell(Variant variant, PromptSet prompts, Reducer reducer) : this(variant, prompts, null, reducer)
    {
        if (!reducer.ReadsLogits && !reducer.Generates) throw new ArgumentException("Hidden states need a layer.", nameof(reducer));
        if (prompts.Pooling != RowPooling.EachPosition) throw new ArgumentException("Logits cannot be pooled.", nameof(prompts));
    }

    private Cell(Variant variant, PromptSet prompts, int? layer, Reducer reducer)
    {
        ArgumentNullException.ThrowIfNull(variant);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(reducer);
        (Variant, Prompts, Layer, Reducer) = (variant, prompts, layer, reducer);
    }

    /// <summary>What is done to the base.</summary>
    public Variant Variant { get; }

    /// <summary>The rows.</summary>
    public PromptSet Prompts { get; }

    /// <summary>The layer, or null for logits and answers.</summary>
    public int? Layer { get; }

    /// <summary>What becomes of the rows.</summary>
    public Reducer Reducer { get; }

    /// <summary>The key. Reads the adapters' files the first time.</summary>
    /// <exception cref="InputFileException">An adapter's file is missing or cannot be read.</exception>
    public CellKey Key(ModelIdentity model) => CellKey.Of(Text(model, Variant.Identity));

    /// <summary>The key that the cell has under a variant of a known identity.</summary>
    internal CellKey KeyUnder(ModelIdentity model, string variant) => CellKey.Of(Text(model, variant));

    /// <summary>The same without the adapters' contents: where a file was replaced, the place stays and the key changes.</summary>
    internal ulong Place(ModelIdentity model) => CellKey.Of(Text(model, Variant.Place)).Short;

    private string Text(ModelIdentity model, string variant)
    {
        ArgumentNullException.ThrowIfNull(model);
        string layer = Layer?.ToString(CultureInfo.InvariantCulture) ?? "logits";
        return $"emscan cell 1\n{model.Fingerprint}\n{model.NumericMode}\n{variant}\n{Prompts.Identity}\n{layer}\n{Reducer.Identity}\n";
    }
}
