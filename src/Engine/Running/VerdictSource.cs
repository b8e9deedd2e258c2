using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Verdicts;
using EmScan.Kernels;

namespace EmScan.Engine.Running;

/// <summary>Decides what a scan judges by: the calibration asked for, the one beside the model, benign controls, or nothing.</summary>
/// <remarks>Immutable, thread safe.</remarks>
public sealed class VerdictSource
{
    /// <summary>In place of a calibration's file: none, not even the one beside the model.</summary>
    public const string None = "none";

    private readonly Calibration? _calibration;
    private readonly string? _calibrationFile;
    private readonly bool _asked;
    private readonly bool _trust;
    private readonly string? _benign;
    private readonly SparseAutoencoder? _autoencoder; // that the calibration reads

    private VerdictSource(Calibration? calibration, string? calibrationFile, bool asked, bool trust, string? benign, string? autoencoder)
    {
        (_calibration, _calibrationFile, _asked, _trust, _benign) = (calibration, calibrationFile, asked, trust, benign);
        _autoencoder = calibration?.Base.ReadAutoencoder(calibrationFile!, autoencoder);
        if (calibration == null && autoencoder != null)
            throw new InvalidSettingException("A sparse autoencoder is given, and no calibration that reads its latents; 'emscan diff' shows which of them an adapter changes.");
    }

    /// <summary>Reads the calibration that is asked for, or that lies beside the model.</summary>
    /// <param name="request">What is scanned.</param>
    /// <param name="calibration">The calibration's file; null for the one beside the model if there is one; <see cref="None"/> for none.</param>
    /// <param name="trust">Uses a calibration also where it was made on something else.</param>
    /// <param name="benign">Folder with control adapters from harmless finetunings, or null; excludes a calibration.</param>
    /// <param name="autoencoder">The sparse autoencoder that the calibration was made with, a folder as SAELens saves it; null where it reads none.</param>
    /// <exception cref="ArgumentException">Both a calibration and controls.</exception>
    /// <exception cref="InputFileException">The calibration or the autoencoder cannot be read, or the autoencoder is another one.</exception>
    /// <exception cref="InvalidSettingException">An autoencoder is given, and nothing reads it.</exception>
    /// <exception cref="EmScanException">The calibration reads an autoencoder, and none is given.</exception>
    public static VerdictSource Choose(
        ScanRequest request, string? calibration = null, bool trust = false, string? benign = null, string? autoencoder = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (calibration != null && calibration != None && benign != null) throw new ArgumentException("A calibration and benign controls exclude each other.", nameof(benign));
        if (benign != null || calibration == None) return new VerdictSource(null, null, false, trust, benign, autoencoder);
        if (calibration != null) return new VerdictSource(CalibrationFile.Read(calibration), calibration, true, trust, null, autoencoder);
        string beside = CalibrationFile.Beside(request.Model);
        return File.Exists(beside)
            ? new VerdictSource(CalibrationFile.Read(beside), beside, false, trust, null, autoencoder)
            : new VerdictSource(null, null, false, trust, null, autoencoder);
    }

    /// <summary>
    /// The request with layer, place and directions as the calibration was made, where it asks for none. A calibration that merely lies beside
    /// the model has no say when it cannot be the model's.
    /// </summary>
    /// <exception cref="InputFileException">The model's header or the trait set cannot be read.</exception>
    public ScanRequest Complete(ScanRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (_calibration?.Base is not { } made) return request;
        return _asked || made.CanBeOf(request) ? made.Complete(request) : request;
    }

    /// <summary>The judge, and words where it should not be trusted, or is not what lies beside the model. Measures the controls, where there are any,
    /// and has the session measure latents from now on, on the processor, where the judge reads them.</summary>
    /// <exception cref="CalibrationMismatchException">The calibration that was asked for does not carry over to this scan.</exception>
    /// <exception cref="EmScanException">A control cannot be measured, or the autoencoder is not of this model or layer.</exception>
    public Task<(Judge Judge, IReadOnlyList<Remark> Remarks)> ToJudgeAsync(
        ScanSession session, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default) =>
        ToJudgeAsync(session, session => new CpuKernelDevice(session.Prepared.Parallel.ThreadsEach), progress, cancellationToken);

    /// <summary>The same with a device for latents, which is opened where there are any.</summary>
    internal async Task<(Judge Judge, IReadOnlyList<Remark> Remarks)> ToJudgeAsync(
        ScanSession session, Func<ScanSession, IKernelDevice> openDevice, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(session);
        var remarks = new List<Remark>();
        if (_benign != null && session.Shards.Work != null)
        {
            DiscoveredCheckpoints controls = ShardShares.Of(FindControls(_benign, remarks), session.Shards.Work.Shard);
            await MeasureAsync(session, controls, progress, cancellationToken).ConfigureAwait(false);
            remarks.Add(new Remark("controls-shared", "The controls are shared among the shards as well: verdicts against them come with the merge."));
            return (Judge.Uncalibrated(session.Header.Prompts), remarks);
        }

        Judge judge = _benign != null ? Judge.Benign(await MeasureControlsAsync(session, FindControls(_benign, remarks), progress, cancellationToken).ConfigureAwait(false))
            : Choose(session, remarks);
        if (_autoencoder != null && judge.Calibration != null)
        {
            if (_autoencoder.Layer != session.Header.Layer)
                throw new InputFileException(_autoencoder.Path, $"is for layer {_autoencoder.Layer}, and this scan measures layer {session.Header.Layer}");
            session.MeasureLatents(_autoencoder, openDevice(session), cancellationToken);
        }

        if (judge.Weakness is { } weakness)
            remarks.Add(new Remark("weak-calibration", $"{_calibrationFile} {weakness}; its verdicts are not usable. Run 'emscan calibrate' with more labelled runs."));
        return (judge, remarks);
    }

    private Judge Choose(ScanSession session, List<Remark> remarks)
    {
        int prompts = session.Header.Prompts;
        if (_calibration == null) return Judge.Uncalibrated(prompts);
        if (_calibration.Base.Mismatch(session.MeasuredBase) is not { } mismatch) return Judge.Calibrated(_calibration, _calibrationFile!);

        // Other traits are other numbers; nothing can be trusted there.
        bool sameTraits = _calibration.Base.Traits.SequenceEqual(session.Header.Traits);
        if (_trust && sameTraits)
        {
            remarks.Add(new Remark("transferred-calibration", $"{_calibrationFile} {mismatch}; used all the same, as was asked."));
            return Judge.Calibrated(_calibration, _calibrationFile!, transferred: true);
        }

        if (_asked) throw new CalibrationMismatchException(_calibrationFile!, $"{mismatch}. Run 'emscan calibrate' on what you scan.") { CanBeTrusted = sameTraits };
        remarks.Add(new Remark("calibration-not-used", $"{_calibrationFile} {mismatch}; it is not used."));
        return Judge.Uncalibrated(prompts);
    }

    // A threshold of fewer controls than the folder seems to hold is one that its user must know of.
    private static DiscoveredCheckpoints FindControls(string folder, List<Remark> remarks)
    {
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(folder);
        remarks.AddRange(found.Remarks.Select(remark => new Remark(remark.Code, $"benign controls: {remark.Text}")));
        return found;
    }

    private static async Task<BenignReference> MeasureControlsAsync(
        ScanSession session, DiscoveredCheckpoints found, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        session.RequireOnRecord(found);
        List<ScanPoint> points = await MeasureAsync(session, found, progress, cancellationToken).ConfigureAwait(false);
        if (points.OfType<FailedPoint>().FirstOrDefault() is { } failed) throw new EmScanException($"A benign control could not be measured: {failed.Error}");
        return BenignReference.Fit([.. points.Cast<MeasuredPoint>().Select(point => (double[])[.. point.Displacement.PerTrait])]);
    }

    private static async Task<List<ScanPoint>> MeasureAsync(
        ScanSession session, DiscoveredCheckpoints found, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        var points = new List<ScanPoint>(found.Count);
        await foreach (ScanPoint point in session.Scanner.ScanAsync(found.Runs.SelectMany(r => r.Checkpoints), cancellationToken).ConfigureAwait(false))
        {
            points.Add(point);
            progress?.Report(new ScanProgress("measuring benign controls", points.Count, found.Count));
        }

        return points;
    }
}

/// <summary>A calibration that was asked for was made on something else than what is scanned.</summary>
/// <param name="path">The calibration.</param>
/// <param name="problem">What is different, and what to do.</param>
public sealed class CalibrationMismatchException(string path, string problem) : EmScanException($"{path}: {problem}")
{
    /// <summary>Whether it could be used all the same, where its user knows better; never with other traits.</summary>
    public bool CanBeTrusted { get; init; }
}
