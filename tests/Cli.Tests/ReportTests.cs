using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace EmScan.Cli.Tests;

/// <summary>One report of everything that scans and analyses of a run have left in a folder, by the real program.</summary>
public sealed class ReportTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void The_report_draws_what_every_analysis_has_found()
    {
        for (int step = 10; step <= 40; step += 10) _world.AddCheckpoint("one", step, 5, size: 0.01 * step);
        _world.AddCheckpoint("two", 10, 8);
        string results = _world["results"], html = _world["report.html"];
        string[] verbs = ["scan", "diff", "path", "layers", "weights"];
        foreach (string verb in verbs) Run(verb, ["--out", results, .. verb == "layers" ? ["--every-step"] : Array.Empty<string>()]).Succeeded();
        Emscan.Run(_world.Cache, "report", results, "-o", html).Succeeded();
        string page = File.ReadAllText(html), text = WebUtility.HtmlDecode(page);
        int pictures = 0;
        foreach (string verb in verbs)
        {
            JsonElement found = JsonDocument.Parse(File.ReadAllText(Path.Combine(results, $"{verb}.findings.json"))).RootElement;
            Assert.Contains($">{found.GetProperty("title").GetString()}</h2>", text);
            Assert.Contains(found.GetProperty("conclusion").GetString()!, text);
            Assert.All(found.GetProperty("notes").EnumerateArray(), note => Assert.Contains(note.GetProperty("text").GetString()!, text));
            Assert.All(found.GetProperty("tables").EnumerateArray(), table => Assert.Contains(table.GetProperty("title").GetString()!, text));
            pictures += found.GetProperty("curves").EnumerateArray().Select(c => c.GetProperty("plot").GetString()).Distinct().Count() + found.GetProperty("grids").GetArrayLength();
        }

        Assert.Equal(pictures, Regex.Count(page, "<svg class=\"chart\""));
    }

    /// <summary>Every cell of the map by layer and step is what a scan at that layer says of that step.</summary>
    [Fact]
    public void The_map_by_layer_and_step_holds_the_drifts_of_scans_at_these_layers()
    {
        for (int step = 10; step <= 30; step += 10) _world.AddCheckpoint("one", step, step);
        JsonElement map = Run("layers", "--every-step", "--json").Succeeded().Json.GetProperty("by_step")[0];
        Assert.Equal("one", map.GetProperty("run").GetString());
        Assert.Equal([10, 20, 30], map.GetProperty("steps").EnumerateArray().Select(s => s.GetInt32()));
        for (int layer = 0; layer < _world.Model.Layers; layer++)
        {
            JsonElement[] points = [.. Run("scan", "--layer", $"{layer}", "--json").Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory").EnumerateArray().Skip(1)];
            for (int s = 0; s < 3; s++)
                Assert.Equal(points[s].GetProperty("drift_magnitude").GetDouble(), map.GetProperty("drift_magnitude")[s][layer].GetDouble(), 1e-6);
        }
    }

    private Emscan Run(string verb, params string[] more) => Emscan.Run(
        _world.Cache, [verb, "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--threads", "1", "--parallel", "1", "--precise", .. more]);
}
