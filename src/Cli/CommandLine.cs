using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;
using EmScan.Engine;

namespace EmScan.Cli;

/// <summary>From arguments to the work: help in every usual form, and one sentence for what is wrong with a command line.</summary>
internal static class CommandLine
{
    private static readonly TimeSpan UntilKilled = TimeSpan.FromMinutes(5);

    // "@list.txt" is a list of adapters here, not a file of arguments.
    private static readonly ParserConfiguration Parsing = new() { ResponseFileTokenReplacer = null };

    internal static async Task<int> RunAsync(RootCommand root, string[] args)
    {
        if (args.Contains("")) throw new UsageException("one of the arguments is empty; is a variable unset?");
        args = args switch
        {
            [] or ["help"] => ["--help"],
            ["help", var verb, ..] when verb[0] != '-' => [verb, "--help"],
            _ => args,
        };
        // What the scripts of 'emscan completion' ask: which words can follow.
        if (args[0].StartsWith("[suggest", StringComparison.Ordinal)) return await root.Parse(args, Parsing).InvokeAsync();

        Command? command = root.Subcommands.FirstOrDefault(c => c.Name == args[0]);
        if (command == null && args[0][0] != '-') throw new UsageException(NoSuchCommand(root, args[0]));

        ParseResult parsed = root.Parse(args, Parsing);
        if (parsed.Errors.Count > 0 && !args.Contains("--help"))
        {
            foreach (string message in parsed.Errors.Select(Sentence).Distinct()) Runner.Error(message);
            Runner.WriteError($"Run 'emscan {(command is null or { Hidden: true } ? "scan" : command.Name)} --help' for the options.{Environment.NewLine}");
            return ExitCode.Usage;
        }

        return await parsed.InvokeAsync(Invocation());
    }

    /// <summary>What is wrong, in one line that names the option: the library lists choices line by line, and says of no option that it is meant.</summary>
    private static string Sentence(ParseError error)
    {
        string[] lines = error.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (lines.Length < 2) return error.Message;
        if (error.SymbolResult is ArgumentResult { Parent: CommandResult } argument)
            return $"the {argument.Argument.Name} must be {string.Join(" or ", lines[1..].Select(line => line.Trim('\'')))}, not {string.Join(' ', argument.Tokens.Select(t => t.Value))}.";
        if ((error.SymbolResult as OptionResult ?? error.SymbolResult?.Parent as OptionResult) is not { } result) return error.Message;
        return $"{result.Option.Name} must be {string.Join(" or ", lines[1..].Select(line => line.Trim('\'')))}, not {string.Join(' ', result.Tokens.Select(t => t.Value))}.";
    }

    /// <summary>Runs a command line that this program has put together itself.</summary>
    internal static Task<int> InvokeAsync(RootCommand root, IReadOnlyList<string> args, CancellationToken cancellationToken)
    {
        ParseResult parsed = root.Parse(args, Parsing);
        return parsed.Errors.Count > 0 ? throw new UsageException(parsed.Errors[0].Message) : parsed.InvokeAsync(Invocation(), cancellationToken);
    }

    private static InvocationConfiguration Invocation() => new() { ProcessTerminationTimeout = UntilKilled, EnableDefaultExceptionHandler = false };

    /// <summary>Listed in the help; <see cref="RunAsync"/> turns it into --help of the verb.</summary>
    internal static Command HelpCommand() => new("help", "Show the options of a command: emscan help scan.") { new Argument<string?>("command") { Arity = ArgumentArity.ZeroOrOne } };

    /// <summary>Takes numbers of a range only, and says the range in the help and in its complaint.</summary>
    internal static Option<T> Within<T>(this Option<T> option, T low, T high) where T : struct, INumber<T> =>
        Bounded(option, low, high, result => result.Tokens is [var token] ? Parse(token.Value, low, high) : null);

    /// <summary>The same for an option that may be absent or given several times.</summary>
    internal static Option<T?> Within<T>(this Option<T?> option, T low, T high) where T : struct, INumber<T> =>
        Bounded(option, low, high, result => result.Tokens is [var token] ? Parse(token.Value, low, high) : null);

    /// <summary>The same for an option that may be absent or given several times.</summary>
    internal static Option<T[]> Within<T>(this Option<T[]> option, T low, T high) where T : struct, INumber<T> =>
        Bounded(option, low, high, result => result.Tokens.All(t => Parse(t.Value, low, high) != null) ? (T[]?)[.. result.Tokens.Select(t => Parse(t.Value, low, high)!.Value)] : null);

    /// <summary>Takes what a parser of the engine takes, and says in its words what is wrong with the rest.</summary>
    internal static Option<T> Checked<T>(this Option<T> option, Action<string> check)
    {
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
            {
                try
                {
                    check(token.Value);
                }
                catch (EmScanException e)
                {
                    result.AddError($"{option.Name}: {e.Message}");
                }
            }
        });
        return option;
    }

    private static Option<TValue> Bounded<TValue, T>(Option<TValue> option, T low, T high, Func<System.CommandLine.Parsing.ArgumentResult, object?> parse) where T : struct, INumber<T>
    {
        string range = string.Create(CultureInfo.InvariantCulture, $"{low} to {high}");
        option.Description = $"{option.Description} Range: {range}.";
        option.CustomParser = result =>
        {
            if (parse(result) is TValue value) return value;
            string given = string.Join(", ", result.Tokens.Select(t => t.Value));
            result.AddError($"{option.Name} must be {(typeof(T) == typeof(int) ? "a whole number" : "a number")} from {range}, not {Printable.Of(given)}.");
            return default!;
        };
        return option;
    }

    private static T? Parse<T>(string text, T low, T high) where T : struct, INumber<T> =>
        T.TryParse(text, NumberStyles.Float & ~NumberStyles.AllowTrailingWhite & ~NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out T value) && value >= low && value <= high ? value : null;

    private static string NoSuchCommand(RootCommand root, string given)
    {
        string commands = string.Join(", ", root.Subcommands.Where(c => !c.Hidden).Select(c => c.Name));
        string hint = File.Exists(given) || Directory.Exists(given) ? "; a model is given with --model, adapters with --adapters" : "";
        return $"there is no command '{given}'{hint}; the commands are {commands}.";
    }
}
