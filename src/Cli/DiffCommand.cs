using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Diff;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary><c>emscan diff</c>: what kind of change an adapter makes to the residual stream.</summary>
internal sealed class DiffCommand : AnalysisCommand
{
    private readonly TextOptions _texts = new();
    private readonly Option<string?> _sae = MadeOnce.Autoencoder();
    private readonly Option<int> _far = new CommonOption<int>("--far") { Description = "Positions from here on count as far from the start.", HelpName = "N", DefaultValueFactory = _ => 64 }.Within(1, 1_000_000);

    protected override bool TakesAxis => true;

    protected override Command Describe()
    {
        var command = new Verb("diff", "Is an adapter's change a constant shift, or does it depend on the context? How many dimensions has it, and what does it say through the model's head? Of a folder of runs the last checkpoint of each is taken. --sae adds which latents become more and less active.", "emscan diff --model model.gguf --adapters ./lora");
        command.Options.Add(_texts.Texts);
        command.Options.Add(_texts.Chats);
        command.Options.Add(_texts.DomainWords);
        command.Options.Add(_far);
        command.Options.Add(_sae);
        return command;
    }

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters) => new DiffAnalysis(new DiffRequest
    {
        Adapters = adapters,
        Texts = _texts.ReadTexts(parsed, context),
        Chats = _texts.ReadChats(parsed, context),
        DomainTokens = _texts.ReadDomains(parsed, context, adapters.Count),
        Far = parsed.GetValue(_far),
        Autoencoder = parsed.GetValue(_sae) is { } sae ? SparseAutoencoder.Read(sae) : null,
        Axis = Axis(parsed, context),
    });
}
