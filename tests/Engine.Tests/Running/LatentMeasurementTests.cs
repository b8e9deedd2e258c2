using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;
using EmScan.Kernels;

namespace EmScan.Engine.Tests.Running;

/// <summary>Latents of labelled checkpoints on a shipped organism with a random autoencoder, against the formula; drifts stay what they are.</summary>
public sealed class LatentMeasurementTests : IDisposable
{
    private const int SaeLayer = 2, ScanLayer = 3, Width = 96, Latents = 40;

    private readonly TemporaryFolder _folder = new();
    private readonly RandomAutoencoder _autoencoder = new(13, Width, Latents);

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(MeasuredPlace.LastPromptToken)]
    [InlineData(MeasuredPlace.MeanAnswer)]
    public async Task Latents_are_those_of_the_formula_at_the_autoencoders_layer_and_the_measured_place(MeasuredPlace place)
    {
        using ScanSession session = Open(place);
        LabelMatch match = Match();
        LabelledSet without = await LabelledMeasurement.MeasureAsync(session, "base", match);
        session.MeasureLatents(Autoencoder(Width, SaeLayer), new CpuKernelDevice());
        LabelledSet with = await LabelledMeasurement.MeasureAsync(session, "base", match);
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
    public void An_autoencoder_of_another_model_is_refused(int width, int layer, string expected)
    {
        using ScanSession session = Open(MeasuredPlace.LastPromptToken);
        string message = Assert.Throws<InputFileException>(() => session.MeasureLatents(Autoencoder(width, layer), new CpuKernelDevice())).Message;
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_left_on_the_device_where_the_base_is_not_measured()
    {
        using ScanSession session = Open(MeasuredPlace.LastPromptToken);
        var device = new CountingDevice();
        Assert.Throws<OperationCanceledException>(() => session.MeasureLatents(Autoencoder(Width, SaeLayer), device, new CancellationToken(canceled: true)));
        Assert.Equal((1, 0, true), (device.Made, device.Open, device.IsClosed));
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

    private SparseAutoencoder Autoencoder(int width, int layer) => SparseAutoencoder.Read(_autoencoder.Write(_folder[$"sae-{width}-{layer}"], layer, width));

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
            double[] latents = _autoencoder.Activations(row);
            for (int f = 0; f < Latents; f++) means[f] += latents[f] / prompts[prompt].Positions.Length / prompts.Count;
        }

        return means;
    }

    /// <summary>The processor; knows how many of the encoders that it has made are still open.</summary>
    private sealed class CountingDevice : IKernelDevice
    {
        private readonly CpuKernelDevice _cpu = new();

        internal int Made { get; private set; }

        internal int Open { get; private set; }

        internal bool IsClosed { get; private set; }

        public string Name => _cpu.Name;

        public bool IsCpu => true;

        public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension) => _cpu.Keep(directions, dimension);

        public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension) => _cpu.KeepStates(states, dimension);

        public IMoments StartMoments(int dimension) => _cpu.StartMoments(dimension);

        public ISparseEncoder Keep(SparseEncoderWeights encoder)
        {
            Made++;
            Open++;
            return new Encoder(this, _cpu.Keep(encoder));
        }

        public void Dispose()
        {
            IsClosed = true;
            _cpu.Dispose();
        }

        private sealed class Encoder(CountingDevice device, ISparseEncoder inner) : ISparseEncoder
        {
            public int Dimension => inner.Dimension;

            public int Latents => inner.Latents;

            public void Encode(ReadOnlySpan<float> states, Span<float> activations) => inner.Encode(states, activations);

            public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations) => inner.EncodeTop(states, latents, activations);

            public void Dispose()
            {
                device.Open--;
                inner.Dispose();
            }
        }
    }
}
