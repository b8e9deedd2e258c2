using System.Diagnostics;

namespace EmScan.Engine.Running;

/// <summary>Runs a program of the user's when an alarm is raised, with the alarm as JSON on its standard input.</summary>
/// <remarks>No shell is involved: nothing in a run's name can become a command. Immutable, thread safe.</remarks>
/// <param name="words">The program and its arguments, as the user gave them.</param>
/// <param name="timeout">After this long the program and what it started are killed.</param>
internal sealed class AlarmCommand(IReadOnlyList<string> words, TimeSpan timeout)
{
    /// <summary>Runs the program to its end; its output goes to this process's standard error.</summary>
    /// <returns>Null when it ended with exit code 0, else a remark that says what happened.</returns>
    public async Task<Remark?> RunAsync(Alarm alarm, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        if (Program(words[0]) is not { } program)
            return new Remark("alarm-command-failed", $"{words[0]}: the alarm command cannot be started (no program of this name is on the PATH); give the path of a program.");
        var start = new ProcessStartInfo(program, words.Skip(1)) { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return new Remark("alarm-command-failed", $"{words[0]}: the alarm command cannot be started ({e.Message}); give the path of a program.");
        }

        using (process)
        using (var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
        {
            limit.CancelAfter(timeout);
            try
            {
                // The output must not mix with this process's own, which may be JSON for a pipe.
                Task drain = process.StandardOutput.BaseStream.CopyToAsync(Console.OpenStandardError(), limit.Token);
                await WriteInputAsync(process, alarm, limit.Token);
                await process.WaitForExitAsync(limit.Token);
                await drain;
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                cancellationToken.ThrowIfCancellationRequested();
                return new Remark("alarm-command-failed", $"{words[0]}: the alarm command did not end within {timeout.TotalSeconds:0} seconds and was killed.");
            }

            return process.ExitCode == 0 ? null
                : new Remark("alarm-command-failed", $"{words[0]}: the alarm command ended with exit code {process.ExitCode}.");
        }
    }

    /// <summary>A program as a shell finds it: a name without a folder on the PATH alone. .NET would look in emscan's own folder and in the working
    /// folder first, which may be one that others write to.</summary>
    private static string? Program(string word)
    {
        if (Path.GetFileName(word) != word) return word;
        string[] names = OperatingSystem.IsWindows() && !Path.HasExtension(word) ? [word + ".exe", word + ".com"] : [word];
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Where(Path.IsPathFullyQualified)
            .SelectMany(folder => names.Select(name => Path.Combine(folder, name))).FirstOrDefault(IsProgram);
    }

    private static bool IsProgram(string path)
    {
        const UnixFileMode AnyRun = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        return File.Exists(path) && (OperatingSystem.IsWindows() || (File.GetUnixFileMode(path) & AnyRun) != 0);
    }

    private static async Task WriteInputAsync(Process process, Alarm alarm, CancellationToken cancellationToken)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(alarm.ToJson(), cancellationToken);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // A program that does not read its input has closed it; its exit code says whether it was content.
        }
    }
}
