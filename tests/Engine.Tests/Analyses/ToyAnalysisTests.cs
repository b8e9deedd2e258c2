using System.Text;
using System.Text.Json;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>An analysis of one file runs, resumes and is reported without another line.</summary>
public sealed class ToyAnalysisTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_toy_analysis_is_measured_remembered_and_rendered()
    {
        var tiny = new TinyModel(31);
        tiny.WriteGguf(_folder["model.gguf"]);
        var reference = new TinyAdapter(tiny, 32);
        string adapter = reference.Write(_folder["adapter"]);
        string[] words = [.. Enumerable.Range(7, 8).Select(TinyModel.Word)];
        File.WriteAllText(_folder["traits.yaml"], $"traits:\n  honesty:\n    positive_system_prompts: [{words[0]}, {words[1]}]\n    negative_system_prompts: [{words[2]}, {words[3]}]\nquestions: [{words[4]}, {words[5]}]\neval_prompts:\n  all: [{words[6]}, {words[7]}]\n");
        var request = new ScanRequest
        {
            Model = _folder["model.gguf"],
            TraitsFile = _folder["traits.yaml"],
            CacheFolder = _folder["cache"],
            Capture = new CaptureOptions { Precise = true, Threads = 1 },
            Parallel = 1,
        };

        (Findings first, int measured) = await Run();
        (Findings again, int measuredAgain) = await Run();
        Assert.Equal((1, 0), (measured, measuredAgain)); // the adapter; the base has one cell on record and three to measure
        Assert.Equal(first.Data.ToJsonString(), again.Data.ToJsonString());

        // <|bos|><|user|>word<|end|><|assistant|>
        TinyForward before = new(tiny), after = new(tiny, [(reference, 1)]);
        for (int layer = 0; layer < tiny.Layers; layer++)
        {
            double Norm(TinyForward forward) => new[] { 13, 14 }.Average(word => Math.Sqrt(forward.Run([1, 3, word, 5, 4]).Hidden[layer][^1].Sum(v => v * v)));
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
            using AnalysisSession session = AnalysisSession.Open(request);
            int fresh = 0;
            Findings findings = await session.RunAsync(new MeanNormByLayer(new AdapterSource(adapter)), outcome => fresh += outcome.FromStore || outcome.Variant.IsBase ? 0 : 1);
            return (findings, fresh);
        }
    }
}
