using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Onset;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Cli;

/// <summary><c>emscan onset</c>: when drift begins, how it rises, and whether it comes before behaviour.</summary>
internal sealed class OnsetCommand
{
    private readonly SharedOptions _shared = new();
    private readonly DriftRunOptions _runs;
    private readonly FindingsOptions _findings = new();
    private readonly Option<string[]> _labels = MadeOnce.Labels();
    private readonly Option<string?> _labelSeed = new("--label-seed") { Description = "Use the labels of this training seed for every run of a perturbation, for runs whose own seed was not labelled. Default: each run's own.", HelpName = "SEED" };
    private readonly Option<string[]> _harmless = new CommonOption<string[]>("--harmless") { Description = "Perturbations or runs that are known to be harmless, separated by commas; * stands for anything: no onset is claimed for a drift within theirs. Default: those whose labels never exceed the threshold.", HelpName = "NAMES" };
    private readonly Option<double> _threshold = MadeOnce.Threshold();
    private readonly Option<string?> _axis = new("--axis") { Description = "Loadings of the drift axis: a JSON object with a number for each trait. Default: the axis of the runs themselves, where there are three.", HelpName = "FILE" };
    private readonly Option<int> _draws = new Option<int>("--draws") { Description = "Draws of each bootstrap.", HelpName = "N", DefaultValueFactory = _ => 1000 }.Within(20, 1_000_000);

    internal OnsetCommand() => _runs = new DriftRunOptions(_shared);

    internal Command ToCommand()
    {
        var command = new Verb("onset", "After how many steps does drift begin, and does it come before behaviour? With several base models --model, --adapters, --layer and --labels are given once for each, in the same order.", "emscan onset --model model.gguf --adapters ./lora --labels labels.csv");
        _runs.AddTo(command);
        foreach (Option option in new Option[] { _labels, _labelSeed, _harmless, _threshold, _axis, _draws }) command.Options.Add(option);
        _findings.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        string[] files = parsed.GetValue(_labels) ?? [], benign = parsed.GetValue(_harmless) ?? [];
        if (parsed.GetValue(_labelSeed) != null && files.Length == 0) throw new UsageException($"{_labelSeed.Name} needs {_labels.Name}.");
        LabelFile[] labels = [.. files.Select(LabelFile.Read)];
        IReadOnlyList<DriftScan> scans = await _runs.ReadAsync(parsed, _findings.Folder(parsed), lastOnly: false, cancellationToken);
        if (labels.Length > 1 && labels.Length != scans.Count)
            throw new UsageException($"{_labels.Name} is given {labels.Length} times for {scans.Count} base models; give it once, or once for each.");
        return _findings.Give(parsed, _runs.Title(parsed), OnsetStudy.Conclude(new OnsetRequest
        {
            Scans = scans,
            Labels = labels.Length == 0 ? [] : [.. scans.Select((scan, i) => RunLabels.Of(labels[labels.Length == 1 ? 0 : i], scan, parsed.GetValue(_labelSeed)))],
            Axis = parsed.GetValue(_axis) is { } axis ? AnalysisInputs.Axis(axis, scans[0].Header.Traits) : null,
            Benign = benign.Length > 0 ? new NamePatterns(benign) : null,
            DangerousAbove = parsed.GetValue(_threshold),
            Draws = parsed.GetValue(_draws),
            Seed = parsed.GetValue(_shared.Seed),
        }));
    }
}
