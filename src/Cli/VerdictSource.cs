using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>Decides what a scan judges by: the calibration asked for, the one beside the model, benign controls, or nothing.</summary>
internal sealed class VerdictSource
{
    private const string None = "none";

    private readonly Calibration? _calibration;
    private readonly string? _calibrationFile;
    private readonly bool _asked;
    private readonly bool _trust;
    private readonly string? _benign;

    private VerdictSource(Calibration? calibration, string? calibrationFile, bool asked, bool trust, string? benign) =>
        (_calibration, _calibrationFile, _asked, _trust, _benign) = (calibration, calibrationFile, asked, trust, benign);

    /// <summary>
    /// The request with layer, place and directions as the calibration was made, where it asks for none. A calibration that merely lies beside
    /// the model has no say when it cannot be the model's.
    /// </summary>
    internal ScanRequest Complete(ScanRequest request)
    {
        if (_calibration?.Base is not { } made) return request;
        bool fits = _asked || (GgufFile.Open(request.Model).BlockCount == made.LayerCount
            && (request.DirectionsFile != null || TraitSelection.Load(request.TraitsFile, request.Model, out _).TraitNames.SequenceEqual(made.Traits)));
        return fits ? made.Complete(request) : request;
    }

    internal static VerdictSource Choose(ScanRequest request, string? calibration, bool trust, string? benign)
    {
        if (calibration != null && calibration != None && benign != null) throw new UsageException("--calibration and --benign exclude each other; a calibration needs no controls.");
        if (benign != null || calibration == None) return new VerdictSource(null, null, false, trust, benign);
        if (calibration != null) return new VerdictSource(CalibrationFile.Read(calibration), calibration, true, trust, null);
        string beside = Path.Combine(Path.GetDirectoryName(request.Model) is { Length: > 0 } folder ? folder : ".", CalibrationFile.DefaultName);
        return File.Exists(beside)
            ? new VerdictSource(CalibrationFile.Read(beside), beside, false, trust, null)
            : new VerdictSource(null, null, false, trust, null);
    }

    /// <summary>The judge, and a word where it should not be trusted.</summary>
    internal async Task<Judge> ToJudgeAsync(ScanSession session, IProgress<ScanProgress> progress, CancellationToken cancellationToken)
    {
        Judge judge = await ChooseJudgeAsync(session, progress, cancellationToken);
        if (judge.Weakness is { } weakness) Runner.Note($"{_calibrationFile} {weakness}; its verdicts are not usable. Run 'emscan calibrate' with more labelled runs.");
        return judge;
    }

    private async Task<Judge> ChooseJudgeAsync(ScanSession session, IProgress<ScanProgress> progress, CancellationToken cancellationToken)
    {
        int prompts = session.Header.PromptCount;
        if (_benign != null) return Judge.Benign(await MeasureControlsAsync(session, _benign, progress, cancellationToken));
        if (_calibration == null) return Judge.Uncalibrated(prompts);
        if (_calibration.Base.Mismatch(CalibratedBase.Of(session)) is not { } mismatch) return Judge.Calibrated(_calibration, _calibrationFile!);

        // Other traits are other numbers; nothing can be trusted there.
        bool sameTraits = _calibration.Base.Traits.SequenceEqual(session.Header.Traits);
        if (_trust && sameTraits)
        {
            Runner.Note($"{_calibrationFile} {mismatch}; used all the same, as --trust-calibration asks.");
            return Judge.Calibrated(_calibration, _calibrationFile!, transferred: true);
        }

        if (_asked)
        {
            throw new InputFileException(
                _calibrationFile!, $"{mismatch}. Run 'emscan calibrate' on what you scan{(sameTraits ? ", or give --trust-calibration to use it all the same" : "")}.");
        }

        Runner.Note($"{_calibrationFile} {mismatch}; it is not used.");
        return Judge.Uncalibrated(prompts);
    }

    private static async Task<BenignReference> MeasureControlsAsync(ScanSession session, string folder, IProgress<ScanProgress> progress, CancellationToken cancellationToken)
    {
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(folder);
        var drifts = new List<double[]>(found.Count);
        int done = 0;
        await foreach (ScanPoint point in session.Scanner.ScanAsync(found.Runs.SelectMany(r => r.Checkpoints), cancellationToken))
        {
            progress.Report(new ScanProgress("measuring benign controls", ++done, found.Count));
            if (point.Drift == null) throw new EmScanException($"A benign control could not be measured: {point.Error}");
            drifts.Add(point.Drift.Drift);
        }

        return BenignReference.Fit(drifts);
    }
}
