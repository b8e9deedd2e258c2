using System.Globalization;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>README.md and the help cannot lie: what they show is run again and compared.</summary>
public sealed class ReadmeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string[] _readme = File.ReadAllLines(Repository.File("README.md"));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_first_command_prints_what_the_first_screen_shows()
    {
        const string Prefix = "$ dotnet run --project src/Cli -c Release -- ";
        int start = Array.FindIndex(_readme, l => l.StartsWith(Prefix, StringComparison.Ordinal));
        int end = Array.IndexOf(_readme, "```", start);

        // The shell's part at the end shows the exit code, which is 3: a checkpoint is dangerous.
        string[] command = _readme[start][Prefix.Length..].Split("; ");
        Assert.Equal("echo \"exit code $?\"", command[1]);
        string[] arguments = [.. command[0].Split(' ').Select(a => a.StartsWith("models/", StringComparison.Ordinal) ? Repository.File(a) : a)];
        string root = Repository.File("") + Path.DirectorySeparatorChar;
        Emscan run = Emscan.Run(_folder.Root, arguments);
        Assert.Equal("", run.Errors);
        string[] printed = [.. run.Output.Replace(root, "").TrimEnd('\n').Split('\n'), $"exit code {run.ExitCode}"];
        string[] shown = _readme[(start + 1)..end];
        Assert.Equal(shown.Length, printed.Length);
        for (int i = 0; i < shown.Length; i++)
        {
            // The machine's name and the speed are its own; numbers may differ in the last digit between processors.
            if (shown[i].StartsWith("device", StringComparison.Ordinal) || shown[i].Contains(" per minute", StringComparison.Ordinal)) continue;
            string[] expected = shown[i].Split(' ', StringSplitOptions.RemoveEmptyEntries), actual = printed[i].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal(expected.Length, actual.Length);
            for (int w = 0; w < expected.Length; w++)
            {
                // Predicted rates have one digit after the point and amplify the differences between processors.
                double tolerance = expected[w].TrimEnd(']', ',', '.').Split('.')[^1].Length == 1 ? 0.21 : 0.0021;
                char[] around = ['(', ')', '[', ']', ',', '.'];
                if (double.TryParse(expected[w].Trim(around), CultureInfo.InvariantCulture, out double number) && expected[w].Contains('.'))
                    Assert.Equal(number, double.Parse(actual[w].Trim(around), CultureInfo.InvariantCulture), tolerance * Math.Max(1, Math.Abs(number)));
                else
                    Assert.Equal(expected[w], actual[w]);
            }
        }
    }

    [Fact]
    public void Every_option_the_readme_names_exists_in_the_help()
    {
        string help = string.Concat(new[] { "scan", "watch", "diff", "path", "label", "extract", "calibrate", "evaluate" }.Select(verb => Emscan.Run(_folder.Root, verb, "--help-all").Succeeded().Output));
        string[] options = [.. _readme.SelectMany(l => l.Split(' ', '`', '(', ')', ',', '.', ';')).Where(w => w.StartsWith("--", StringComparison.Ordinal) && w.Length > 2).Distinct()];
        Assert.Contains("--adapters", options);
        Assert.All(options.Where(o => o != "--project"), option => Assert.Contains(option, help));
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
