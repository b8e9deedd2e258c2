using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>What a report says once, above its rows.</summary>
/// <param name="Version">Version of emscan.</param>
/// <param name="ModelPath">The base model as it was given.</param>
/// <param name="ModelDescription">Architecture, size and quantization.</param>
/// <param name="ModelSha256">Digest of the model file.</param>
/// <param name="LayerCount">L.</param>
/// <param name="HiddenSize">D.</param>
/// <param name="Layer">The measured layer.</param>
/// <param name="Traits">Trait names, (K).</param>
/// <param name="TraitSetName">Where the traits come from.</param>
/// <param name="PromptCount">P.</param>
/// <param name="Step0Norm">n0: mean norm of the base's hidden states.</param>
/// <param name="NumericMode">Numeric mode and device kind.</param>
/// <param name="Device">The device that computes.</param>
/// <param name="Threads">CPU threads.</param>
/// <param name="DirectionsSource">Where the directions come from.</param>
/// <param name="VerdictKind">The kind of verdicts that rows have.</param>
/// <param name="VerdictBasis">What the verdicts rest on; null in reports without verdicts.</param>
public sealed record ScanHeader(
    string Version,
    string ModelPath,
    string ModelDescription,
    string ModelSha256,
    int LayerCount,
    int HiddenSize,
    int Layer,
    IReadOnlyList<string> Traits,
    string TraitSetName,
    int PromptCount,
    double Step0Norm,
    string NumericMode,
    string Device,
    int Threads,
    string DirectionsSource,
    VerdictKind VerdictKind = VerdictKind.None,
    string? VerdictBasis = null)
{
    /// <summary>Where hidden states are taken.</summary>
    public MeasuredPlace Place { get; init; }

    /// <summary>Pooling of the states that the directions were extracted from, by its name; null when their file does not say.</summary>
    public string? DirectionsPooling { get; init; }
}

/// <summary>Receives a scan row by row and writes it in one format.</summary>
internal interface IScanReport : IDisposable
{
    /// <summary>Called once, before any row.</summary>
    /// <param name="header">What is said above the rows.</param>
    /// <param name="tally">Counts the rows as they are added; what it says at the end belongs below them.</param>
    void Begin(ScanHeader header, ScanTally tally);

    /// <summary>Called when the rows of a run start; <paramref name="baseline"/> is the base model's point, step 0.</summary>
    void BeginRun(CheckpointRun run, Drift.Displacement baseline);

    /// <summary>Called for each checkpoint.</summary>
    /// <param name="point">The checkpoint.</param>
    /// <param name="assessment">What is said of it.</param>
    void Add(ScanPoint point, Assessment assessment);

    /// <summary>Called once, after the last row; not called when the scan was interrupted.</summary>
    void Finish();
}
