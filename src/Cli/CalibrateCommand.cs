using System.CommandLine;
using System.Globalization;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Cli;

/// <summary><c>emscan calibrate</c>: a detector from labelled runs, with figures on perturbations that it had not seen.</summary>
internal sealed class CalibrateCommand
{
    private readonly SharedOptions _shared = new();
    private readonly LabelledOptions _labelled;
    private readonly Option<string> _output = new("--output", "-o") { Description = $"The calibration to write. Named {CalibrationFile.DefaultName} and put beside the model, scans find it.", HelpName = "FILE", Required = true };

    private readonly Option<string> _detector = new Option<string>("--detector")
    {
        Description = $"FEATURES/REGRESSOR. Features: {string.Join(", ", FeatureCatalog.All.Select(f => f.Name))}, trait:NAME. Regressors: {string.Join(", ", Learner.All.Select(l => l.Name))}.",
        HelpName = "NAME",
        DefaultValueFactory = _ => DetectorRecipe.Default.Name,
    }.Checked(name => DetectorRecipe.Parse(name));

    internal CalibrateCommand() => _labelled = new LabelledOptions(_shared);

    internal Command ToCommand()
    {
        var command = new Command("calibrate", "Fit a detector to runs whose EM rates were measured, validate it on unseen perturbations, and write it for scans to use.");
        command.Options.Add(_output);
        command.Options.Add(_detector);
        _labelled.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        var recipe = DetectorRecipe.Parse(parsed.GetValue(_detector)!);
        double threshold = _labelled.ToThreshold(parsed);
        if (parsed.GetValue(_labelled.Models)!.Length > 1) throw new UsageException("A calibration is made for one base model; give --model once.");
        string file = parsed.GetValue(_output)!;
        OutputPath.RequireFile(file, ".json");
        IReadOnlyList<LabelledSet> scans = await _labelled.MeasureAsync(parsed, request => request, cancellationToken);
        if (scans.Count == 0) throw new UsageException("--exclude leaves no labelled checkpoint.");
        var remarks = new List<string>();
        Calibration calibration = Calibration.Fit(scans[0], recipe, threshold, parsed.GetValue(_shared.Seed), remarks);
        foreach (string remark in remarks) Runner.Note(remark);
        CalibrationFile.Write(file, calibration);
        Print(Console.Out, file, recipe, calibration);
        return calibration.Weakness == null ? ExitCode.Success : ExitCode.Weak;
    }

    private static void Print(TextWriter output, string file, DetectorRecipe recipe, Calibration calibration)
    {
        CalibrationSet set = calibration.Set;
        output.WriteLine($"{file}: {recipe.Features.Title}, {recipe.Learner.Title}, layer {calibration.Base.Layer}");
        output.WriteLine(
            $"fitted on {set.Checkpoints} checkpoints of {set.Runs} runs, {set.Perturbations.Count} perturbations; {set.DangerousCheckpoints} dangerous (EM rate above {Percent(calibration.DangerousAbove)}), EM rates from {Percent(set.LowestRate)} to {Percent(set.HighestRate)}");
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
            "Verdicts hold for finetunings like these. Put harmless runs that move the traits (style, tone, refusals) among the labelled ones, or they will be flagged.");
    }

    private static string Percent(double fraction) => string.Create(CultureInfo.InvariantCulture, $"{100 * fraction:0.#}%");
}
