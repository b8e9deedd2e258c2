using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>What is done to the base model: a weighted sum of weight changes, noise beside them, a steering vector; or nothing.</summary>
/// <remarks>
/// Weights apply to whole weight changes dW = (alpha / R) B A, never to the factors: the mean of two A times the mean of two B is another
/// matrix. Immutable; thread safe.
/// </remarks>
internal sealed class Variant
{
    private readonly Lazy<string> _identity;

    /// <summary>Defines a variant.</summary>
    /// <param name="terms">Weight changes; those of weight 0 are left out.</param>
    /// <param name="noise">Random weight changes beside them, or null.</param>
    /// <param name="steering">What is added to the residual stream, or null.</param>
    /// <exception cref="ArgumentException">A weight is not finite.</exception>
    public Variant(IEnumerable<VariantTerm> terms, WeightNoise? noise = null, ControlVector? steering = null)
    {
        ArgumentNullException.ThrowIfNull(terms);
        Terms = [.. terms.Where(t => t.Weight != 0)];
        if (Terms.Any(t => !double.IsFinite(t.Weight))) throw new ArgumentException("The weight of an adapter must be a finite number.", nameof(terms));
        Noise = noise;
        Steering = steering;
        _identity = new Lazy<string>(() => Text(adapter => adapter.Fingerprint));
        Name = Text(adapter => adapter.Path);
    }

    /// <summary>The base model itself.</summary>
    public static Variant Base { get; } = new([]);

    /// <summary>The weight changes.</summary>
    public IReadOnlyList<VariantTerm> Terms { get; }

    /// <summary>Random weight changes beside them, or null.</summary>
    public WeightNoise? Noise { get; }

    /// <summary>What is added to the residual stream, or null.</summary>
    public ControlVector? Steering { get; }

    /// <summary>The adapters whose files are read for it.</summary>
    internal IEnumerable<AdapterSource> Adapters => Terms.Select(t => t.Adapter).Concat(Terms.Select(t => t.Mask?.Of).OfType<AdapterSource>()).Concat(Noise == null ? [] : [Noise.Like]).Distinct();

    /// <summary>Whether nothing is done to the base.</summary>
    public bool IsBase => Terms.Count == 0 && Noise == null && Steering == null;

    /// <summary>Says what this is, with the adapters' paths.</summary>
    public string Name { get; }

    /// <summary>The same with full paths: <c>./lora</c> is another folder in another working directory.</summary>
    internal string Place => Text(adapter => Path.GetFullPath(adapter.Path));

    /// <summary>Says what this is, with the adapters' fingerprints. Reads their files the first time.</summary>
    /// <exception cref="InputFileException">A file is missing or cannot be read.</exception>
    public string Identity => _identity.Value;

    /// <summary>One adapter at a weight.</summary>
    public static Variant Of(AdapterSource adapter, double weight = 1) => new([new VariantTerm(adapter, weight)]);

    /// <summary>One adapter at a weight on each: s A + t B.</summary>
    public static Variant Sum(AdapterSource a, double s, AdapterSource b, double t) => new([new VariantTerm(a, s), new VariantTerm(b, t)]);

    private string Text(Func<AdapterSource, string> adapter)
    {
        if (IsBase) return "base";

        // A sum has no order: the same terms in another order are the same variant.
        var parts = Terms.Select(t => $"{Factor(t.Weight)}{adapter(t.Adapter)}{t.Restriction(adapter)}").Order(StringComparer.Ordinal).ToList();
        if (Noise != null) parts.Add(string.Create(CultureInfo.InvariantCulture, $"noise {Noise.Parameters} like {adapter(Noise.Like)}"));
        if (Steering != null)
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach ((int layer, float[] vector) in Steering.Vectors.OrderBy(pair => pair.Key))
            {
                hash.AppendData(Encoding.UTF8.GetBytes($"{layer}\n"));
                hash.AppendData(MemoryMarshal.AsBytes<float>(vector));
            }

            parts.Add($"steering {Convert.ToHexStringLower(hash.GetHashAndReset())}");
        }

        return string.Join(" + ", parts);
    }

    private static string Factor(double weight) => weight == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"{(float)weight:R} x ");

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>An adapter on disk, named by its content.</summary>
/// <remarks>Thread safe. The content is hashed once; a file that changes afterwards is not noticed by this object.</remarks>
/// <param name="path">A PEFT folder or a LoRA GGUF file.</param>
/// <param name="step">The step it was saved at, where that is known: a training that still runs may be writing it.</param>
internal sealed class AdapterSource(string path, CheckpointStep? step = null)
{
    private readonly Lazy<string> _fingerprint = new(() => AdapterFingerprint.Compute(path), LazyThreadSafetyMode.PublicationOnly);
    private string? _recalled;

    /// <summary>Where it lies.</summary>
    public string Path { get; } = path;

    /// <summary>The step it was saved at, or null.</summary>
    internal CheckpointStep? Step { get; } = step;

    /// <summary>SHA-256 of its content, hex.</summary>
    /// <exception cref="InputFileException">A file is missing or cannot be read.</exception>
    public string Fingerprint => _recalled ?? _fingerprint.Value;

    /// <summary>Takes a fingerprint that is known from elsewhere, so that the content need not be read.</summary>
    internal void Recall(string fingerprint) => _recalled = fingerprint;
}

/// <summary>A weight change in a variant.</summary>
/// <param name="Adapter">The adapter.</param>
/// <param name="Weight">The factor on its weight change: 1 as trained.</param>
/// <param name="Layers">Only the change of these blocks, or null for all that it changes.</param>
/// <param name="Mask">Only these coordinates of the change, or null for all.</param>
/// <param name="Directions">Only these singular directions of each weight's change, or null for all.</param>
internal sealed record VariantTerm(AdapterSource Adapter, double Weight = 1, LayerBand? Layers = null, WeightMask? Mask = null, WeightDirections? Directions = null)
{
    /// <summary>Bands, masks and directions in words that identify them.</summary>
    internal string Restriction(Func<AdapterSource, string> adapter) =>
        $"{(Layers is { } band ? $" {band}" : "")}{(Mask == null ? "" : $" {Mask.Parameters(adapter)}")}{(Directions == null ? "" : $" {Directions.Parameters}")}";
}

/// <summary>Blocks of a model: those from first to last, or all the others.</summary>
/// <param name="First">First block, from 0.</param>
/// <param name="Last">Last block, included.</param>
/// <param name="Inside">True for the blocks of the band, false for everything outside of it.</param>
internal readonly record struct LayerBand(int First, int Last, bool Inside = true)
{
    /// <summary>Whether a weight belongs to it: "blk.3.attn_q.weight" to block 3. What lies in no block (embeddings, head) is outside of any band.</summary>
    internal bool Contains(string tensor) => (WeightName.BlockOf(tensor) is { } block && block >= First && block <= Last) == Inside;

    /// <inheritdoc/>
    public override string ToString() => $"{(Inside ? "layers" : "all but layers")} {First}-{Last}";
}

/// <summary>Which coordinates of a weight change are kept; all others become 0.</summary>
internal enum WeightMaskKind
{
    /// <summary>The ceil(share N) coordinates of largest magnitude, of the N of all changed weights together.</summary>
    Largest,

    /// <summary>The same number of coordinates, drawn at random.</summary>
    Random,
}

/// <summary>A choice of coordinates.</summary>
/// <param name="Kind">How they are chosen.</param>
/// <param name="Share">Their share, in (0, 1].</param>
/// <param name="Seed">For random ones.</param>
/// <param name="Inverted">True for the coordinates that the choice leaves out.</param>
/// <param name="Of">The adapter whose coordinates are looked at to choose the largest; null for the masked one itself.</param>
internal sealed record WeightMask(WeightMaskKind Kind, double Share, int Seed = 0, bool Inverted = false, AdapterSource? Of = null)
{
    internal string Parameters(Func<AdapterSource, string> adapter) => string.Create(
        CultureInfo.InvariantCulture, $"mask {Kind} {Share:R} seed {Seed}{(Inverted ? " inverted" : "")}{(Of == null ? "" : $" of {adapter(Of)}")}");
}

/// <summary>A choice of singular directions of each weight's change.</summary>
/// <param name="Count">How many; all where there are no more.</param>
/// <param name="Seed">Null for the first ones, of the largest singular values; else the seed of random ones.</param>
internal sealed record WeightDirections(int Count, int? Seed = null)
{
    internal string Parameters => string.Create(CultureInfo.InvariantCulture, $"{Count} singular directions{(Seed is { } seed ? $" drawn by seed {seed}" : "")}");
}

/// <summary>The shape of random weight changes.</summary>
internal enum WeightNoiseKind
{
    /// <summary>A full matrix of independent Gaussian values.</summary>
    Gaussian,

    /// <summary>The product of two Gaussian factors of the adapter's rank.</summary>
    LowRank,
}

/// <summary>
/// Random weight changes as large as an adapter's, or a multiple of that: per changed weight N ~ Gaussian, made orthogonal to its dW,
/// N -= dW (N . dW) / (dW . dW), and scaled to <paramref name="Ratio"/> ||dW||_F (docs/layers.md).
/// </summary>
/// <param name="Like">The adapter whose weights and sizes it takes.</param>
/// <param name="Kind">Shape.</param>
/// <param name="Ratio">Frobenius norm over that of dW, per weight; at least 0.</param>
/// <param name="Seed">Of the values.</param>
/// <param name="Layers">Only in these blocks, or null for all that the adapter changes.</param>
internal sealed record WeightNoise(AdapterSource Like, WeightNoiseKind Kind, double Ratio, int Seed, LayerBand? Layers = null)
{
    internal string Parameters => string.Create(CultureInfo.InvariantCulture, $"{Kind} {Ratio:R} seed {Seed}{(Layers is { } band ? $" {band}" : "")}");
}
