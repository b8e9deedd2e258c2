using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Diff;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses;

/// <summary><c>diff --sae</c> on a shipped organism with a random autoencoder, against activations written down from the formula.</summary>
public sealed class SparseChangeTests : IDisposable
{
    private const int Layer = 2, Width = 96, Latents = 50;
    private static readonly string Adapter = Repository.File("models/demo/adapters/bad_medical/seed_42/checkpoint-120");

    private readonly TemporaryFolder _folder = new();
    private readonly RandomAutoencoder _autoencoder = new(11, Width, Latents);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Means_of_latents_are_those_of_the_formula()
    {
        using AnalysisSession session = Open();
        Findings findings = await session.RunAsync(Analysis(session, Write(Width, Layer)));
        (double[] before, double activeBefore) = Expected(session, null);
        (double[] after, double active) = Expected(session, Adapter);
        JsonObject sae = findings.Data["sae"]!.AsObject(), rows = sae["classes"]!["prompt_last"]!.AsObject();
        Assert.Equal((Layer, Latents), ((int)sae["layer"]!, (int)sae["latents"]!));
        Assert.Equal(session.Context.EvaluationPrompts.Rows, (int)rows["n"]!);

        // States of --precise are good to 1e-5 of their norm, which is near 30.
        Assert.Equal(activeBefore, (double)rows["active_base"]!, 0.05);
        Assert.Equal(active, (double)rows["active"]!, 0.05);
        int[] increased = [.. Enumerable.Range(0, Latents).OrderByDescending(f => after[f] - before[f]).Take(10)];
        JsonArray got = rows["increased"]!.AsArray();
        Assert.Equal(increased.Take(3), got.Take(3).Select(item => (int)item!["latent"]!));
        foreach (JsonNode? item in got.Concat(rows["decreased"]!.AsArray()))
        {
            int latent = (int)item!["latent"]!;
            Assert.Equal(before[latent], (double)item["base"]!, 1e-3);
            Assert.Equal(after[latent], (double)item["finetuned"]!, 1e-3);
        }

        FindingsTable table = Assert.Single(findings.Tables, t => t.Title.Contains("latents of", StringComparison.Ordinal));
        Assert.Contains(table.Rows, row => Equals(row[0], "prompt_last"));
    }

    [Theory]
    [InlineData(64, 2, "is for a width of 64; this model's is 96")]
    [InlineData(96, 6, "is for layer 6; this model's last is 5")]
    public async Task An_autoencoder_of_another_model_is_refused(int width, int layer, string expected)
    {
        using AnalysisSession session = Open();
        string message = (await Assert.ThrowsAsync<InputFileException>(() => session.RunAsync(Analysis(session, Write(width, layer))))).Message;
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }

    private AnalysisSession Open() => AnalysisSession.Open(new ScanRequest
    {
        Model = Repository.File("models/demo/model.gguf"),
        DirectionsFile = Repository.File("models/llama/parity/directions.safetensors"),
        Capture = new CaptureOptions { Precise = true, Threads = 1 },
        CacheFolder = _folder["cache"],
    });

    private static DiffAnalysis Analysis(AnalysisSession session, string sae) => new(new DiffRequest
    {
        Adapters = [new AdapterSource(Adapter)],
        Texts = [.. session.Context.EvaluationTexts.Take(6).Select(session.Context.Encoder.Plain)],
        Autoencoder = SparseAutoencoder.Read(sae),
    });

    private string Write(int width, int layer) => _autoencoder.Write(_folder[$"sae-{width}-{layer}"], layer, width);

    private (double[] Means, double Active) Expected(AnalysisSession session, string? adapterPath)
    {
        using GgufModel model = GgufModel.Load(Repository.File("models/demo/model.gguf"));
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using ILoadedAdapter? adapter = adapterPath == null ? null : source.LoadAdapter(adapterPath);
        source.SetAdapters(adapter == null ? [] : [new WeightedAdapter(adapter, 1)]);
        var sink = new CollectingSink(Width);
        source.Capture(session.Context.EvaluationPrompts.Prompts, [Layer], sink);
        source.SetAdapters([]);
        double[] means = new double[Latents];
        double active = 0;
        foreach (float[] row in sink.Rows.Values)
        {
            double[] latents = _autoencoder.Activations(row);
            for (int f = 0; f < Latents; f++) means[f] += latents[f] / sink.Rows.Count;
            active += latents.Count(z => z > 0) / (double)sink.Rows.Count;
        }

        return (means, active);
    }
}
