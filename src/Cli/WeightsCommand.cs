using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Weights;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Cli;

/// <summary><c>emscan weights</c>: sparsity of weight changes, what adapters share, and transplants.</summary>
internal sealed class WeightsCommand : AnalysisCommand
{
    private readonly TextOptions _texts = new();
    private readonly Option<bool> _allPairs = new CommonOption<bool>("--all-pairs") { Description = "Compare every pair of checkpoints. Default: the run of the first one with the others, at the same step, and with its own other steps." };
    private readonly Option<int> _draws = new CommonOption<int>("--draws") { Description = "Permutations, random masks and random matrices that stand beside what was found.", HelpName = "N", DefaultValueFactory = _ => 20 }.Within(2, 10_000);

    protected override Command Describe()
    {
        var command = new Verb("weights", "Is there a sparse ticket, do two adapters share masks or subspaces? With --model: what is left of the drift of the first one after a transplant of a part of its weights? Of a folder of runs the last checkpoint of each is taken.", "emscan weights --adapters ./lora/bad_medical/seed_42 --adapters ./lora/gsm8k/seed_42");
        foreach (Option option in new Option[] { _allPairs, _texts.Pairs, _draws }) command.Options.Add(option);
        return command;
    }

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters) =>
        new WeightsAnalysis(Request(parsed, adapters) with { Pairs = _texts.ReadPairs(parsed, context) }, Progress, Stop);

    protected override Func<ParseResult, IReadOnlyList<AdapterSource>, Findings> WithoutModel => (parsed, adapters) =>
    {
        Findings findings = WeightStudy.Of(Request(parsed, adapters), Progress, Stop).ToFindings(null);
        findings.Data["transplant"] = null;
        return findings with { Notes = [.. findings.Notes, new EmScan.Engine.Remark("no-model", "There is no model (--model): nothing is transplanted, and 'transplant' is null.")] };
    };

    private WeightsRequest Request(ParseResult parsed, IReadOnlyList<AdapterSource> adapters) => new()
    {
        Adapters = adapters,
        AllPairs = parsed.GetValue(_allPairs),
        Draws = parsed.GetValue(_draws),
        Seed = Seed(parsed),
    };
}
