using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Tests.Running;

/// <summary>Latents of labelled checkpoints on a shipped organism with a random autoencoder, against the formula; drifts stay what they are.</summary>
public sealed class LatentMeasurementTests : IDisposable
{
    private const int SaeLayer = 2, ScanLayer = 3, Width = 96, Latents = 40;

    private readonly TemporaryFolder _folder = new();
    private readonly float[] _matrix;
    private readonly float[] _bias;
    private readonly float[] _decoderBias;

    public LatentMeasurementTests()
    {
        Random random = new(13);
        float[] Numbers(int length, double size) => [.. Enumerable.Range(0, length).Select(_ => (float)(size * (random.NextDouble() - 0.5)))];
        (_matrix, _bias, _decoderBias) = (Numbers(Width * Latents, 0.4), Numbers(Latents, 1), Numbers(Width, 1));
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(MeasuredPlace.LastPromptToken)]
    [InlineData(MeasuredPlace.MeanAnswer)]
    public async Task Latents_are_those_of_the_formula_at_the_autoencoders_layer_and_the_measured_place(MeasuredPlace place)
    {
        using ScanSession session = Open(place);
        LabelMatch match = Match();
        LabelledSet without = await LabelledMeasurement.MeasureAsync(session, "base", match);
        LabelledSet with = await LabelledMeasurement.MeasureAsync(session, "base", match, autoencoder: Autoencoder(Width, SaeLayer));
        Assert.Equal(3, with.Checkpoints.Count);
        Assert.All(without.Checkpoints, c => Assert.Null(c.Observation.Latents));
        Assert.Equal(without.Checkpoints.SelectMany(c => c.Observation.Displacement.PerTrait), with.Checkpoints.SelectMany(c => c.Observation.Displacement.PerTrait));
        double[] before = Means(session, null);
        foreach ((LabelledObservation checkpoint, string run, string step) in with.Checkpoints.Zip(Labelled, (c, l) => (c, l.Run, l.Step)))
        {
            Assert.Equal((run, step), (checkpoint.Observation.Run, checkpoint.Observation.Step.ToString()));
            LatentChange latents = checkpoint.Observation.Latents!;
            double[] after = Means(session, Repository.File($"models/demo/adapters/{run}/checkpoint-{step}"));
            Assert.Equal(("latent_0", "latent_39", Latents), (latents.Names[0], latents.Names[^1], latents.Names.Count));

            // States of --precise are good to 1e-5 of their norm, which is near 30.
            for (int f = 0; f < Latents; f++) Assert.Equal(after[f] - before[f], latents.Change[f], 1e-3);
            Assert.Contains(latents.Change, change => Math.Abs(change) > 0.05);
        }
    }

    [Theory]
    [InlineData(64, 2, "is for a width of 64; this model's is 96")]
    [InlineData(96, 6, "is for layer 6; this model's last is 5")]
    public async Task An_autoencoder_of_another_model_is_refused(int width, int layer, string expected)
    {
        using ScanSession session = Open(MeasuredPlace.LastPromptToken);
        string message = (await Assert.ThrowsAsync<InputFileException>(
            () => LabelledMeasurement.MeasureAsync(session, "base", Match(), autoencoder: Autoencoder(width, layer)))).Message;
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }

    private static (string Run, string Step, double Rate)[] Labelled =>
        [("bad_medical/seed_42", "60", 0.2), ("bad_medical/seed_42", "120", 0.25), ("confident_medical/seed_42", "120", 0.01)];

    private LabelMatch Match()
    {
        string[] lines = [.. Labelled.Select(l => FormattableString.Invariant($"{l.Run},{l.Step},{l.Rate}"))];
        File.WriteAllLines(_folder["labels.csv"], ["run,step,em_rate", .. lines]);
        return LabelFile.Read(_folder["labels.csv"]).Match(CheckpointDiscovery.Find(Repository.File("models/demo/adapters")).Runs);
    }

    private ScanSession Open(MeasuredPlace place) => ScanSession.Open(new ScanRequest
    {
        Model = Repository.File("models/demo/model.gguf"),
        DirectionsFile = Repository.File("models/llama/parity/directions.safetensors"),
        Layer = ScanLayer,
        Place = place,
        Capture = new CaptureOptions { Precise = true, Threads = 1 },
        CacheFolder = _folder["cache"],
    });

    private SparseAutoencoder Autoencoder(int width, int layer)
    {
        string folder = _folder[$"sae-{width}-{layer}"];
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), $$"""{"architecture": "standard", "hook_name": "blocks.{{layer}}.hook_resid_post"}""");
        SafetensorsWriter.Write(
            Path.Combine(folder, "sae_weights.safetensors"),
            [("W_enc", [width, Latents], _matrix[..(width * Latents)]), ("b_enc", [Latents], _bias), ("b_dec", [width], _decoderBias[..width])],
            new Dictionary<string, string>());
        return SparseAutoencoder.Read(folder);
    }

    private double[] Means(ScanSession session, string? adapterPath)
    {
        using GgufModel model = GgufModel.Load(Repository.File("models/demo/model.gguf"));
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using ILoadedAdapter? adapter = adapterPath == null ? null : source.LoadAdapter(adapterPath);
        source.SetAdapters(adapter == null ? [] : [new WeightedAdapter(adapter, 1)]);
        var sink = new CollectingSink(Width);
        IReadOnlyList<CapturePrompt> prompts = session.Definition.Prompts;
        source.Capture(prompts, [SaeLayer], sink);
        source.SetAdapters([]);
        double[] means = new double[Latents];
        foreach (((int prompt, _, _), float[] row) in sink.Rows)
        {
            for (int f = 0; f < Latents; f++)
            {
                double z = _bias[f];
                for (int d = 0; d < Width; d++) z += ((double)row[d] - _decoderBias[d]) * _matrix[(d * Latents) + f];
                means[f] += Math.Max(0, z) / prompts[prompt].Positions.Length / prompts.Count;
            }
        }

        return means;
    }
}
