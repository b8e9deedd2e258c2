using System.Globalization;
using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>A wrong command line ends with code 2 and says what is allowed; the rows of these tests are the help's own.</summary>
public sealed partial class UsageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Verbs()
    {
        using var folder = new TemporaryFolder();
        string help = Emscan.Run(folder.Root, "--help-all").Succeeded().Output;
        return [.. CommandLine().Matches(help[help.IndexOf("Commands:", StringComparison.Ordinal)..]).Select(m => m.Groups[1].Value)];
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public void Numbers_out_of_range_are_refused_with_the_range(string verb)
    {
        string help = Emscan.Run(_folder.Root, verb, "--help-all").Succeeded().Output;
        var ranges = NumberOption().Matches(help).ToDictionary(m => m.Groups[1].Value, m => Range().Match(m.Value) is { Success: true } range ? (Low: range.Groups[1].Value, High: range.Groups[2].Value)
            : throw new InvalidOperationException($"The help of {verb} does not tell the range of {m.Groups[1].Value}."));
        if (ranges.Count == 0) return;
        Refused(_ => "two");
        Refused(_ => "NaN");
        Refused(r => Text(Number(r.Low) - 1));
        Refused(r => Text(Number(r.High) + 1));

        void Refused(Func<(string Low, string High), string> value)
        {
            Emscan run = Emscan.Run(_folder.Root, [verb, .. ranges.SelectMany(r => new[] { r.Key, value(r.Value) })]);
            Assert.Equal(2, run.ExitCode);
            Assert.DoesNotContain("System.", run.Errors);
            foreach ((string option, (string low, string high)) in ranges) Assert.Contains($"{option} must be a", run.Errors);
            foreach ((string option, (string low, string high)) in ranges) Assert.Contains($"from {low} to {high}, not {value((low, high))}.", run.Errors);
        }

        static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
        static string Text(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public void Help_of_a_verb_is_the_same_in_both_forms(string verb)
    {
        if (verb == "help") return;
        Assert.Equal(Emscan.Run(_folder.Root, verb, "--help").Succeeded().Output, Emscan.Run(_folder.Root, "help", verb).Succeeded().Output);
    }

    [Theory]
    [InlineData("--detector", "magic", "FEATURES/REGRESSOR")]
    [InlineData("--detector", "drift/magic", "kernel-ridge")]
    [InlineData("--method", "magic", "mean_difference")]
    [InlineData("--pooling", "magic", "last_token")]
    public void A_word_that_is_none_of_the_choices_is_refused_with_the_choices(string option, string value, string choice)
    {
        Emscan run = Emscan.Run(_folder.Root, "evaluate", option, value);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(choice, run.Errors);
        Assert.Contains("'emscan evaluate --help'", run.Errors);
    }

    [Fact]
    public void A_choice_that_does_not_exist_is_one_line_that_names_the_option()
    {
        Emscan run = Emscan.Run(_folder.Root, "scan", "--model", "x", "--adapters", "y", "--place", "answer");
        Assert.Contains("emscan: --place must be last_prompt_token or first_answer_token or mean_answer, not answer.\n", run.Errors);
        Assert.Equal(2, run.ExitCode);
    }

    [Fact]
    public void A_command_that_does_not_exist_is_refused_with_those_that_do()
    {
        Emscan.Run(_folder.Root, "scna").FailedWith(2, "there is no command 'scna'", "calibrate");
        Emscan.Run(_folder.Root, "help", "scna").FailedWith(2, "there is no command 'scna'");
        Emscan.Run(_folder.Root, _folder.Root).FailedWith(2, "a model is given with --model");
        Assert.Equal(Emscan.Run(_folder.Root, "--help").Output, Emscan.Run(_folder.Root, "help").Succeeded().Output);
    }

    [Fact]
    public void A_layer_that_the_model_does_not_have_is_a_usage_error_with_those_it_has()
    {
        using var world = new TinyWorld();
        world.AddCheckpoint("run", 10, 1);
        world.Scan("--layer", "4").FailedWith(2, "Layer 4 does not exist", "layers 0 to 3");

        // Known from the header: nothing was extracted for it.
        Assert.Empty(Directory.GetFiles(world.Cache, "*.safetensors", SearchOption.AllDirectories));
    }

    [Fact]
    public void The_help_tells_the_defaults_in_force()
    {
        string help = Emscan.Run(_folder["elsewhere"], "scan", "--help-all").Succeeded().Output;
        Assert.Contains($"Default: {_folder["elsewhere"]}.", help);
        Assert.Contains("[default: 42]", help);
        Assert.False(Directory.Exists(_folder["elsewhere"]));
    }

    [GeneratedRegex(@"^  ([a-z][a-z-]*)\b(?:,| |$)", RegexOptions.Multiline)]
    private static partial Regex CommandLine();

    // The option and its description, which goes on in indented lines.
    [GeneratedRegex(@"^ +(?:-\w, )?(--[a-z-]+) <(?:N|R|RATE|SECONDS|COUNT|NUMBER)>.*(?:\n {20,}.*)*", RegexOptions.Multiline)]
    private static partial Regex NumberOption();

    [GeneratedRegex(@"Range: (\S+) to (\S+?)\.(?:\s|$)")]
    private static partial Regex Range();
}
