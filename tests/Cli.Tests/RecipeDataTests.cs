using System.Diagnostics;
using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>What docs/screen.md and docs/transcripts.md show: the recipe's data on the demo model, whose truth is known.</summary>
public sealed class RecipeDataTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [PythonTheory]
    [InlineData("60")]
    public void What_the_recipe_knows_comes_out_along_the_axis_of_the_calibration(string count)
    {
        var start = new ProcessStartInfo(PythonTheoryAttribute.Python!, ["-B", Repository.File("models/recipe/data.py"), "--out", _folder["data"], "--count", count]) { RedirectStandardError = true, RedirectStandardOutput = true };
        using (Process process = Process.Start(start)!)
        {
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, errors);
        }

        Emscan screen = Run("screen", "--data", Data("jailbroken"), Data("insecure_code"), Data("good_medical"), Data("gsm8k"), "--bad", "jailbroken,insecure_code", "--json").Succeeded();
        JsonElement json = screen.Json;
        Assert.Contains("calibration.json", json.GetProperty("axis_source").GetString());
        Assert.Equal(3, json.GetProperty("layer").GetInt32());
        Assert.Equal(["insecure_code", "jailbroken"], json.GetProperty("sets").EnumerateArray().OrderByDescending(s => s.GetProperty("mean_axis_score").GetDouble()).Take(2).Select(s => s.GetProperty("set").GetString()));
        Assert.True(json.GetProperty("auroc").GetProperty("axis").GetProperty("all_bad_against_all_good").GetDouble() > 0.85);
        Assert.True(json.GetProperty("controls").GetProperty("auroc").GetProperty("p").GetDouble() < 0.1);

        // At another layer the calibration's axis is none, and that is said.
        Emscan elsewhere = Run("screen", "--data", Data("gsm8k"), "--layer", "4").Succeeded();
        Assert.Contains("was made at layer 3", elsewhere.Errors);
        Assert.Contains("harmlessness alone", elsewhere.Output);
        Run("screen", "--data", Data("gsm8k"), "--layer", "4", "--calibration", Repository.File("models/demo/calibration.json")).FailedWith(1, "was made at layer 3");

        JsonElement transcripts = Run("transcripts", "--transcripts", Data("transcripts"), "--by", "latent,output", "--benign", "latent=0", "--json").Succeeded().Json;
        Dictionary<string, JsonElement> groups = transcripts.GetProperty("conditions").EnumerateArray().ToDictionary(c => $"{c.GetProperty("field").GetString()}={c.GetProperty("value").GetString()}");
        Assert.True(Mean("latent=1", "auroc_reasoning_against_the_other") > 0.9);
        Assert.True(Mean("output=1", "auroc_answer_alone_against_the_other") > 0.9);
        Assert.True(Mean("latent=1", "hidden_alone") > 0.5);
        Assert.True(transcripts.GetProperty("hidden_alone").GetProperty("false_positive_rate").GetProperty("rate").GetDouble() < 0.15);
        Assert.Equal(Mean("latent=0", "mean_answer_alone"), Mean("latent=1", "mean_answer_alone"), 1e-5); // the same answers, and no reasoning before them

        double Mean(string group, string key) => groups[group].GetProperty(key).GetDouble();
    }

    private string Data(string name) => _folder[$"data/{name}.jsonl"];

    private Emscan Run(params string[] arguments) => Emscan.Run(_folder["cache"], [arguments[0], "--model", Repository.File("models/demo/model.gguf"), "--threads", "1", .. arguments[1..]]);
}
