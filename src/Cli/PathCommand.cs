using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Paths;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary><c>emscan path</c>: what lies between the base and an adapter, or between two adapters.</summary>
internal sealed class PathCommand : AnalysisCommand
{
    private readonly TextOptions _texts = new();
    private readonly Option<string[]> _to = new CommonOption<string[]>("--to") { Description = "Another LoRA checkpoint: measures the plane between it and the first one. May be given several times.", HelpName = "PATH" };
    private readonly Option<string?> _bend = new CommonOption<string?>("--bend") { Description = "With --to: also search the quadratic curve between both that keeps the loss lowest, bent along a third LoRA checkpoint (its path), or in the plane of both (auto).", HelpName = "PATH" };
    private readonly Option<string[]> _finetuning = new CommonOption<string[]>("--finetuning") { Description = "Held-out conversations of an adapter's finetuning, as --chats; one for each --adapters and then each --to, in their order.", HelpName = "FILE" };

    protected override bool TakesAxis => true;

    protected override Command Describe()
    {
        var command = new Verb("path", "Along base + t dW: does drift rise smoothly while log-likelihoods stay flat? With --to: one basin between two adapters, or a barrier? Of a folder of runs the last checkpoint of each is taken.", "emscan path --model model.gguf --adapters ./lora/bad_medical/seed_42");
        command.Options.Add(_to);
        command.Options.Add(_bend);
        command.Options.Add(_texts.Texts);
        command.Options.Add(_texts.Chats);
        command.Options.Add(_texts.Pairs);
        command.Options.Add(_finetuning);
        command.Options.Add(_texts.DomainWords);
        return command;
    }

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters)
    {
        IReadOnlyList<AdapterSource> others = Checkpoints(parsed.GetValue(_to) ?? []);
        if (others.Count > 0 && adapters.Count > 1) throw new UsageException($"With --to, --adapters must name one checkpoint; it names {adapters.Count}.");
        if (parsed.GetValue(_bend) is { } bent && others.Count == 0) throw new UsageException($"--bend {bent} needs --to: a curve goes from one checkpoint to another.");
        string[] files = parsed.GetValue(_finetuning) ?? [];
        AdapterSource[] all = [.. adapters, .. others];
        if (files.Length > 0 && files.Length != all.Length)
            throw new UsageException($"--finetuning is given {files.Length} times for {all.Length} checkpoints; give it once for each of --adapters and --to, in their order, or leave it out.");
        IReadOnlyList<int>[] domains = _texts.ReadDomains(parsed, context, all.Length);
        PathAdapter[] named = [.. all.Select((adapter, i) => new PathAdapter(adapter, files.Length > 0 ? context.Encoder.Conversations(files[i]) : []) { DomainTokens = domains[i] })];
        var request = new PathRequest
        {
            Texts = _texts.ReadTexts(parsed, context),
            Chats = _texts.ReadChats(parsed, context),
            Pairs = _texts.ReadPairs(parsed, context),
            Axis = Axis(parsed, context),
            Bend = Bend(parsed),
        };
        return others.Count == 0 ? new PathAnalysis(named, request) : new PlaneAnalysis([.. named[1..].Select(other => (named[0], other))], request);
    }

    private BendRequest? Bend(ParseResult parsed)
    {
        if (parsed.GetValue(_bend) is not { } bend) return null;
        if (bend == "auto") return new BendRequest(null, bend);
        IReadOnlyList<AdapterSource> third = Checkpoints([bend]);
        return third.Count == 1 ? new BendRequest(third[0], bend) : throw new UsageException($"--bend must name one checkpoint, or be auto; {bend} holds {third.Count}.");
    }
}
