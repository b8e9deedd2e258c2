using EmScan.Engine.Analyses;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Running;

/// <summary>
/// Decides along which axis an analysis scores: the one that is given, else that of the calibration, which is asked for or lies beside the
/// model, else harmlessness alone, which is said.
/// </summary>
internal sealed class AxisSource
{
    private readonly string? _axisFile;
    private readonly string? _calibrationFile;
    private readonly Calibration? _calibration;
    private readonly bool _asked;

    private AxisSource(string? axisFile, string? calibrationFile, Calibration? calibration, bool asked) =>
        (_axisFile, _calibrationFile, _calibration, _asked) = (axisFile, calibrationFile, calibration, asked);

    /// <summary>Reads what there is.</summary>
    /// <param name="request">What is measured.</param>
    /// <param name="axisFile">Loadings, or null.</param>
    /// <param name="calibration">The calibration's file; null for the one beside the model if there is one; <see cref="VerdictSource.None"/> for none.</param>
    /// <exception cref="InputFileException">The calibration cannot be read.</exception>
    internal static AxisSource Choose(ScanRequest request, string? axisFile, string? calibration)
    {
        if (axisFile != null || calibration == VerdictSource.None) return new AxisSource(axisFile, null, null, false);
        string file = calibration ?? Path.Combine(Path.GetDirectoryName(request.Model) is { Length: > 0 } folder ? folder : ".", CalibrationFile.DefaultName);
        return calibration != null || File.Exists(file)
            ? new AxisSource(null, file, CalibrationFile.Read(file), calibration != null)
            : new AxisSource(null, null, null, false);
    }

    /// <summary>The request with layer and pooling as the calibration was made, where it asks for none; states are taken at the last prompt token.</summary>
    internal ScanRequest Complete(ScanRequest request) =>
        _calibration?.Base is { Place: MeasuredPlace.LastPromptToken } made && (_asked || GgufFile.Open(request.Model).BlockCount == made.LayerCount) ? made.Complete(request) : request;

    /// <summary>The axis.</summary>
    /// <param name="context">The model, measured.</param>
    /// <param name="remarks">Receives why a calibration is not used.</param>
    /// <exception cref="InputFileException">The loadings cannot be read.</exception>
    /// <exception cref="EmScanException">The calibration that was asked for does not fit, or there is nothing to stand in for an axis.</exception>
    internal ScoreAxis For(AnalysisContext context, ICollection<Remark> remarks)
    {
        if (_axisFile != null) return new ScoreAxis(AnalysisInputs.Axis(_axisFile, context.Header.Traits), $"the axis of {_axisFile}");
        if (_calibration == null) return ScoreAxis.Alone(context.Header.Traits);
        string? problem = _calibration.Base.Mismatch(BaseOf(context)) ?? (_calibration.Axis == null ? "was made of fewer than three runs and has no drift axis" : null);
        if (problem == null) return new ScoreAxis(_calibration.Axis!.Loadings.ToArray(), $"the drift axis of {_calibrationFile} ({_calibration.Axis.Runs} runs)");
        if (_asked) throw new EmScanException($"{_calibrationFile}: {problem}; give one that was made on this model, or the loadings of an axis.");
        remarks.Add(new Remark("calibration-not-used", $"{_calibrationFile} {problem}; its axis is not used."));
        return ScoreAxis.Alone(context.Header.Traits);
    }

    private static CalibratedBase BaseOf(AnalysisContext context)
    {
        int traits = context.Header.Traits.Count;
        var cell = new Cell(Variant.Base, context.EvaluationPrompts, context.Layer, new ProjectionReducer(context.Directions.Direction(context.Layer), traits));
        double[] projections = Array.ConvertAll(Measurement.From(context.Results[cell]).MeanProjections(traits), p => p / context.Step0Norm);
        return new CalibratedBase(
            context.Header.ModelSha256, context.Header.ModelDescription, context.LayerCount, context.Layer, context.Header.Traits, context.Header.Prompts,
            context.Header.NumericMode, projections)
        {
            DirectionsPooling = context.Directions.Metadata.Pooling,
        };
    }
}
