using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>What README.md says of the options and shows of the sample is so; its commands are run by DocsTests.</summary>
public sealed class ReadmeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string[] _readme = File.ReadAllLines(Repository.File("README.md"));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_option_the_readme_names_exists_in_the_help()
    {
        string help = string.Concat(new[] { "scan", "watch", "diff", "path", "label", "extract", "calibrate", "evaluate" }.Select(verb => Emscan.Run(_folder.Root, verb, "--help-all").Succeeded().Output));
        string[] options = [.. _readme.SelectMany(l => l.Split(' ', '`', '(', ')', ',', '.', ';')).Where(w => w.StartsWith("--", StringComparison.Ordinal) && w.Length > 2).Distinct()];
        Assert.Contains("--adapters", options);
        Assert.All(options.Where(o => o is not ("--project" or "-->")), option => Assert.Contains(option, help));
    }

    [Fact]
    public void The_readme_shows_the_sample_as_it_is()
    {
        string[] sample = File.ReadAllLines(Repository.File("samples/Embed/Program.cs"));
        int first = Array.FindIndex(sample, l => l.Trim() == "// <readme>") + 1, end = Array.FindIndex(sample, l => l.Trim() == "// </readme>");
        int start = Array.IndexOf(_readme, "```csharp") + 1;
        string[] shown = _readme[start..Array.IndexOf(_readme, "```", start)];
        Assert.True(shown.Length > 5);
        Assert.Equal(sample[first..end].Select(l => l.Trim()).Where(l => l.Length > 0), shown.Select(l => l.Trim()).Where(l => l.Length > 0));
    }

    [Fact]
    public void The_sample_that_embeds_the_library_runs()
    {
        using var world = new TinyWorld();
        world.AddCheckpoint("run", 10, 1);
        world.AddCheckpoint("run", 20, 2);
        Emscan run = Emscan.RunProgram("emscan-embed-sample", world.Cache, [], world.ModelPath, world.Adapters).Succeeded();
        string[] lines = run.Output.TrimEnd('\n').Split('\n');
        Assert.StartsWith("run 10: Measured", lines[0]);
        Assert.StartsWith("run 20: Measured", lines[1]);
        Assert.Contains(lines, l => l.StartsWith("layer 3: ", StringComparison.Ordinal));
        Assert.Equal(1, Emscan.RunProgram("emscan-embed-sample", world.Cache, [], world["missing.gguf"], world.Adapters).ExitCode);
    }
}
