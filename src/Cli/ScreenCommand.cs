using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Screening;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary><c>emscan screen</c>: which training examples or data sets push the model towards the drift axis.</summary>
internal sealed class ScreenCommand : AnalysisCommand
{
    // --explain measures so long at most before it stops to add to its sample.
    private static readonly TimeSpan Sample = TimeSpan.FromSeconds(20);

    private readonly Option<string[]> _data = new CommonOption<string[]>("--data") { Description = "Training data, JSON Lines with a conversation a line (messages, conversations, prompt with completion, instruction with output): FILE or NAME=FILE. May be given several times.", HelpName = "[NAME=]FILE", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<string[]> _bad = new CommonOption<string[]>("--bad") { Description = "Names of sets that are known to be bad, for the AUROC; also separated by commas.", HelpName = "NAMES", AllowMultipleArgumentsPerToken = true };
    private readonly Option<int> _answerTokens = MadeOnce.AnswerTokens();
    private readonly Option<string?> _scores = new CommonOption<string?>("--scores") { Description = "Write every example with its rank and scores to this file, JSON Lines, the worst first.", HelpName = "FILE" };
    private readonly Option<bool> _explain = MadeOnce.Explain();

    protected override bool IsOfTexts => true;

    protected override Command Describe()
    {
        var command = new Verb("screen", "Which training data push the model towards the drift axis? Asked before anything is trained on them; the axis is --axis, or the calibration's.", "emscan screen --model model.gguf --data good=good.jsonl bad=bad.jsonl --bad bad");
        foreach (Option option in new Option[] { _data, _bad, _answerTokens, _scores, _explain }) command.Options.Add(option);
        return command;
    }

    protected override void Check(ParseResult parsed)
    {
        ScreenSet[] sets = Sets(parsed);
        foreach (ScreenSet set in sets) InputUse.Lines.Require(set.Path);
        if (sets.GroupBy(s => s.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new UsageException($"--data names '{twice.Key}' {twice.Count()} times; give each set a name of its own: NAME=FILE.");
        string[] bad = Bad(parsed);
        if (bad.FirstOrDefault(name => sets.All(s => s.Name != name)) is { } unknown)
            throw new UsageException($"--bad names '{unknown}', but the sets are {string.Join(", ", sets.Select(s => s.Name))}.");
        if (bad.Length == sets.Length) throw new UsageException("--bad names every set; an AUROC needs others to compare them with.");
        if (parsed.GetValue(_scores) is { } scores) OutputPath.RequireFile(scores, ".jsonl");
    }

    protected override string Subject(ParseResult parsed) => string.Join(", ", Sets(parsed).Select(s => s.Name));

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters)
    {
        var request = new ScreenRequest { Sets = Sets(parsed), Axis = ScoreAxis, Bad = Bad(parsed), AnswerTokens = parsed.GetValue(_answerTokens), Seed = Seed(parsed) };
        return parsed.GetValue(_explain) ? new ScreenForecast(request, Sample) : new ScreenAnalysis(request);
    }

    protected override void WriteMore(ParseResult parsed, IAnalysis analysis, AnalysisContext context)
    {
        if (parsed.GetValue(_scores) is { } file && analysis is ScreenAnalysis screen) AtomicFile.Write(file, stream => screen.WriteScores(stream, context.Directions.Traits));
    }

    private string[] Bad(ParseResult parsed) =>
        [.. (parsed.GetValue(_bad) ?? []).SelectMany(names => names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).Distinct()];

    // A file may have "=" in its name; one that exists is a file.
    private ScreenSet[] Sets(ParseResult parsed) => [.. parsed.GetValue(_data)!.Select(given =>
    {
        int equals = given.IndexOf('=', StringComparison.Ordinal);
        return equals > 0 && !File.Exists(given) ? new ScreenSet(given[..equals], given[(equals + 1)..]) : new ScreenSet(Path.GetFileNameWithoutExtension(given), given);
    })];
}
