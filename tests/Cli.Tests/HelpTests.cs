using System.CommandLine;
using System.Text.RegularExpressions;

namespace EmScan.Cli.Tests;

/// <summary>The help of every verb fits a screen, the full help has every option, and an option of several verbs is the same in all of them.</summary>
public sealed partial class HelpTests
{
    private const int Lines = 30, Columns = 100;

    /// <summary>Options that do not mean quite the same in a verb, and why.</summary>
    private static readonly Dictionary<(string Verb, string Option), string> Own = new()
    {
        [("watch", "--adapters")] = "a folder that need not exist yet, and no list",
        [("bench", "--adapters")] = "one adapter is enough, and one is made up without it",
        [("watch", "--json")] = "a watch has no end: a line for each row",
        [("calibrate", "--calibration")] = "the one that is extended; without --add there is none",
        [("evaluate", "--calibration")] = "the one that is evaluated; there is no default",
        [("evaluate", "--place")] = "takes several, and compares them",
        [("evaluate", "--detector")] = "takes several",
        [("transcripts", "--benign")] = "transcripts are told by a field of theirs, adapters by their folder",
        [("transcripts", "--by")] = "a field of the transcripts",
        [("invariance", "--by")] = "environments, of which there are at least 3",
        [("label", "--answer-tokens")] = "answers that are judged are longer than those that states are read from; had another name before",
        [("onset", "--axis")] = "its default is the axis of the runs themselves",
        [("calibrate", "--output")] = "each verb writes another kind of file",
        [("extract", "--output")] = "each verb writes another kind of file",
        [("label", "--output")] = "each verb writes another kind of file",
        [("report", "--output")] = "each verb writes another kind of file",
        [("layers", "--draws")] = "what is drawn is the verb's own",
        [("weights", "--draws")] = "what is drawn is the verb's own",
        [("onset", "--draws")] = "what is drawn is the verb's own",
        [("personas", "--draws")] = "what is drawn is the verb's own",
    };

    public static TheoryData<string> Verbs() => [.. CommandTree.Make().Subcommands.Where(c => !c.Hidden).Select(c => c.Name)];

    [Theory]
    [InlineData("")]
    [MemberData(nameof(Verbs))]
    public void The_help_fits_a_screen_and_the_rest_is_in_the_full_help(string verb)
    {
        string text = Run(verb, "--help"), all = Run(verb, "--help-all");
        Assert.All(text.Split('\n'), line => Assert.InRange(line.TrimEnd().Length, 0, Columns));
        Assert.InRange(text.TrimEnd().Split('\n').Length, 3, Lines);

        RootCommand root = CommandTree.Make();
        Command command = verb.Length == 0 ? root : root.Subcommands.Single(c => c.Name == verb);
        Dictionary<string, string> full = Options(all);
        Assert.All(command.Options.Where(o => !o.Hidden), option => Assert.Contains(option.Name, full.Keys));
        Assert.All(new[] { "--help", "--help-all" }, option => Assert.Contains(option, full.Keys));
        Assert.All(Options(text).Keys, option => Assert.Contains(option, full.Keys));
        Assert.True(full.Count >= Options(text).Count + 2);
        if (command is Verb { Example: var example }) Assert.Contains(example, text);
        Assert.Contains("--help-all", text);
    }

    /// <summary>Every verb with an example is listed, and every example is of its verb.</summary>
    [Fact]
    public void Every_example_is_a_command_line_of_its_verb()
    {
        RootCommand root = CommandTree.Make();
        foreach (Verb verb in root.Subcommands.OfType<Verb>())
        {
            string[] words = [.. Quoted().Matches(verb.Example).Select(m => m.Value.Trim('\''))];
            ParseResult parsed = root.Parse(words[1..]);
            Assert.Equal(verb.Name == "scan" ? root : verb, parsed.CommandResult.Command);
            Assert.Empty(parsed.Errors);
        }
    }

    [Fact]
    public void An_option_of_several_verbs_has_one_name_default_and_text_in_all_of_them()
    {
        var used = new HashSet<(string, string)>();
        var first = new Dictionary<string, (string Verb, string Text)>();
        foreach (string verb in CommandTree.Make().Subcommands.Where(c => !c.Hidden).Select(c => c.Name))
        {
            foreach ((string name, string text) in Options(Run(verb, "--help-all")))
            {
                if (Own.ContainsKey((verb, name)))
                {
                    used.Add((verb, name));
                    continue;
                }

                string shown = Spaces().Replace(text.Replace(" (REQUIRED)", ""), " ");
                if (!first.TryAdd(name, (verb, shown))) Assert.True(first[name].Text == shown, $"{name} of {first[name].Verb} and of {verb}:\n{first[name].Text}\n{shown}");
            }
        }

        Assert.True(first.Count > 60);
        Assert.Equal(Own.Keys.Order(), used.Order());
    }

    private static string Run(string verb, string help)
    {
        using var output = new StringWriter();
        int code = CommandTree.Make().Parse(verb.Length == 0 ? [help] : [verb, help]).Invoke(new InvocationConfiguration { Output = output, EnableDefaultExceptionHandler = false });
        Assert.Equal(0, code);
        return output.ToString().ReplaceLineEndings("\n");
    }

    /// <summary>The options of a help with all that is said of each, by their long names.</summary>
    private static Dictionary<string, string> Options(string help) =>
        OptionText().Matches(help).ToDictionary(m => Names(m.Value).First(n => n.StartsWith("--", StringComparison.Ordinal)), m => m.Value.Trim());

    private static string[] Names(string text) => NamesPart().Match(text.Trim()).Value.Split(", ");

    [GeneratedRegex(@"^  -.*(?:\n {6,}\S.*)*", RegexOptions.Multiline)]
    private static partial Regex OptionText();

    [GeneratedRegex(@"^-[\w?-]+(?:, -[\w?-]+)*")]
    private static partial Regex NamesPart();

    [GeneratedRegex(@"'[^']*'|\S+")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
