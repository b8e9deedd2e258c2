using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Transcripts;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary><c>emscan transcripts</c>: which spans of transcripts fire, and what an answer hides that its reasoning carries.</summary>
internal sealed class TranscriptsCommand : AnalysisCommand
{
    private readonly Option<string> _transcripts = new CommonOption<string>("--transcripts") { Description = "Transcripts, one a line: {\"prompt\": .., \"reasoning\": .., \"answer\": ..}; or \"prompt\" with \"response\", or \"messages\", with <think> tags; or with \"spans\": {\"reasoning\": [from, to], ..} in tokens.", HelpName = "FILE", Required = true };
    private readonly Option<string[]> _by = new CommonOption<string[]>("--by") { Description = "Fields of the transcripts by whose values they are compared; the first is their label. Also separated by commas. Default: condition.", HelpName = "FIELD", AllowMultipleArgumentsPerToken = true };
    private readonly Option<string?> _benign = new CommonOption<string?>("--benign") { Description = "Transcripts that are known to hide nothing: false positives are counted on them.", HelpName = "FIELD=VALUE" };
    private readonly Option<int> _answerTokens = MadeOnce.AnswerTokens();

    protected override bool IsOfTexts => true;

    protected override Command Describe()
    {
        var command = new Verb("transcripts", "What fires along the drift axis in a reasoning, and what does its answer hide? The axis is --axis, or the calibration's.", "emscan transcripts --model model.gguf --transcripts transcripts.jsonl --by condition");
        foreach (Option option in new Option[] { _transcripts, _by, _benign, _answerTokens }) command.Options.Add(option);
        return command;
    }

    protected override void Check(ParseResult parsed)
    {
        InputUse.Lines.Require(parsed.GetValue(_transcripts)!);
        if (parsed.GetValue(_benign) is { } benign && benign.IndexOf('=', StringComparison.Ordinal) < 1) throw new UsageException($"--benign is '{benign}', but must be FIELD=VALUE, such as latent=0.");
    }

    protected override string Subject(ParseResult parsed) => parsed.GetValue(_transcripts)!;

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters)
    {
        var request = new TranscriptRequest { Path = parsed.GetValue(_transcripts)!, Axis = ScoreAxis, AnswerTokens = parsed.GetValue(_answerTokens), Seed = Seed(parsed) };
        if (parsed.GetValue(_by) is { Length: > 0 } by) request = request with { By = [.. by.SelectMany(names => names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).Distinct()] };
        if (parsed.GetValue(_benign) is { } benign && benign.IndexOf('=', StringComparison.Ordinal) is var at) request = request with { Benign = (benign[..at], benign[(at + 1)..]) };
        return new TranscriptAnalysis(request);
    }
}
