using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary><c>emscan evaluate</c>: how well detectors do on labelled runs, with intervals over runs.</summary>
internal sealed class EvaluateCommand
{
    private readonly SharedOptions _shared = new();
    private readonly LabelledOptions _labelled;
    private readonly Option<string[]> _detectors = new CommonOption<string[]>("--detector") { Description = "Detector to evaluate, FEATURES/REGRESSOR (see calibrate --help-all). May be repeated, the first is shown in detail. Default: the paper's table.", HelpName = "NAME" }.Checked(name => DetectorRecipe.Parse(name));
    private readonly Option<string[]> _train = new CommonOption<string[]>("--train") { Description = "Perturbations or runs to fit on, separated by commas; * stands for anything. Default: leave one perturbation out, one seed out, and one model out where there are several.", HelpName = "NAMES" };
    private readonly Option<string[]> _test = new CommonOption<string[]>("--test") { Description = "Perturbations or runs to score with --train. Default: all others.", HelpName = "NAMES" };
    private readonly Option<string[]> _places = new CommonOption<string[]>("--place")
    {
        Description = $"Where hidden states are taken: {string.Join(", ", SharedOptions.PlaceChoices)}. May be repeated, and 'all' is all three: they are compared side by side, and the first is shown in detail. Default: the calibration's, else {Calibration.DefaultPlace.ToName()}.",
        HelpName = "NAME",
    };

    private readonly Option<string?> _calibration = new CommonOption<string?>("--calibration", "-c") { Description = "Evaluate this calibration as it is, instead of fitting anything.", HelpName = "FILE" };
    private readonly LatentOptions _latents = new();
    private readonly Option<bool> _json = MadeOnce.Json();
    private readonly Option<bool> _csv = MadeOnce.Csv();

    internal EvaluateCommand() => _labelled = new LabelledOptions(_shared);

    internal Command ToCommand()
    {
        var command = new Verb("evaluate", "Compare detectors on runs whose EM rates were measured: misses, false alarms, AUROC. With several base models --model, --adapters, --layer and --labels are given once for each, in the same order. --json has features and scores of every checkpoint, --csv a line for each protocol, part and detector; --sae adds the paper's baseline on latents.", "emscan evaluate --model model.gguf --adapters ./lora --labels labels.csv");
        foreach (Option option in new Option[] { _detectors, _train, _test, _calibration, _places, _json, _csv }) command.Options.Add(option);
        _latents.AddTo(command);
        _labelled.AddTo(command, onePlace: false);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        bool json = parsed.GetValue(_json), csv = parsed.GetValue(_csv);
        if (json && csv) throw new UsageException("--json and --csv exclude each other.");
        _shared.ApplyLogging(parsed);
        string[] detectors = parsed.GetValue(_detectors) ?? [], train = parsed.GetValue(_train) ?? [], test = parsed.GetValue(_test) ?? [];
        if (test.Length > 0 && train.Length == 0) throw new UsageException("--test needs --train.");
        string? fixedCalibration = parsed.GetValue(_calibration);
        if (fixedCalibration != null && (detectors.Length > 0 || train.Length > 0 || parsed.GetResult(_labelled.Threshold) is { Implicit: false }))
            throw new UsageException("--calibration is evaluated as it is; it excludes --detector, --train, --test and --threshold.");
        DetectorRecipe[] recipes = [.. detectors.Select(DetectorRecipe.Parse)];
        _latents.Check(parsed);
        double threshold = _labelled.ToThreshold(parsed);
        Calibration? calibration = fixedCalibration == null ? null : CalibrationFile.Read(fixedCalibration);
        SparseAutoencoder? autoencoder = ReadAutoencoder(parsed, recipes, fixedCalibration, calibration);
        Action<ScanSession>? begin = _latents.Begin(parsed, autoencoder, cancellationToken);

        MeasuredPlace[] places = ToPlaces(parsed.GetValue(_places) ?? []);
        if (calibration != null && places.Length > 0) throw new UsageException("--calibration is evaluated on the states that it was made with; it excludes --place.");
        IReadOnlyList<LabelledSet> scans = await _labelled.MeasureAsync(
            parsed, request => calibration?.Base.Complete(request) ?? request with { Place = places.Length > 0 ? places[0] : Calibration.DefaultPlace }, cancellationToken, begin: begin);
        foreach (string mismatch in scans.Select(s => calibration?.Base.Mismatch(s.Base)).OfType<string>())
            Runner.Note($"{fixedCalibration} {mismatch}; evaluated all the same.");
        int seed = parsed.GetValue(_shared.Seed);
        var options = new StudyOptions
        {
            Recipes = recipes.Length > 0 ? recipes : null,
            DangerousAbove = threshold,
            Seed = seed,
            Training = train.Length > 0 ? new NamePatterns(train) : null,
            HeldOut = test.Length > 0 ? new NamePatterns(test) : null,
        };
        DetectorStudy study = Study(scans, options, calibration);
        if (places.Length > 1)
        {
            // Elsewhere only the headline is of interest.
            var compared = new List<(CalibratedBase, DetectorStudy)> { (scans[0].Base, study) };
            StudyOptions headline = options with { Recipes = [study.Protocols[0].Rows[0].Recipe] };
            foreach (MeasuredPlace place in places[1..])
            {
                IReadOnlyList<LabelledSet> there = await _labelled.MeasureAsync(parsed, request => request with { Place = place }, cancellationToken, begin: begin);
                compared.Add((there[0].Base, Study(there, headline, null)));
            }

            study = study with { Places = PlaceFigures.Compare(compared, seed) };
        }

        if (json) DetectorStudyJson.Write(Console.OpenStandardOutput(), study);
        else if (csv) DetectorStudyCsv.Write(Console.Out, study);
        else EvaluationText.Write(Console.Out, study);
        return ExitCode.Success;
    }

    private static DetectorStudy Study(IReadOnlyList<LabelledSet> scans, StudyOptions options, Calibration? calibration)
    {
        using var progress = new ConsoleProgress();
        return calibration != null ? DetectorStudy.Of(calibration, scans, options.Seed) : DetectorStudy.Run(scans, options, new Stage(progress));
    }

    private SparseAutoencoder? ReadAutoencoder(ParseResult parsed, DetectorRecipe[] recipes, string? calibrationFile, Calibration? calibration)
    {
        string? sae = parsed.GetValue(_latents.Sae);
        if (sae != null && parsed.GetValue(_labelled.Models)!.Length > 1) throw new UsageException($"{_latents.Sae.Name} is the autoencoder of one base model; give --model once.");
        if (calibration == null) return _latents.ReadFor(parsed, recipes);
        try
        {
            return calibration.Base.ReadAutoencoder(calibrationFile!, sae);
        }
        catch (AutoencoderMissingException e)
        {
            throw new EmScanException($"{e.Message}; give it with {_latents.Sae.Name} DIR.", e);
        }
    }

    private static MeasuredPlace[] ToPlaces(string[] names)
    {
        if (names.Contains("all")) return names.Length == 1 ? Enum.GetValues<MeasuredPlace>() : throw new UsageException("--place all is all of them; give it alone.");
        MeasuredPlace[] places =
        [
            .. names.Select(name => PlaceNames.TryParse(name, out MeasuredPlace place) ? place
                : throw new UsageException($"There is no place '{name}'; there are {string.Join(", ", SharedOptions.PlaceChoices)} and all.")),
        ];
        return places.Distinct().Count() == places.Length ? places : throw new UsageException("Give each --place once.");
    }

    /// <summary>Shows a stage at once; the framework's Progress would post it to the thread pool.</summary>
    private sealed class Stage(ConsoleProgress progress) : IProgress<string>
    {
        public void Report(string value) => progress.Start(value, 0, 0);
    }
}
