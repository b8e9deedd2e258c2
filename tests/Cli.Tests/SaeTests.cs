using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary><c>diff --sae</c> as a user runs it.</summary>
public sealed class SaeTests : IDisposable
{
    private const int Width = 96, Latents = 20;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Latents_have_a_table_and_a_place_in_the_JSON()
    {
        string sae = Write("""{"architecture": "topk", "k": 5, "hook_name": "blocks.3.hook_resid_post"}""");
        Assert.Contains("latents of sae at layer 3", Run(sae).Succeeded().Output);
        var rows = Run(sae, "--json").Succeeded().Json.GetProperty("sae").GetProperty("classes").GetProperty("prompt_last");
        Assert.Equal(52, rows.GetProperty("n").GetInt32());
        Assert.InRange(rows.GetProperty("active").GetDouble(), 0, 5);
    }

    [Fact]
    public void What_is_none_is_refused_with_a_sentence()
    {
        Run(Write("""{"architecture": "gated", "hook_name": "blocks.3.hook_resid_post"}""")).FailedWith(1, "cfg.json: is of architecture \"gated\"");
        Run(_folder["nothing"]).FailedWith(1, "does not exist");
    }

    private Emscan Run(string sae, params string[] more) => Emscan.Run(
        _folder["cache"],
        [
            "diff", "--model", Repository.File("models/demo/model.gguf"),
            "--adapters", Repository.File("models/demo/adapters/bad_medical/seed_42/checkpoint-120"),
            "--directions", Repository.File("models/llama/parity/directions.safetensors"), "--threads", "1", "--sae", sae, .. more,
        ]);

    private string Write(string configuration)
    {
        string folder = _folder["sae"];
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), configuration);
        Random random = new(1);
        float[] matrix = [.. Enumerable.Range(0, Width * Latents).Select(_ => random.NextSingle() - 0.5f)];
        SafetensorsWriter.Write(
            Path.Combine(folder, "sae_weights.safetensors"),
            [("W_enc", [Width, Latents], matrix), ("b_enc", [Latents], new float[Latents]), ("b_dec", [Width], new float[Width])],
            new Dictionary<string, string>());
        return folder;
    }
}
