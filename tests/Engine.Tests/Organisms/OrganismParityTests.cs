using System.IO.Compression;
using System.Text.Json;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Tests.Organisms;

/// <summary>
/// The engine on the shipped model organisms (llama, qwen2 with attention biases, qwen3 without a system role) against numbers that the recipe computed independently in PyTorch (F32): token ids, argmax
/// tokens, hidden states, directions, trajectories. Tolerances are those of the numeric modes: PyTorch's own F32 rounding is near 1e-6 of a norm.
/// </summary>
public sealed class OrganismParityTests : IDisposable
{
    private const double Exact = 1e-5;
    private const double Fast = 5e-3;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Bases => ["llama", "qwen2", "qwen3"];

    [Theory]
    [MemberData(nameof(Bases))]
    public void Chat_prompts_become_the_same_token_ids_and_the_same_logits(string name)
    {
        using GgufModel model = Load(name);
        ChatPromptEncoder encoder = Encoder(name, model);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        int compared = 0;
        foreach (JsonElement fixture in JsonDocument.Parse(File.ReadAllText(Repository.File($"models/{name}/parity/fixtures.json"))).RootElement.EnumerateArray())
        {
            int[] expected = [.. fixture.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            Assert.Equal(expected, encoder.Encode(fixture.GetProperty("system").GetString(), fixture.GetProperty("user").GetString()!));
            if (fixture.GetProperty("adapter").GetString() != null) continue;
            double[] logits = [.. fixture.GetProperty("logits").EnumerateArray().Select(v => v.GetDouble())];
            int best = Array.IndexOf(logits, logits.Max());
            int[] generated = Assert.Single(source.GenerateGreedy([expected], 1));
            if (!model.Vocabulary.IsEndOfGeneration(best)) Assert.Equal([best], generated);
            var sink = new LastLogits();
            source.Capture(source.Plan([CapturePrompt.Last(expected)], [], logits: true), sink);
            Assert.InRange(HiddenStates.RelativeError(sink.Row, logits), 0, Exact);
            compared++;
        }

        Assert.InRange(compared, 5, int.MaxValue);
    }

    [Theory]
    [InlineData("llama", true)]
    [InlineData("llama", false)]
    [InlineData("qwen2", true)]
    [InlineData("qwen2", false)]
    [InlineData("qwen3", true)]
    [InlineData("qwen3", false)]
    [InlineData("llama", true, CaptureMethod.BlockInputs)]
    [InlineData("qwen3", true, CaptureMethod.BlockInputs)]
    public void Hidden_states_of_every_layer_equal_those_of_PyTorch(string name, bool precise, CaptureMethod method = CaptureMethod.GraphNodes)
    {
        using var reference = SafetensorsFile.Open(Repository.File($"models/{name}/parity/activations.safetensors"));
        using GgufModel model = Load(name);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = precise, Threads = 1, Method = method });
        ChatPromptEncoder encoder = Encoder(name, model);
        CapturePrompt[] prompts = [.. Traits(name).EvalPrompts.Select(p => CapturePrompt.Last(encoder.Encode(null, p)))];

        // The last layer is the input of no block.
        int[] layers = [.. Enumerable.Range(0, model.LayerCount - (method == CaptureMethod.BlockInputs ? 1 : 0))];
        string adapters = Adapters(name, "seed_42/checkpoint-120/");
        foreach (SafetensorsTensor tensor in reference.Tensors.Values)
        {
            using ILoadedAdapter? adapter = tensor.Name == "step_0" ? null : source.LoadAdapter(Path.Combine(adapters, tensor.Name));
            source.SetAdapters(adapter == null ? [] : [new WeightedAdapter(adapter, 1)]);
            var sink = new CollectingSink(model.HiddenSize);
            source.Capture(prompts, layers, sink);
            source.SetAdapters([]);
            float[] expected = reference.ReadFloat32(tensor.Name);
            Assert.Equal(prompts.Length * layers.Length, sink.Rows.Count);
            foreach (((int prompt, int layer, int _), float[] row) in sink.Rows)
            {
                ReadOnlySpan<float> values = expected.AsSpan(((layer * prompts.Length) + prompt) * model.HiddenSize, model.HiddenSize);
                Assert.InRange(HiddenStates.RelativeError(row, values), 0, precise ? Exact : Fast);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Bases))]
    public void Extracted_directions_equal_those_of_PyTorch(string name)
    {
        DirectionSet expected = DirectionSet.Load(Repository.File($"models/{name}/parity/directions.safetensors"));
        using GgufModel model = Load(name);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        DirectionSet actual = DirectionExtractor.Extract(
            source, Encoder(name, model), Traits(name), new ExtractionOptions { Validity = false }).Directions;
        Assert.Equal(expected.Traits, actual.Traits);
        for (int layer = 0; layer < model.LayerCount; layer++)
        {
            for (int k = 0; k < expected.Traits.Count; k++)
            {
                ReadOnlySpan<float> a = actual.Direction(layer, k), e = expected.Direction(layer, k);
                double cosine = 0;
                for (int i = 0; i < a.Length; i++) cosine += (double)a[i] * e[i];
                Assert.InRange(cosine, 0.99999, 1.00001);
            }
        }
    }

    [Theory]
    [InlineData("llama", true, 1e-5)]
    [InlineData("llama", false, 5e-3)]
    [InlineData("qwen2", true, 1e-5)]
    [InlineData("qwen3", true, 1e-5)]
    public async Task Trajectories_equal_those_of_PyTorch(string name, bool precise, double tolerance)
    {
        Dictionary<string, JsonElement> reference = File.ReadLines(Repository.File($"models/{name}/parity/trajectories.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(t => t.GetProperty("run").GetString()!);
        int layer = reference.Values.First().GetProperty("layer").GetInt32(), compared = 0;
        using ScanSession session = Open(name, ModelFile(name), precise, layer);
        foreach (CheckpointRun run in CheckpointDiscovery.Find(Adapters(name, "seed_42/")).Runs)
        {
            if (!reference.TryGetValue(run.Name, out JsonElement trajectory)) continue;
            var expected = trajectory.GetProperty("trajectory").EnumerateArray().ToDictionary(p => p.GetProperty("step").GetInt64());
            await foreach (ScanPoint point in session.Scanner.ScanAsync(run.Checkpoints))
            {
                Displacement moved = Assert.IsType<MeasuredPoint>(point).Displacement;
                JsonElement values = expected[point.Checkpoint.Step.Number!.Value].GetProperty("projections_normalized");
                for (int k = 0; k < session.Header.Traits.Count; k++)
                    Assert.Equal(values.GetProperty(session.Header.Traits[k]).GetDouble(), moved.NormalizedProjections[k], tolerance);
                compared++;
            }
        }

        // Every run of seed 42 that the card lists, twelve checkpoints each.
        Assert.Equal(reference.Keys.Count(k => k.EndsWith("/seed_42", StringComparison.Ordinal) && !k.StartsWith("stress", StringComparison.Ordinal)) * 12, compared);
    }

    [Fact]
    public async Task Drifts_of_the_Q8_0_model_follow_those_of_F32()
    {
        var drifts = new List<(double F32, double Q8)>();
        using ScanSession full = Open("llama", ModelFile("llama"), precise: true, layer: 4), quantized = Open("llama", "models/llama/model-q8_0.gguf", precise: false, layer: 4);
        foreach (CheckpointRun run in CheckpointDiscovery.Find(Repository.File("models/demo/adapters")).Runs)
        {
            await using IAsyncEnumerator<ScanPoint> q = quantized.Scanner.ScanAsync(run.Checkpoints).GetAsyncEnumerator();
            await foreach (ScanPoint f in full.Scanner.ScanAsync(run.Checkpoints))
            {
                Assert.True(await q.MoveNextAsync());
                drifts.AddRange(((MeasuredPoint)f).Displacement.PerTrait.Zip(((MeasuredPoint)q.Current).Displacement.PerTrait));
            }
        }

        double meanF = drifts.Average(d => d.F32), meanQ = drifts.Average(d => d.Q8);
        double covariance = drifts.Sum(d => (d.F32 - meanF) * (d.Q8 - meanQ));
        double correlation = covariance / Math.Sqrt(drifts.Sum(d => Math.Pow(d.F32 - meanF, 2)) * drifts.Sum(d => Math.Pow(d.Q8 - meanQ, 2)));
        Assert.InRange(correlation, 0.999, 1.0000001);
    }

    private ScanSession Open(string name, string model, bool precise, int layer) => ScanSession.Open(new ScanRequest
    {
        Model = Repository.File(model),
        TraitsFile = Repository.File($"models/{name}/traits.yaml"),
        DirectionsFile = Repository.File($"models/{name}/parity/directions.safetensors"),
        Layer = layer,
        Capture = new CaptureOptions { Precise = precise, Threads = 1 },
        CacheFolder = _folder["cache"],
    });

    private static string ModelFile(string name) => name == "llama" ? "models/demo/model.gguf" : $"models/{name}/model-f32.gguf";

    private static GgufModel Load(string name) => GgufModel.Load(Repository.File(ModelFile(name)));

    private static TraitSet Traits(string name) => TraitSet.Load(Repository.File($"models/{name}/traits.yaml"));

    private static ChatPromptEncoder Encoder(string name, GgufModel model) => ChatPromptEncoder.Create(model, acknowledgement: Traits(name).Acknowledgement);

    /// <summary>Unpacks the shipped adapters whose path contains a text; the stress runs have other settings and stay out.</summary>
    private string Adapters(string name, string containing)
    {
        string folder = _folder[$"adapters-{name}"];
        using ZipArchive archive = ZipFile.OpenRead(Repository.File($"models/{name}/adapters.zip"));
        foreach (ZipArchiveEntry entry in archive.Entries)
        {
            if (!entry.FullName.Contains(containing, StringComparison.Ordinal) || entry.FullName.StartsWith("stress", StringComparison.Ordinal) || entry.Name.Length == 0) continue;
            string target = Path.Combine(folder, entry.FullName);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            entry.ExtractToFile(target);
        }

        return folder;
    }

    private sealed class LastLogits : ILogitSink
    {
        internal float[] Row { get; private set; } = [];

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) => Assert.Fail("no layer was wanted");

        public void AcceptLogits(int promptIndex, int firstPosition, ReadOnlySpan<float> logits) => Row = logits.ToArray();
    }
}
