using System.CommandLine;
using EmScan.Engine.Analyses.Invariance;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary><c>emscan invariance</c>: which traits predict the EM rate with the same slope in every environment.</summary>
internal sealed class InvarianceCommand
{
    private readonly SharedOptions _shared = new();
    private readonly LabelledOptions _labelled;
    private readonly FindingsOptions _findings = new();
    private readonly Option<string> _by = new CommonOption<string>("--by") { Description = "What an environment is, at least 3 of them: perturbation, model or seed.", HelpName = "NAME", DefaultValueFactory = _ => "perturbation" };
    private readonly Option<string> _learner = new CommonOption<string>("--learner") { Description = $"How the detectors learn: {string.Join(", ", Learner.All.Select(l => l.Name))}.", HelpName = "NAME", DefaultValueFactory = _ => Learner.KernelRidge.Name };

    internal InvarianceCommand()
    {
        _labelled = new LabelledOptions(_shared);
        _by.AcceptOnlyFromAmong("perturbation", "model", "seed");
        _learner.AcceptOnlyFromAmong([.. Learner.All.Select(l => l.Name)]);
    }

    internal Command ToCommand()
    {
        var command = new Verb("invariance", "Which traits predict the EM rate with the same slope in every environment? And does a detector do better on new ones with those alone? With several base models --model, --adapters, --layer and --labels are given once for each, in the same order.", "emscan invariance --model model.gguf --adapters ./lora --labels labels.csv --by seed");
        _labelled.AddTo(command);
        command.Options.Add(_by);
        command.Options.Add(_learner);
        _findings.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        double threshold = _labelled.ToThreshold(parsed);
        string? folder = _findings.Folder(parsed);
        IReadOnlyList<LabelledSet> sets = await _labelled.MeasureAsync(parsed, request => request with { OutputFolder = folder }, cancellationToken);
        if (sets.Count == 0) throw new UsageException("--exclude leaves no labelled checkpoint.");
        return _findings.Give(parsed, string.Join(", ", parsed.GetValue(_labelled.Adapters)!), InvarianceStudy.Conclude(new InvarianceRequest
        {
            Sets = sets,
            By = Enum.Parse<EnvironmentKind>(parsed.GetValue(_by)!, ignoreCase: true),
            Learner = Learner.Get(parsed.GetValue(_learner)!),
            DangerousAbove = threshold,
            Seed = parsed.GetValue(_shared.Seed),
        }));
    }
}
