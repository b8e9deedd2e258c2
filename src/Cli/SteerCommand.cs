using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Steering;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary><c>emscan steer</c>: dose-response of directions.</summary>
internal sealed class SteerCommand : AnalysisCommand
{
    private readonly TextOptions _texts = new();
    private readonly Option<int> _random = new CommonOption<int>("--random") { Description = "Random directions that the others are compared with; 0 for none.", HelpName = "N", DefaultValueFactory = _ => new SteerRequest { Adapters = [], Texts = [] }.RandomDirections }.Within(0, 1000);

    protected override Command Describe()
    {
        var command = new Verb("steer", "Can a direction be steered cheaply and predictably? Adds each trait's direction and each adapter's mean activation change to the residual stream at several doses, beside random directions. Of a folder of runs the last checkpoint of each is taken.", "emscan steer --model model.gguf --adapters ./lora/bad_medical/seed_42");
        command.Options.Add(_texts.Texts);
        command.Options.Add(_texts.Chats);
        command.Options.Add(_texts.Pairs);
        command.Options.Add(_random);
        return command;
    }

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters) => new SteerAnalysis(new SteerRequest
    {
        Adapters = adapters,
        Texts = _texts.ReadTexts(parsed, context),
        Chats = _texts.ReadChats(parsed, context),
        Pairs = _texts.ReadPairs(parsed, context),
        RandomDirections = parsed.GetValue(_random),
        Seed = Seed(parsed),
    });
}
