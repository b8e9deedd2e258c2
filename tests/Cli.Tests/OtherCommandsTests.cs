using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

public sealed class OtherCommandsTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("mean_difference", "last_token")]
    [InlineData("paired_pca", "mean_input")]
    [InlineData("logistic_probe", "mean_output")]
    public void Extracted_directions_can_be_scanned_with(string method, string pooling)
    {
        _world.AddCheckpoint("run", 10, 1);
        string file = _world["directions.safetensors"];
        Emscan extract = Emscan.Run(
            _world.Cache, "extract", "--model", _world.ModelPath, "--threads", "1", "--method", method, "--pooling", pooling, "--output", file).Succeeded();
        foreach (string trait in TinyWorld.Traits) Assert.Contains(trait, extract.Output);
        string[] scan = ["--json", "--method", method, "--pooling", pooling];
        JsonElement given = Point(_world.Scan([.. scan, "--directions", file]));

        // One without the file takes them from the cache, which has them already.
        string[] cached = Directory.GetFiles(Path.Combine(_world.Cache, "directions"));
        Assert.Single(cached);
        Assert.Equal(given.GetProperty("drift").ToString(), Point(_world.Scan(scan)).GetProperty("drift").ToString());
        Assert.Equal(cached, Directory.GetFiles(Path.Combine(_world.Cache, "directions")));

        // A scan that extracts by itself arrives at the same numbers.
        JsonElement extracted = Point(_world.Scan([.. scan, "--cache", _world["another"]]));
        Assert.Equal(given.GetProperty("drift").ToString(), extracted.GetProperty("drift").ToString());

        static JsonElement Point(Emscan run) => run.Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory")[1];
    }

    [Fact]
    public void A_damaged_cache_of_directions_is_said_and_made_again()
    {
        _world.AddCheckpoint("run", 10, 1);
        string first = _world.Scan("--csv").Succeeded().Output;
        string cached = Directory.GetFiles(Path.Combine(_world.Cache, "directions")).Single();
        File.WriteAllBytes(cached, File.ReadAllBytes(cached)[..100]);
        Emscan again = _world.Scan("--csv").Succeeded();
        Assert.Equal(first, again.Output);
        Assert.Contains("extracted again", again.Errors);
        Assert.Equal("", _world.Scan("--csv").Succeeded().Errors);
    }

    [Fact]
    public void A_changed_trait_set_gets_directions_of_its_own()
    {
        _world.AddCheckpoint("run", 10, 1);
        _world.Scan().Succeeded();
        string yaml = File.ReadAllText(_world.TraitsPath);
        File.WriteAllText(_world.TraitsPath, yaml.Replace("honesty:", "candour:"));
        Assert.Contains("candour", _world.Scan().Succeeded().Output);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(_world.Cache, "directions")).Length);
    }

    [Fact]
    public void A_model_without_a_system_role_gets_the_system_text_as_a_user_turn()
    {
        const string Template =
            "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
            + "<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
        using var world = new TinyWorld(3, chatTemplate: Template);
        world.AddCheckpoint("run", 10, 1);
        JsonElement json = world.Scan("--json").Succeeded().Json;
        Assert.NotEqual(0, json.GetProperty("runs")[0].GetProperty("trajectory")[1].GetProperty("drift_magnitude").GetDouble());
    }

    [Fact]
    public void A_base_model_can_be_scanned_with_the_plain_layout()
    {
        new TinyModel(1) { ChatTemplate = null }.WriteGguf(_world.ModelPath);
        _world.AddCheckpoint("run", 10, 1);
        _world.Scan("--chat-template", "plain").Succeeded();
    }

    [Fact]
    public void Inspect_shows_machine_model_and_checkpoints()
    {
        _world.AddCheckpoint("run", 10, 1);
        _world.AddCheckpoint("run", 20, 2);
        Assert.Contains("CPU", Emscan.Run(_world.Cache, "inspect").Succeeded().Output);
        Assert.Contains("llama.block_count = 4", Emscan.Run(_world.Cache, "inspect", _world.ModelPath).Succeeded().Output);
        Assert.Contains("run: 2 checkpoints, steps 10 20", Emscan.Run(_world.Cache, "inspect", _world.Adapters).Succeeded().Output);
        Emscan.Run(_world.Cache, "inspect", _world["nothing"]).FailedWith(1, _world["nothing"]);
    }

    [Fact]
    public void The_help_names_every_command_and_the_exit_codes()
    {
        string help = Emscan.Run(_world.Cache, "--help").Succeeded().Output, all = Emscan.Run(_world.Cache, "--help-all").Succeeded().Output;
        foreach (string part in new[] { "scan", "extract", "inspect", "Exit codes", "--precise", "layer l is the residual stream after block l" }) Assert.Contains(part, all);
        foreach (string part in new[] { "scan", "extract", "inspect", "--help-all" }) Assert.Contains(part, help);
        Assert.Equal(help, Emscan.Run(_world.Cache).Succeeded().Output);
    }
}
