using System.CommandLine;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Options that no other test uses, and that there are no more of these.</summary>
public sealed class OptionTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Rows_go_to_every_place_that_is_asked_for()
    {
        _world.AddCheckpoint("one", 10, 1);
        _world.AddCheckpoint("one", 20, 2);
        using var server = new MlflowServer(failures: 0);
        Emscan scan = _world.Scan(
            "--traits", _world.TraitsPath, "--jsonl", _world["rows.jsonl"], "--parquet", _world["rows.parquet"], "--tensorboard", _world["board"],
            "--mlflow", server.Address, "--mlflow-experiment", "mine", "--json").Succeeded();
        double[] drifts = [.. scan.Json.GetProperty("runs")[0].GetProperty("trajectory").EnumerateArray().Skip(1).Select(p => p.GetProperty("drift").GetProperty("honesty").GetDouble())];
        JsonElement[] lines = [.. File.ReadLines(_world["rows.jsonl"]).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(drifts, lines.Select(line => line.GetProperty("drift/honesty").GetDouble()));
        byte[] parquet = File.ReadAllBytes(_world["rows.parquet"]);
        Assert.Equal(("PAR1", "PAR1"), (Encoding.ASCII.GetString(parquet[..4]), Encoding.ASCII.GetString(parquet[^4..])));
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(_world["board"], "one"), "*tfevents*"));
        Assert.Contains("\"mine\"", server.Calls.Single(call => call.Method == "experiments/create").Body);
        JsonElement[] logged = [.. server.Calls.Where(call => call.Method == "runs/log-batch").SelectMany(call => JsonDocument.Parse(call.Body).RootElement.GetProperty("metrics").EnumerateArray())];
        Assert.Equal(drifts, logged.Where(m => m.GetProperty("key").GetString() == "drift/honesty").Select(m => m.GetProperty("value").GetDouble()));
    }

    [Fact]
    public void Messages_of_llama_cpp_are_shown_when_they_are_asked_for()
    {
        _world.AddCheckpoint("one", 10, 1);
        const string Loader = "llama_model_loader: ";
        Assert.DoesNotContain(Loader, _world.Scan("--traits", _world.TraitsPath).Succeeded().Errors);
        Assert.Contains(Loader, _world.Scan("--traits", _world.TraitsPath, "--verbose").Succeeded().Errors);
    }

    [Theory]
    [InlineData("gaussian", "gaussian")]
    [InlineData("rank_r", "rank_4")]
    [InlineData("both", "gaussian rank_4")]
    public void Noise_has_the_shape_that_is_asked_for(string asked, string expected)
    {
        _world.AddCheckpoint("one", 10, 1);
        JsonElement json = Emscan.Run(
            _world.Cache, "layers", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--threads", "1", "--parallel", "1",
            "--noise", "1", "--draws", "2", "--noise-kind", asked, "--json").Succeeded().Json;
        Assert.Equal(expected.Split(' '), json.GetProperty("rows").EnumerateArray().Select(row => row.GetProperty("kind").GetString()!).Distinct().Order(StringComparer.Ordinal));
    }

    /// <summary>An option that no test gives to the program is one that nobody knows to work.</summary>
    [Fact]
    public void Every_option_is_in_a_test()
    {
        // HelpTests names options to say how they differ.
        string tests = string.Concat(Directory.EnumerateFiles(Repository.File("tests"), "*.cs", SearchOption.AllDirectories)
            .Where(file => Path.GetFileName(file) != "HelpTests.cs" && !Path.GetRelativePath(Repository.File("tests"), file).Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj")).Select(File.ReadAllText));
        RootCommand root = CommandTree.Make();
        string[] options = [.. root.Subcommands.Append<Command>(root).SelectMany(command => command.Options).Where(option => !option.Hidden).Select(option => option.Name).Distinct()];
        Assert.True(options.Length > 70, $"{options.Length} options are not all of them.");
        Assert.DoesNotContain(options, option => !Regex.IsMatch(tests, $"{Regex.Escape(option)}(?![a-z-])"));
    }
}
