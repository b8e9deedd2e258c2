using System.CommandLine;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Layers;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary><c>emscan layers</c>: in which band of layers a drift lives, and which layers are robust to noise.</summary>
internal sealed class LayersCommand : AnalysisCommand
{
    private const double LargestNoise = 1e6;

    private readonly TextOptions _texts = new();
    private readonly Option<int> _bands = new CommonOption<int>("--bands") { Description = "Pieces that the blocks are cut into; bands begin and end between pieces.", HelpName = "N", DefaultValueFactory = _ => 8 }.Within(1, 64);
    private readonly Option<bool> _everyStep = new CommonOption<bool>("--every-step") { Description = "Also measure every checkpoint of the runs, drifts alone, for a map of drift by layer and step." };
    private readonly Option<string?> _noise = new CommonOption<string?>("--noise") { Description = "Also add random weight changes of these sizes, in multiples of the adapter's own, with commas between them: 0.5,1,4,16.", HelpName = "E,.." }.Checked(text => _ = Sizes(text));
    private readonly Option<int> _draws = new Option<int>("--draws") { Description = "Draws of each size and place.", HelpName = "N", DefaultValueFactory = _ => 20 }.Within(2, 10_000);
    private readonly Option<string> _kind = new("--noise-kind") { Description = "Shape of the random changes: gaussian (full matrices), rank_r (of the adapter's rank), both, or auto (both up to width 1024, rank_r beyond).", HelpName = "NAME", DefaultValueFactory = _ => "auto" };

    protected override Command Describe()
    {
        var command = new Verb("layers", "In which band of layers does a drift live, and what does each band do to behaviour? With --noise: which layers are robust to random weight changes? Of a folder of runs the last checkpoint of each is taken.", "emscan layers --model model.gguf --adapters ./lora/bad_medical/seed_42");
        _kind.AcceptOnlyFromAmong("auto", "gaussian", "rank_r", "both");
        foreach (Option option in new Option[] { _texts.Chats, _texts.Pairs, _bands, _everyStep, _noise, _draws, _kind }) command.Options.Add(option);
        return command;
    }

    protected override IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters) => new LayersAnalysis(new LayersRequest
    {
        Adapters = adapters,
        Trajectories = parsed.GetValue(_everyStep) ? [.. Runs().Select(run => new LayerTrajectory(
            run.Name, [.. run.Checkpoints.Where(c => c.Step.Number != null).Select(c => (c.Step.Number!.Value, new AdapterSource(c.Path)))]))] : [],
        Chats = _texts.ReadChats(parsed, context),
        Pairs = _texts.ReadPairs(parsed, context),
        Pieces = parsed.GetValue(_bands),
        NoiseSizes = parsed.GetValue(_noise) is { } sizes ? Sizes(sizes) : [],
        NoiseKinds = parsed.GetValue(_kind) switch
        {
            "gaussian" => [WeightNoiseKind.Gaussian],
            "rank_r" => [WeightNoiseKind.LowRank],
            "both" => [WeightNoiseKind.Gaussian, WeightNoiseKind.LowRank],
            _ => [],
        },
        Draws = parsed.GetValue(_draws),
        Seed = Seed(parsed),
    });

    private static double[] Sizes(string text) => [.. text.Split(',', StringSplitOptions.TrimEntries).Select(part =>
        double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double size) && size > 0 && size <= LargestNoise ? size
            : throw new InvalidSettingException($"'{part}' is no size of noise; positive numbers with commas between them are expected, such as 0.5,1,4,16."))];
}
