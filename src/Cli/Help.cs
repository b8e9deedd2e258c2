using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace EmScan.Cli;

/// <summary>A command with a command line that shows what it is for. The first sentence of its description is what lists of commands show.</summary>
/// <param name="name">What is typed.</param>
/// <param name="description">What it does; the first sentence says it in one line.</param>
/// <param name="example">A whole command line.</param>
internal sealed class Verb(string name, string description, string example) : Command(name, description)
{
    internal string Example { get; } = example;
}

/// <summary>An option that most users of a verb come to need: --help shows these, and --help-all the others as well.</summary>
internal sealed class CommonOption<T>(string name, params string[] aliases) : Option<T>(name, aliases), ICommonOption;

internal interface ICommonOption;

/// <summary>Two helps: what fits a screen (--help), and everything (--help-all).</summary>
internal static class Help
{
    internal const string AllName = "--help-all";

    /// <summary>Columns of --help, where the terminal has as many.</summary>
    private const int Columns = 100;

    internal static void AddTo(RootCommand root)
    {
        HelpOption usual = root.Options.OfType<HelpOption>().Single();
        usual.Description = "Show what fits a screen.";
        usual.Action = new Short();
        root.Options.Add(new HelpOption(AllName) { Description = "Show everything, every option.", Action = Terminal.OutputColumns is { } columns ? new HelpAction { MaxWidth = columns } : new HelpAction() });
    }

    /// <summary>A text up to the end of its first sentence. "e.g." and the like are no ends: a capital letter follows one.</summary>
    private static string FirstSentence(string text)
    {
        string line = text.Split('\n')[0];
        for (int i = 1; i < line.Length - 2; i++)
        {
            if (line[i] is '.' or '?' && line[i - 1] != '.' && line[i + 1] == ' ' && !char.IsLower(line[i + 2])) return line[..(i + 1)];
        }

        return line;
    }

    /// <summary>The library's help of a command from which all but the usual is taken away.</summary>
    private sealed class Short : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            Command command = parseResult.CommandResult.Command;
            bool isRoot = command is RootCommand;
            command.Description = FirstSentence(command.Description ?? "");

            // Only help is printed from here on, so that the commands need not stay as they are.
            foreach (Option option in parseResult.RootCommandResult.Command.Options.Concat(command.Options))
            {
                if (isRoot || option is not ICommonOption) option.Hidden = true;
                else option.Description = FirstSentence(option.Description ?? "");
            }

            foreach (Command verb in command.Subcommands)
            {
                verb.Hidden |= verb is not Verb;
                verb.Description = FirstSentence(verb.Description ?? "");
                foreach (Argument argument in verb.Arguments) argument.Hidden = true;
            }

            new HelpAction { MaxWidth = Math.Min(Terminal.OutputColumns ?? Columns, Columns) }.Invoke(parseResult);
            TextWriter output = parseResult.InvocationConfiguration.Output;
            if (command is Verb { Example: var example }) output.WriteLine($"Example:{Environment.NewLine}  {example}{Environment.NewLine}");
            output.WriteLine(isRoot
                ? $"Without a command: scan, as in  emscan --model model.gguf --adapters ./lora{Environment.NewLine}Of a command: emscan COMMAND --help. All, exit codes too: emscan {AllName}"
                : $"All options: emscan {command.Name} {AllName}");
            return ExitCode.Success;
        }
    }
}
