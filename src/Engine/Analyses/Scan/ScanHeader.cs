using EmScan.Engine.Adapters;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>What a report of a scan says once, above its rows.</summary>
public sealed record ScanHeader : FindingsHeader
{
    /// <summary>The kind of verdicts that rows have.</summary>
    public VerdictKind VerdictKind { get; init; }

    /// <summary>Whether rows have a forecast: the calibration has one.</summary>
    internal bool Forecasts { get; private init; }

    /// <summary>The same with what verdicts rest on.</summary>
    internal ScanHeader JudgedBy(Judge judge) => this with { VerdictKind = judge.Kind, VerdictBasis = judge.Basis, Forecasts = judge.Calibration?.Forecaster != null };

    /// <summary>What the verdicts rest on; null in reports without verdicts.</summary>
    public string? VerdictBasis { get; init; }
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
