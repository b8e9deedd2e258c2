using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>All that a scan's numbers depend on besides the adapters: model, layer, directions, prompts, numeric mode.</summary>
/// <remarks>Immutable as long as nobody writes to the arrays.</remarks>
internal sealed class ScanDefinition
{
    private readonly float[] _directions;

    /// <summary>Defines a scan.</summary>
    /// <param name="modelFingerprint">SHA-256 of the model file, hex.</param>
    /// <param name="layer">Layer that is measured.</param>
    /// <param name="traits">Trait names, (K).</param>
    /// <param name="directions">Unit trait directions at that layer, (K, D) row-major.</param>
    /// <param name="prompts">The evaluation prompts, (P); the mean over the positions of each is measured.</param>
    /// <param name="numericMode">Names the numeric mode ("exact", "fast") and the device kind: results of different modes are not mixed.</param>
    public ScanDefinition(string modelFingerprint, int layer, IReadOnlyList<string> traits, float[] directions, IReadOnlyList<CapturePrompt> prompts, string numericMode)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelFingerprint);
        ArgumentNullException.ThrowIfNull(traits);
        ArgumentNullException.ThrowIfNull(directions);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentException.ThrowIfNullOrEmpty(numericMode);
        if (traits.Count == 0 || directions.Length == 0 || directions.Length % traits.Count != 0)
            throw new ArgumentException($"{directions.Length} values are not {traits.Count} directions of one length.", nameof(directions));
        if (prompts.Count == 0) throw new ArgumentException("At least one evaluation prompt is needed.", nameof(prompts));
        ModelFingerprint = modelFingerprint;
        Layer = layer;
        Traits = traits;
        _directions = directions;
        Prompts = prompts;
        NumericMode = numericMode;
        Shape = new MeasurementShape(prompts.Count, traits.Count, directions.Length / traits.Count);
        Fingerprint = ComputeFingerprint();
    }

    /// <summary>SHA-256 of the model file, hex.</summary>
    public string ModelFingerprint { get; }

    /// <summary>Model and numeric mode, as keys of cells name them.</summary>
    public ModelIdentity Model => new(ModelFingerprint, NumericMode);

    /// <summary>Layer that is measured.</summary>
    public int Layer { get; }

    /// <summary>Trait names, (K).</summary>
    public IReadOnlyList<string> Traits { get; }

    /// <summary>The evaluation prompts, (P), with the positions whose mean is measured.</summary>
    public IReadOnlyList<CapturePrompt> Prompts { get; }

    /// <summary>Numeric mode and device kind.</summary>
    public string NumericMode { get; }

    /// <summary>P, K and D.</summary>
    public MeasurementShape Shape { get; }

    /// <summary>Unit trait directions, (K, D) row-major.</summary>
    public ReadOnlySpan<float> Directions => _directions;

    /// <summary>SHA-256, hex, over everything above: the name that journals of emscan 0.2.0 had.</summary>
    internal string Fingerprint { get; }

    /// <summary>Reduces what a capture of the prompts gives, as the scan does.</summary>
    internal AccumulatorSink Sink() => new(new ProjectionReducer(_directions, Traits.Count), new PromptSet("the evaluation prompts", Prompts), Shape.HiddenSize);

    private string ComputeFingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Text($"emscan scan 2|{ModelFingerprint}|{NumericMode}|layer {Layer}");
        foreach (string trait in Traits) Text(trait);
        hash.AppendData(MemoryMarshal.AsBytes<float>(_directions));
        foreach (CapturePrompt prompt in Prompts)
        {
            Text($"prompt {prompt.Tokens.Length} at {string.Join(',', prompt.Positions)}");
            hash.AppendData(MemoryMarshal.AsBytes<int>(prompt.Tokens));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Text(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));
    }
}
