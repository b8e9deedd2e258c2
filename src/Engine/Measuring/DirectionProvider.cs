using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>Trait directions for a prepared model: the file given, else the calibration's, else the cache, else extracted now and put into the cache.</summary>
internal static class DirectionProvider
{
    // The same whether it happened now or for an earlier scan: results do not tell the one from the other.
    private const string Extracted = "extracted from the model";

    internal static (DirectionSet Set, string Source) Get(
        LoadedModel prepared, IProgress<ScanProgress>? progress, List<Remark> remarks, CancellationToken cancellationToken)
    {
        if (Find(prepared, remarks) is { } atHand) return atHand;
        string cached = CachePath(prepared);
        if (prepared.Request.Merged != null)
            throw new InputFileException(cached, "the trait directions that the shards measured with are not there; merge with the cache that they used.");
        if (prepared.Request.Shared is not { } work)
        {
            DirectionSet extracted = Now();
            Remember(prepared, extracted);
            return (extracted, Extracted);
        }

        return (SharedWork.Once(cached, work.Owner, () => Find(prepared, [])?.Set, Publish, Waiting, cancellationToken), Extracted);

        // The figures that say how far to trust a direction cost more than the direction; 'emscan extract' gives them.
        DirectionSet Now() => Extract(prepared, prepared.Request.Extraction with { Validity = false }, progress, cancellationToken).Directions;

        void Publish()
        {
            DirectionSet extracted = Now();
            if (Find(prepared, []) != null) return;
            File.Delete(cached); // what is there, if anything, is damaged
            SharedWork.Publish(cached, extracted.Save);
        }

        void Waiting() => progress?.Report(new ScanProgress("waiting for another shard: trait directions", 0, 0));
    }

    /// <summary>Puts directions into the cache, for what measures along the model's own without being given a file.</summary>
    internal static void Remember(LoadedModel prepared, DirectionSet extracted) => extracted.Save(CachePath(prepared));

    /// <summary>Directions that need not be extracted, or null.</summary>
    internal static (DirectionSet Set, string Source)? Find(LoadedModel prepared, List<Remark> remarks)
    {
        ScanRequest request = prepared.Request;
        if (request.DirectionsFile is { } file) return (Given(file, prepared, remarks), $"from {file}");
        if (request.Directions is { } made && made.Metadata.ModelSha256 == prepared.Sha256 && Mismatch(made, new DirectionMetadata(), prepared, requireRecorded: false) == null)
            return (made, "of the calibration");
        string cached = CachePath(prepared);
        if (request.Recompute || !File.Exists(cached)) return null;
        try
        {
            DirectionSet known = DirectionSet.Load(cached);
            if (Mismatch(known, Origin(prepared), prepared, requireRecorded: true) is not { } reason) return (known, Extracted);
            remarks.Add(new Remark("directions-again", $"{cached}: {reason}; they are extracted again."));
        }
        catch (InputFileException e)
        {
            remarks.Add(new Remark("directions-again", $"{e.Message}; the directions are extracted again."));
        }

        return null;
    }

    private static string CachePath(LoadedModel prepared) =>
        Path.Combine(prepared.Cache, "directions", $"{FileName(Origin(prepared), prepared.Request.Extraction)}.safetensors");

    /// <summary>Extracts directions, with the metadata that tells later where they came from.</summary>
    /// <exception cref="EmScanException">The model or the trait set does not allow it.</exception>
    public static ExtractionResult Extract(
        LoadedModel prepared, ExtractionOptions options, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prepared);
        ArgumentNullException.ThrowIfNull(options);
        ExtractionResult result = DirectionExtractor.Extract(
            prepared.Source, prepared.Encoder, prepared.Traits, options with { Origin = Origin(prepared) },
            progress == null ? null : new Counted(progress), cancellationToken);
        var norms = new MeanNormSink(prepared.Model.HiddenSize);
        prepared.Source.Capture(prepared.EvaluationPrompts(), result.Directions.Layers, norms, cancellationToken);
        return result with { Directions = result.Directions.WithMetadata(result.Directions.Metadata with { N0 = norms.ByLayer() }) };
    }

    private static DirectionMetadata Origin(LoadedModel prepared) => new()
    {
        ModelSha256 = prepared.Sha256,
        ModelName = Path.GetFileName(prepared.Model.FilePath),
        TraitSetSha256 = prepared.Traits.ContentHash,
        Method = prepared.Request.Extraction.Method.ToName(),
        Pooling = prepared.Request.Extraction.Pooling!.Value.ToName(),
        PromptIdentity = prepared.Encoder.Identity,
        Precision = prepared.NumericMode,
        CreatedBy = $"emscan {EmScanVersion.Text}",
    };

    private static string FileName(DirectionMetadata origin, ExtractionOptions options)
    {
        string identity = string.Join(
            '\n', origin.ModelSha256, origin.TraitSetSha256, origin.Method, origin.Pooling, origin.PromptIdentity, origin.Precision, options.MaxNewTokens);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(identity)))[..32];
    }

    private static string? Mismatch(DirectionSet set, DirectionMetadata expected, LoadedModel prepared, bool requireRecorded) =>
        set.Mismatch(expected, prepared.Traits.TraitNames, prepared.Model.HiddenSize, prepared.Model.LayerCount, requireRecorded);

    private static DirectionSet Given(string file, LoadedModel prepared, List<Remark> remarks)
    {
        var given = DirectionSet.Load(file);

        // Control vectors come one by one, from anywhere: they are the traits, whatever the trait set has.
        IReadOnlyList<string> wanted = prepared.Traits.TraitNames;
        if (given.HasTraits(wanted)) given = given.InOrder(wanted);
        else if (Directory.Exists(file) || RecognisedFile.Of(file).Kind == FileKind.ControlVector)
        {
            remarks.Add(new Remark("directions-of-other-traits", $"{file}: measured along {string.Join(", ", given.Traits)}; the trait set gives the prompts only."));
            wanted = given.Traits;
        }

        // What cannot be used at all is refused; what is only unusual is said. Directions from another quantization are a good choice.
        if (given.Mismatch(new DirectionMetadata(), wanted, prepared.Model.HiddenSize, prepared.Model.LayerCount, requireRecorded: false) is { } wrong)
            throw new InputFileException(file, $"{wrong}; give the directions and the trait set of this model.");
        if (given.Metadata.ModelSha256 is { } model && model != prepared.Sha256)
            remarks.Add(new Remark("directions-of-other-model", $"{file}: extracted from another model file ({given.Metadata.ModelName}); right only if that is another quantization of this model."));
        return given;
    }

    /// <summary>n0 of every layer: the mean over prompts of the hidden state's norm.</summary>
    private sealed class MeanNormSink(int hiddenSize) : IHiddenStateSink
    {
        private readonly Dictionary<int, RunningVariance> _norms = [];
        private readonly double[] _norm = new double[1];

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            KernelSets.Default.RowNorms(states, hiddenSize, _norm);
            if (!_norms.TryGetValue(layer, out RunningVariance? mean)) _norms.Add(layer, mean = new RunningVariance(1));
            mean.Add(_norm);
        }

        internal Dictionary<int, double> ByLayer() => _norms.ToDictionary(pair => pair.Key, pair =>
        {
            pair.Value.CopyMean(_norm);
            return _norm[0];
        });
    }

    private sealed class Counted(IProgress<ScanProgress> target) : IProgress<ExtractionProgress>
    {
        public void Report(ExtractionProgress value) =>
            target.Report(new ScanProgress("extracting trait directions", value.PromptsDone, value.PromptsTotal));
    }
}
