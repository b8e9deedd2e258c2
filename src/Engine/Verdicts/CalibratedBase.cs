using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Verdicts;

/// <summary>What a calibration was measured on, and how to tell whether a scan measures the same.</summary>
/// <param name="ModelSha256">SHA-256 of the model file.</param>
/// <param name="ModelDescription">Architecture, size and quantization.</param>
/// <param name="LayerCount">L.</param>
/// <param name="Layer">Layer that was measured.</param>
/// <param name="Traits">Trait names, (K).</param>
/// <param name="PromptCount">P.</param>
/// <param name="NumericMode">Numeric mode and device kind.</param>
/// <param name="Projections">The base model's own normalised projections p_t(0) / n0, (K): a checksum of model, layer, directions, prompts
/// and template that tolerates rounding and quantization.</param>
internal sealed record CalibratedBase(
    string ModelSha256, string ModelDescription, int LayerCount, int Layer, IReadOnlyList<string> Traits, int PromptCount, string NumericMode,
    IReadOnlyList<double> Projections)
{
    /// <summary>Where hidden states were taken.</summary>
    public MeasuredPlace Place { get; init; }

    /// <summary>Pooling of the states that the directions were extracted from, by its name; null when it is not known.</summary>
    public string? DirectionsPooling { get; init; }

    /// <summary>How the directions were estimated, by its name; null when it is not known.</summary>
    public string? DirectionsMethod { get; init; }

    /// <summary>The unit trait directions that it was measured along, (K, D) row-major; null in files of before they were kept.</summary>
    public float[]? Directions { get; init; }

    /// <summary>The base's answers that were measured on; null at the last prompt token.</summary>
    public BaseAnswers? Answers { get; init; }

    /// <summary>The sparse autoencoder whose latents the detector reads, at <see cref="Layer"/>; null where it reads none.</summary>
    public CalibratedAutoencoder? Autoencoder { get; init; }

    /// <summary>Projections of the same base in another quantization or numeric mode differ by less than this (0.001 to 0.01 for Q8_0 against F32);
    /// other prompts, directions or models differ by more.</summary>
    public const double Tolerance = 0.02;

    /// <summary>Names the base in files and among checkpoints of several: the beginning of the model file's digest.</summary>
    internal string Identity => ModelSha256.Length > 12 ? ModelSha256[..12] : ModelSha256;

    /// <summary>A request that measures what this was made on, wherever it does not ask for something else itself.</summary>
    public ScanRequest Complete(ScanRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        MeasuredPlace place = request.Place ?? Place;
        string method = request.Extraction.Method.ToName();
        bool alike = place == Place && (request.Layer ?? Layer) == Layer && (request.Extraction.Pooling?.ToName() ?? DirectionsPooling) == DirectionsPooling
            && (method == DirectionsMethod || method == new ExtractionOptions().Method.ToName());
        Pooling? pooling = ExtractionNames.TryParse(DirectionsPooling, out Pooling known) && place == Place ? known : null;
        return request with
        {
            Layer = request.Layer ?? Layer,
            Place = place,
            Extraction = request.Extraction with { Pooling = request.Extraction.Pooling ?? pooling },
            Answers = request.Answers ?? Answers,
            Directions = request.Directions ?? (alike ? ToDirections() : null),
        };
    }

    /// <summary>Whether this can be the base that a request measures, by its number of blocks and the traits: what merely lies beside a model may be of
    /// another.</summary>
    /// <exception cref="InputFileException">The model's header or the trait set cannot be read.</exception>
    internal bool CanBeOf(ScanRequest request) => GgufFile.Open(request.Model).BlockCount == LayerCount
        && (request.DirectionsFile != null || TraitSelection.Load(request.TraitsFile, request.Model, out _).TraitNames.SequenceEqual(Traits));

    /// <summary>Reads the sparse autoencoder that a calibration needs.</summary>
    /// <param name="source">The calibration, as its user knows it.</param>
    /// <param name="path">What was given, or null.</param>
    /// <returns>Null where it needs none.</returns>
    /// <exception cref="AutoencoderMissingException">It needs one, and none was given.</exception>
    /// <exception cref="InvalidSettingException">It needs none, and one was given.</exception>
    /// <exception cref="InputFileException">What was given cannot be read, or is another one.</exception>
    internal SparseAutoencoder? ReadAutoencoder(string source, string? path)
    {
        if (Autoencoder is not { } made)
        {
            return path == null ? null : throw new InvalidSettingException(
                $"A sparse autoencoder is given, and {source} reads no latents; 'emscan diff' shows which of them an adapter changes.");
        }

        var given = SparseAutoencoder.Read(path ?? throw new AutoencoderMissingException(source, made, Layer));
        if (given.Digest != made.Digest)
            throw new InputFileException(given.Path, $"is {CalibratedAutoencoder.Of(given)}, another sparse autoencoder than {source} was made with, {made}");
        return given.Layer == Layer ? given
            : throw new InputFileException(given.Path, $"is for layer {given.Layer}, and {source} was made with it at layer {Layer}");
    }

    private DirectionSet? ToDirections() => Directions is not { } directions ? null : new DirectionSet(
        Traits, directions.Length / Traits.Count, new Dictionary<int, float[]> { [Layer] = directions },
        new DirectionMetadata { ModelSha256 = ModelSha256, Pooling = DirectionsPooling, Method = DirectionsMethod });

    /// <summary>A request that measures what labels are added for: this base as it was measured, or another one the same way, that is at the same place
    /// with the same kind of directions, at the same share of its depth (the last layer of one is the last of the other), and on its own answers.</summary>
    /// <exception cref="InputFileException">The model's file cannot be read.</exception>
    internal ScanRequest CompleteFor(ScanRequest request, CancellationToken cancellationToken = default)
    {
        if (ModelFingerprint.Compute(request.Model, request.CacheFolder ?? CacheFolder.Default, cancellationToken) == ModelSha256) return Complete(request);
        long layers = GgufFile.Open(request.Model).BlockCount;
        int layer = LayerCount <= 0 ? Layer : Layer == LayerCount - 1 ? (int)layers - 1 : (int)(Layer * layers / LayerCount);
        return (this with { Answers = null, Directions = null, Layer = layer }).Complete(request);
    }

    /// <summary>Why numbers of another base cannot stand beside these, as a clause; null when they can.</summary>
    internal string? MeasuredOtherwise(CalibratedBase scan)
    {
        if (!Traits.SequenceEqual(scan.Traits))
            return $"was made for the traits {string.Join(", ", Traits)}, and this scan measures {string.Join(", ", scan.Traits)}";
        if (Place != scan.Place) return $"was made with states of the {Place.ToPhrase()}, and this scan takes them at the {scan.Place.ToPhrase()}; ask for place {Place.ToName()}";
        if (DirectionsPooling is { } pooling && scan.DirectionsPooling is { } other && pooling != other)
            return $"was made with directions of pooling {pooling}, and this scan has {other}; ask for pooling {pooling}";
        return DirectionsMethod is { } method && scan.DirectionsMethod is { } another && method != another
            ? $"was made with directions of method {method}, and this scan has {another}; ask for method {method}" : null;
    }

    /// <summary>Why verdicts do not carry over to a scan, as a clause; null when they do.</summary>
    public string? Mismatch(CalibratedBase scan)
    {
        ArgumentNullException.ThrowIfNull(scan);
        if (MeasuredOtherwise(scan) is { } otherwise) return otherwise;
        bool sameModel = ModelSha256 == scan.ModelSha256;
        if (sameModel && Layer != scan.Layer) return $"was made at layer {Layer}, and this scan measures layer {scan.Layer}; ask for layer {Layer}";
        if (sameModel && PromptCount != scan.PromptCount) return $"was made with {PromptCount} evaluation prompts, and this scan has {scan.PromptCount}";
        double difference = Projections.Zip(scan.Projections, (a, b) => Math.Abs(a - b)).Max();
        if (difference <= Tolerance) return null;
        string what = sameModel ? "with other directions, prompts or another chat template" : $"on another base model ({ModelDescription})";
        return FormattableString.Invariant($"was made {what}: the base's own projections differ by {difference:0.000}");
    }
}
