using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan weights</c> by the real program: with and without a model, and what it says of input that makes no sense.</summary>
public sealed class WeightsTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public WeightsTests()
    {
        _world.AddCheckpoint("one", 10, 1);
        _world.AddCheckpoint("one", 20, 4);
        _world.AddCheckpoint("two", 10, 2);
        _world.AddCheckpoint("three", 10, 3);
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Without_a_model_there_are_shares_masks_and_subspaces()
    {
        Emscan weights = Run("--adapters", _world.Adapters, "--adapters", _world.CheckpointPath("one", 10), "--json").Succeeded();
        JsonElement json = weights.Json;
        Assert.Equal(["one", "three", "two", "one/checkpoint-10"], json.GetProperty("single").EnumerateObject().Select(p => p.Name));
        Assert.Equal(["one . three", "one . two", "one . one/checkpoint-10"], json.GetProperty("pairs").EnumerateArray().Select(p => p.GetProperty("name").GetString()!));
        foreach (string key in new[] { "model", "layer", "traits", "prompts", "step0_activation_norm", "transplant" }) Assert.Equal(JsonValueKind.Null, json.GetProperty(key).ValueKind);
        JsonElement single = json.GetProperty("single").GetProperty("one"), pair = json.GetProperty("pairs")[0];
        foreach (string key in new[] { "coordinates", "norm", "share_coordinates_90", "share_coordinates_50" }) Assert.True(single.GetProperty(key).GetDouble() > 0, key);
        Assert.Equal(4, single.GetProperty("modules").GetProperty("blk.0.q").GetProperty("singular_values").GetArrayLength());
        Assert.True(json.GetProperty("reference_shares_90").GetProperty("gaussian_rank_4").GetDouble() is > 0.38 and < 0.39);
        foreach (string q in new[] { "0.01", "0.05", "0.1" })
        {
            Assert.True(pair.GetProperty("signs").TryGetProperty(q, out _));
            foreach (string key in new[] { "value", "chance", "k", "permuted_null_mean", "permuted_null_sd", "per_module_mean" }) Assert.Equal(JsonValueKind.Number, pair.GetProperty("jaccard").GetProperty(q).GetProperty(key).ValueKind);
        }

        Assert.Equal(JsonValueKind.Object, pair.GetProperty("subspaces").GetProperty("modules").ValueKind);
        Assert.Equal(JsonValueKind.Null, json.GetProperty("pairs")[1].GetProperty("subspaces").GetProperty("modules").ValueKind);
        Assert.Equal(6, Run("--adapters", _world.Adapters, "--adapters", _world.CheckpointPath("one", 10), "--all-pairs", "--json").Succeeded().Json.GetProperty("pairs").GetArrayLength());

        string text = Run("--adapters", _world.CheckpointPath("two", 10), "--adapters", _world.CheckpointPath("three", 10)).Succeeded().Output;
        Assert.StartsWith("two: no ticket: 90% of the squared norm needs ", text);
        Assert.Contains("permuted", text);
        Assert.Contains("note: There is no model (--model)", text);
    }

    [Fact]
    public void With_a_model_parts_are_transplanted_beside_random_parts()
    {
        string results = _world["results"];
        string[] arguments = ["--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--parallel", "1", "--precise", "--draws", "3", "--out", results,
            "--adapters", _world.CheckpointPath("one", 20), "--adapters", _world.CheckpointPath("two", 10), "--adapters", _world.CheckpointPath("three", 10), "--adapters", _world.CheckpointPath("one", 10)];
        Emscan weights = Run([.. arguments, "--json"]).Succeeded();
        JsonElement transplant = weights.Json.GetProperty("transplant");
        JsonElement[] rows = [.. transplant.GetProperty("rows").EnumerateArray()];
        Assert.Equal("one", transplant.GetProperty("adapter").GetString());
        Assert.Equal([0.01, 0.05, 0.1, 0.25, 0.5], rows.Take(5).Select(r => r.GetProperty("share").GetDouble()));
        Assert.Equal([1, 2], rows.Skip(5).Take(2).Select(r => r.GetProperty("rank").GetInt32()));
        Assert.Equal(9, rows.Length); // and the masks of the two other runs, not of the run's own earlier step
        string layer = $"left_at_{weights.Json.GetProperty("layer").GetInt32()}";
        Assert.All(rows, row => Assert.Equal(JsonValueKind.Number, row.GetProperty(layer).ValueKind));
        Assert.All(rows, row => Assert.Equal(JsonValueKind.Null, row.GetProperty("preference_left").ValueKind));
        Assert.All(rows.Take(5), row => Assert.Equal(JsonValueKind.Number, row.GetProperty($"random_mask_{layer}_se").ValueKind));
        Assert.True(rows[4].GetProperty("norm_share").GetDouble() > rows[0].GetProperty("norm_share").GetDouble());
        Assert.Contains(weights.Json.GetProperty("notes").EnumerateArray(), note => note.GetProperty("code").GetString() == "no-pairs");

        // Read back from the record, and drawn.
        Assert.Equal(transplant.ToString(), Run([.. arguments, "--json"]).Succeeded().Json.GetProperty("transplant").ToString());
        Emscan.Run(_world.Cache, "report", results, "--output", _world["page.html"]).Succeeded();
        Assert.Contains("squared norm held by the largest coordinates", File.ReadAllText(_world["page.html"]));
    }

    [Fact]
    public void Bad_input_gets_one_sentence()
    {
        string one = _world.CheckpointPath("one", 10), two = _world.CheckpointPath("two", 10);
        new TinyAdapter(new TinyModel(5, hidden: 16, heads: 2, kvHeads: 1), 6).Write(_world["other/checkpoint-10"]);
        Run("--adapters", one, "--adapters", _world["other/checkpoint-10"]).FailedWith(1, "checkpoint-10", "they were trained on different base models");
        new TinyAdapter(_world.Model, 7, size: 0).Write(_world["zero/checkpoint-10"]);
        Run("--adapters", _world["zero/checkpoint-10"]).FailedWith(1, "zero", "changes nothing");
        Run("--adapters", one, "--draws", "1").FailedWith(2, "--draws");
        new TinyAdapter(_world.Model, 8, projections: ["o_proj"]).Write(_world["elsewhere/checkpoint-10"]);
        Run("--adapters", one, "--adapters", _world["elsewhere/checkpoint-10"]).FailedWith(1, "elsewhere", "changes no weight that");
        File.WriteAllText(Path.Combine(two, "adapter_config.json"), File.ReadAllText(Path.Combine(two, "adapter_config.json")).Replace("\"bias\"", "\"use_dora\": true, \"bias\"", StringComparison.Ordinal));
        Run("--adapters", two).FailedWith(1, "two", "DoRA");
        File.WriteAllText(Path.Combine(one, "adapter_model.safetensors"), "damaged");
        Run("--adapters", one).FailedWith(1, "one");
    }

    private Emscan Run(params string[] arguments) => Emscan.Run(_world.Cache, ["weights", .. arguments]);
}
