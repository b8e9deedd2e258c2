using System.Diagnostics;
using System.Globalization;

namespace EmScan.Engine.Running;

/// <summary>When a watch ends by itself.</summary>
public abstract record WatchEnd
{
    private WatchEnd() { }

    /// <summary>When a checkpoint of this step, or a later one, was scored.</summary>
    public sealed record AtStep(long Step) : WatchEnd;

    /// <summary>When a process has ended and what it left was scored.</summary>
    public sealed record ExitOf(int ProcessId) : WatchEnd
    {
        /// <summary>Whether the process still runs.</summary>
        public bool IsRunning
        {
            get
            {
                try
                {
                    using var process = Process.GetProcessById(ProcessId);
                    return !process.HasExited;
                }
                catch (ArgumentException)
                {
                    return false; // that is how .NET says that there is no such process
                }
            }
        }
    }

    /// <summary>When a file exists and what was there by then was scored.</summary>
    public sealed record FileExists(string Path) : WatchEnd;

    /// <summary>When nothing new has come for some time.</summary>
    public sealed record Idle(TimeSpan Time) : WatchEnd;

    /// <summary>Reads "N", "exit-of PID", "file PATH" or "idle DURATION" (90s, 30m, 2h); a colon may stand for the space.</summary>
    /// <exception cref="EmScanException">It is none of these.</exception>
    public static WatchEnd Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] words = text.Trim().Split([' ', ':'], 2, StringSplitOptions.TrimEntries);
        return words switch
        {
            [var step] when long.TryParse(step, NumberStyles.None, CultureInfo.InvariantCulture, out long n) => new AtStep(n),
            ["exit-of", var pid] when int.TryParse(pid, NumberStyles.None, CultureInfo.InvariantCulture, out int id) => new ExitOf(id),
            ["file", { Length: > 0 } path] => new FileExists(path),
            ["idle", var time] when ParseDuration(time) is { } duration => new Idle(duration),
            _ => throw new EmScanException($"'{text}' is not a step, 'exit-of PID', 'file PATH' or 'idle DURATION' (such as 90s, 30m or 2h)."),
        };
    }

    /// <summary>Reads a number and s, m or h; plain numbers are seconds. Null for anything else.</summary>
    public static TimeSpan? ParseDuration(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        (string digits, double unit) = text.Length == 0 ? ("", 0) : text[^1] switch { 's' => (text[..^1], 1.0), 'm' => (text[..^1], 60), 'h' => (text[..^1], 3600), _ => (text, 1) };
        return double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value * unit <= 1e9 ? TimeSpan.FromSeconds(value * unit) : null;
    }
}
