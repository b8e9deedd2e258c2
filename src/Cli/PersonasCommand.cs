using System.CommandLine;
using EmScan.Engine.Analyses.Personas;

namespace EmScan.Cli;

/// <summary><c>emscan personas</c>: is the same persona in several models or seeds more alike than several personas in one?</summary>
internal sealed class PersonasCommand
{
    private readonly SharedOptions _shared = new();
    private readonly DriftRunOptions _runs;
    private readonly FindingsOptions _findings = new();
    private readonly Option<string?> _by = new CommonOption<string?>("--by") { Description = "What a persona is compared between: seed or model. Default: model where there are several, else seed.", HelpName = "NAME" };
    private readonly Option<int> _draws = new Option<int>("--draws") { Description = "Permutations of the labels.", HelpName = "N", DefaultValueFactory = _ => 1000 }.Within(20, 1_000_000);

    internal PersonasCommand()
    {
        _runs = new DriftRunOptions(_shared);
        _by.AcceptOnlyFromAmong("seed", "model");
    }

    internal Command ToCommand()
    {
        var command = new Verb("personas", "Is one persona in several models or seeds more alike than several personas in one? And can they be told apart? With several base models --model, --adapters and --layer are given once for each, in the same order.", "emscan personas --model model.gguf --adapters ./lora");
        _runs.AddTo(command);
        command.Options.Add(_by);
        command.Options.Add(_draws);
        _findings.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        PersonaGrouping? by = parsed.GetValue(_by) switch { "seed" => PersonaGrouping.Seed, "model" => PersonaGrouping.Model, _ => null };
        return _findings.Give(parsed, _runs.Title(parsed), PersonaStudy.Conclude(
            await _runs.ReadAsync(parsed, _findings.Folder(parsed), lastOnly: true, cancellationToken), by, parsed.GetValue(_draws), parsed.GetValue(_shared.Seed)));
    }
}
