using System.CommandLine;

namespace EmScan.Cli;

/// <summary><c>emscan completion</c>: scripts that let a shell complete verbs, options and values.</summary>
internal sealed class CompletionCommand
{
    // What can follow is asked of the program itself ([suggest:POSITION] LINE); where it knows nothing, the shell offers files.
    private const string Bash = """
        _emscan() {
          local IFS=$'\n' word="${COMP_WORDS[COMP_CWORD]}"
          COMPREPLY=($(compgen -W "$(emscan "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "$word"))
        }
        complete -o default -o bashdefault -F _emscan emscan
        """;

    private const string Zsh = """
        #compdef emscan
        _emscan() {
          local -a candidates
          candidates=("${(@f)$(emscan "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
          candidates=(${candidates:#})
          if (( ${#candidates} )); then compadd -- $candidates; fi
          _files
        }
        compdef _emscan emscan
        """;

    private const string Fish = """
        complete -c emscan -a '(emscan "[suggest:"(string length -- (commandline -cp))"]" (commandline -cp) 2>/dev/null)'
        """;

    private readonly Argument<string> _shell = new("shell") { Description = "bash, zsh or fish." };

    internal Command ToCommand()
    {
        _shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "A script that lets a shell complete commands and options; bash: source <(emscan completion bash); zsh: the same with zsh; fish: emscan completion fish | source.");
        command.Arguments.Add(_shell);
        command.SetAction((parsed, _) => Runner.Run(() =>
        {
            Console.Out.WriteLine(parsed.GetValue(_shell) switch { "bash" => Bash, "zsh" => Zsh, _ => Fish });
            return Task.FromResult(ExitCode.Success);
        }));
        return command;
    }
}
