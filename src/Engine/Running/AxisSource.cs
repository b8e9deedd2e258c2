using EmScan.Engine.Analyses;
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
        string file = calibration ?? CalibrationFile.Beside(request.Model);
        return calibration != null || File.Exists(file)
            ? new AxisSource(null, file, CalibrationFile.Read(file), calibration != null)
            : new AxisSource(null, null, null, false);
    }

    /// <summary>The request with layer and directions as the calibration was made, where it asks for none.</summary>
    /// <exception cref="InputFileException">The model's header or the trait set cannot be read.</exception>
    internal ScanRequest Complete(ScanRequest request)
    {
        if (_calibration?.Base is not { } made || (request.Layer is { } layer && layer != made.Layer)) return request;
        return _asked || made.CanBeOf(request) ? made.Complete(request) : request;
    }

    /// <summary>The axis. Measures the base where the calibration was made, to see that it is the same base.</summary>
    /// <param name="session">The model.</param>
    /// <param name="remarks">Receives why a calibration is not used.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InputFileException">The loadings cannot be read.</exception>
    /// <exception cref="EmScanException">The calibration that was asked for does not fit, or there is nothing to stand in for an axis.</exception>
    internal ScoreAxis For(AnalysisSession session, ICollection<Remark> remarks, CancellationToken cancellationToken = default)
    {
        AnalysisContext context = session.Context;
        if (_axisFile != null) return new ScoreAxis(AnalysisInputs.Axis(_axisFile, context.Header.Traits), $"the axis of {_axisFile}");
        if (_calibration == null) return ScoreAxis.Alone(context.Header.Traits);
        if (Problem(session, _calibration, cancellationToken) is not { } problem)
            return new ScoreAxis(_calibration.Axis!.Loadings.ToArray(), $"the drift axis of {_calibrationFile} ({_calibration.Axis.Runs} runs)");
        if (_asked) throw new EmScanException($"{_calibrationFile}: {problem}; give one that was made on this model, or the loadings of an axis.");
        remarks.Add(new Remark("calibration-not-used", $"{_calibrationFile} {problem}; its axis is not used."));
        return ScoreAxis.Alone(context.Header.Traits);
    }

    private static string? Problem(AnalysisSession session, Calibration calibration, CancellationToken cancellationToken)
    {
        AnalysisContext context = session.Context;
        CalibratedBase made = calibration.Base;
        if (made.ModelSha256 == context.Header.ModelSha256 && made.Layer != context.Layer) return $"was made at layer {made.Layer}, and here it is layer {context.Layer}";
        int[][] prompts = [.. context.EvaluationPrompts.Prompts.Select(p => p.Tokens)];
        if (prompts.Length != made.PromptCount) return $"was made with {made.PromptCount} evaluation prompts, and here there are {prompts.Length}";
        if (!made.Traits.SequenceEqual(context.Header.Traits)) return $"was made for the traits {string.Join(", ", made.Traits)}";
        if (calibration.Axis == null) return "was made of fewer than three runs and has no drift axis";
        PromptSet rows = made.Answers == null ? context.EvaluationPrompts : new PromptSet("the base's answers", made.Answers.After(prompts, made.Place));
        var reducer = new ProjectionReducer(context.Directions.Direction(context.Layer), made.Traits.Count);
        var measured = Measurement.From(session.Measure(new Cell(Variant.Base, rows, context.Layer, reducer), cancellationToken));
        return made.Mismatch(new CalibratedBase(
            context.Header.ModelSha256, context.Header.ModelDescription, context.LayerCount, context.Layer, context.Header.Traits, prompts.Length, context.Header.NumericMode,
            Array.ConvertAll(measured.MeanProjections(made.Traits.Count), p => p / measured.MeanNorm))
        {
            Place = made.Place,
            DirectionsPooling = context.Directions.Metadata.Pooling,
            DirectionsMethod = context.Directions.Metadata.Method,
        });
    }
}
