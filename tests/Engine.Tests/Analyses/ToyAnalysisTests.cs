using System.Text;
using System.Text.Json;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>An analysis of one file runs, resumes and is reported without another line.</summary>
public sealed class ToyAnalysisTests : IDisposable
{
    private readonly WordWorld _world = new(new TinyModel(31), traits: 1, questions: 2, evaluation: 2);

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task A_toy_analysis_is_measured_remembered_and_rendered()
    {
        TinyModel tiny = _world.Tiny;
        var reference = new TinyAdapter(tiny, 32);
        AdapterSource adapter = _world.Write(reference, "adapter");

        (Findings first, int measured) = await Run();
        (Findings again, int measuredAgain) = await Run();
        Assert.Equal((1, 0), (measured, measuredAgain)); // the adapter; the base has one cell on record and three to measure
        Assert.Equal(first.Data.ToJsonString(), again.Data.ToJsonString());

        TinyForward before = new(tiny), after = new(tiny, [(reference, 1)]);
        for (int layer = 0; layer < tiny.Layers; layer++)
        {
            double Norm(TinyForward forward) => _world.Prompts.Average(prompt => Math.Sqrt(forward.Run(prompt).Hidden[layer][^1].Sum(v => v * v)));
            Assert.Equal(Norm(before), first.Data["base"]![layer]!.GetValue<double>(), 1e-4);
            Assert.Equal(Norm(after), first.Data["adapter"]![layer]!.GetValue<double>(), 1e-4);
        }

        using var json = new MemoryStream();
        FindingsJson.Write(json, first);
        JsonElement document = JsonDocument.Parse(Encoding.UTF8.GetString(json.ToArray())).RootElement;
        Assert.Equal(tiny.Layers, document.GetProperty("adapter").GetArrayLength());
        foreach (string key in new[] { "emscan_version", "model", "layer", "layer_convention", "traits", "directions", "prompts", "step0_activation_norm", "numeric_mode", "device", "conclusion", "notes" })
            Assert.True(document.TryGetProperty(key, out _), key);
        var text = new StringWriter();
        FindingsText.Write(text, first);
        Assert.StartsWith(first.Conclusion, text.ToString());
        Assert.Contains("mean norm", text.ToString());

        async Task<(Findings, int)> Run()
        {
            using AnalysisSession session = AnalysisSession.Open(_world.Request);
            int fresh = 0;
            Findings findings = await session.RunAsync(new MeanNormByLayer(adapter), outcome => fresh += outcome.FromStore || outcome.Variant.IsBase ? 0 : 1);
            return (findings, fresh);
        }
    }
}
