using System.CommandLine;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Cli;

/// <summary><c>emscan calibrate</c>: a detector from labelled runs, with figures on perturbations that it had not seen.</summary>
internal sealed class CalibrateCommand
{
    private readonly SharedOptions _shared = new();
    private readonly LabelledOptions _labelled;
    private readonly Option<string> _output = new CommonOption<string>("--output", "-o") { Description = $"The calibration to write. Named {CalibrationFile.DefaultName} and put beside the model, scans find it.", HelpName = "FILE", Required = true };

    private readonly Option<string> _detector = new Option<string>("--detector")
    {
        Description = $"FEATURES/REGRESSOR. Features: {string.Join(", ", FeatureCatalog.All.Select(f => f.Name))}, trait:NAME; {FeatureCatalog.Latents.Name} needs --sae. Regressors: {string.Join(", ", Learner.All.Select(l => l.Name))}.",
        HelpName = "NAME",
        DefaultValueFactory = _ => DetectorRecipe.Default.Name,
    }.Checked(name => DetectorRecipe.Parse(name));

    private readonly LatentOptions _latents = new();
    private readonly Option<string?> _add = new CommonOption<string?>("--add") { Description = "Instead of --labels: a few labels more for a calibration that exists, CSV as there. They may be of another base model than it was made for; the new calibration is then that model's.", HelpName = "FILE" };
    private readonly Option<string?> _calibration = new CommonOption<string?>("--calibration", "-c") { Description = $"The calibration that --add extends. Default: {CalibrationFile.DefaultName} beside the model.", HelpName = "FILE" };

    internal CalibrateCommand()
    {
        _labelled = new LabelledOptions(_shared);
        _labelled.Labels.Required = false;
    }

    internal Command ToCommand()
    {
        var command = new Verb("calibrate", "Fit a detector to runs whose EM rates were measured, validate it, and write it.", "emscan calibrate --model model.gguf --adapters ./lora --labels labels.csv -o calibration.json");
        command.Options.Add(_output);
        command.Options.Add(_detector);
        command.Options.Add(_add);
        command.Options.Add(_calibration);
        _latents.AddTo(command);
        _labelled.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        _latents.Check(parsed);
        var recipe = DetectorRecipe.Parse(parsed.GetValue(_detector)!);
        double threshold = _labelled.ToThreshold(parsed);
        if (parsed.GetValue(_labelled.Models)!.Length > 1) throw new UsageException("A calibration is made for one base model; give --model once.");
        string file = parsed.GetValue(_output)!;
        OutputPath.RequireFile(file, ".json");
        var remarks = new List<string>();
        Calibration calibration;
        if (parsed.GetValue(_add) is { } labels)
        {
            if (parsed.GetValue(_labelled.Labels) is { Length: > 0 }) throw new UsageException("--add adds to what a calibration was made of; it excludes --labels.");
            foreach (Option given in new Option[] { _detector, _labelled.Threshold, _latents.Sae })
            {
                if (parsed.GetResult(given) is { Implicit: false }) throw new UsageException($"--add keeps what the calibration was made with; it excludes {given.Name}.");
            }

            calibration = await AddAsync(parsed, labels, remarks, cancellationToken);
            recipe = new DetectorRecipe(calibration.Detector.Features, calibration.Detector.Learner);
        }
        else
        {
            if (parsed.GetValue(_labelled.Labels) is not { Length: > 0 }) throw new UsageException("Give --labels FILE, or --add FILE to extend a calibration.");
            if (parsed.GetValue(_calibration) != null) throw new UsageException("--calibration names what --add extends; it needs --add.");
            bool named = parsed.GetResult(_detector) is { Implicit: false };
            SparseAutoencoder? autoencoder = _latents.ReadFor(parsed, named ? [recipe] : []);
            if (autoencoder != null && !named) recipe = DetectorRecipe.LatentBaseline;
            LabelledSet scan = Single(await _labelled.MeasureAsync(
                parsed, request => AtLayerOf(autoencoder, request with { Place = request.Place ?? Calibration.DefaultPlace }), cancellationToken,
                begin: _latents.Begin(parsed, autoencoder, cancellationToken)));
            calibration = Calibration.Fit(scan, recipe, threshold, parsed.GetValue(_shared.Seed), remarks);
        }

        foreach (string remark in remarks) Runner.Note(remark);
        CalibrationFile.Write(file, calibration);
        Print(Console.Out, file, recipe, calibration);
        return calibration.Weakness == null ? ExitCode.Success : ExitCode.Weak;
    }

    /// <summary>Drifts are measured where latents are: what a scan sees of an adapter must not depend on which of them is asked.</summary>
    private static ScanRequest AtLayerOf(SparseAutoencoder? autoencoder, ScanRequest request)
    {
        if (autoencoder == null) return request;
        autoencoder.RequireLayer(ModelProbe.Header(request).BlockCount);
        return request.Layer is null || request.Layer == autoencoder.Layer ? request with { Layer = autoencoder.Layer }
            : throw new UsageException($"The autoencoder is for layer {autoencoder.Layer}, and --layer is {request.Layer}; leave --layer out.");
    }

    private async Task<Calibration> AddAsync(ParseResult parsed, string labels, List<string> remarks, CancellationToken cancellationToken)
    {
        string model = parsed.GetValue(_labelled.Models)![0];
        string file = parsed.GetValue(_calibration) ?? CalibrationFile.Beside(model);
        Calibration earlier = CalibrationFile.Read(file);
        if (earlier.WhyFixed is { } why) throw TakesNone(why);
        LabelledSet more = Single(await _labelled.MeasureAsync(parsed, request => earlier.Base.CompleteFor(request, cancellationToken), cancellationToken, [labels]));
        return earlier.WhyNotExtendedTo(more.Base) is { } otherwise ? throw TakesNone(otherwise) : earlier.Extend(more, remarks);

        InputFileException TakesNone(string reason) => new(file, $"no labels can be added to it: it {reason}; 'emscan calibrate --labels' makes one of all checkpoints");
    }

    private static LabelledSet Single(IReadOnlyList<LabelledSet> scans) =>
        scans.Count > 0 ? scans[0] : throw new UsageException("--exclude leaves no labelled checkpoint.");

    private static void Print(TextWriter output, string file, DetectorRecipe recipe, Calibration calibration)
    {
        CalibrationSet set = calibration.Set;
        string latents = calibration.Base.Autoencoder is { } autoencoder ? $" of {autoencoder}" : "";
        output.WriteLine($"{file}: {recipe.Features.Title}{latents}, {recipe.Learner.Title}, layer {calibration.Base.Layer}, {calibration.Base.Place.ToPhrase()}");
        output.WriteLine(
            $"fitted on {set.Checkpoints} checkpoints of {set.Runs} runs, {set.Perturbations.Count} perturbations; {set.DangerousCheckpoints} dangerous (EM rate above {Percent(calibration.DangerousAbove)}), EM rates from {Percent(set.LowestRate)} to {Percent(set.HighestRate)}");
        if (calibration.Borrowed.Count > 0)
        {
            output.WriteLine(
                $"besides, with less weight, on {calibration.Borrowed.Count} checkpoints of {calibration.Borrowed.Select(c => c.Observation.Model).Distinct().Count()} other base model(s); "
                + "what follows is of this one alone, and there is no forecast");
        }

        if (calibration.Axis is { } axis)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"drift axis: PC1 carries {100 * axis.Shares[0]:0.0}% of the variance of the final drifts"));
        output.WriteLine();
        output.WriteLine(EvaluationText.Heading("on what it had not seen [95% over runs]".PadRight(46)));
        foreach (Validation validation in calibration.Validations)
        {
            EvaluationText.Line(output, validation.Name.PadRight(46), validation.Report);
            if (validation.Coverage is { Coverage.Value: { } coverage, MeanWidth.Value: { } width })
                output.WriteLine($"  {Percent(ConformalInterval.Level)} intervals held {Percent(coverage)} of the true rates, mean width {Percent(width)}");
        }

        output.WriteLine();
        if (calibration.Weakness is { } weakness)
        {
            output.WriteLine(
                $"NOT USABLE: this calibration {weakness}. Label more runs, of more kinds of finetunings on both sides of the threshold, or try another --detector; "
                + "a scan that judges by it will say the same.");
            return;
        }

        output.WriteLine(
            (latents.Length > 0 ? "Whether latents or trait directions do better differs from base to base; 'emscan evaluate --sae' compares them on these labels. " : "")
            + "Verdicts hold for finetunings like these. Put harmless runs that move the traits (style, tone, refusals) among the labelled ones, or they will be flagged.");
    }

    private static string Percent(double fraction) => string.Create(CultureInfo.InvariantCulture, $"{100 * fraction:0.#}%");
}
