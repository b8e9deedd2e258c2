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
    private readonly Option<string?> _sae = new("--sae") { Description = "Sparse autoencoder as SAELens saves it, a folder with cfg.json and sae_weights.safetensors: which of its latents the adapter makes more and less active.", HelpName = "DIR" };
    private readonly Option<int> _far = new Option<int>("--far") { Description = "Positions from here on count as far from the start.", HelpName = "N", DefaultValueFactory = _ => 64 }.Within(1, 1_000_000);

    protected override Command Describe()
    {
        var command = new Command("diff", "Is an adapter's change of the residual stream a constant shift or does it depend on the context; how many dimensions has it; what does it say through the model's head?");
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
