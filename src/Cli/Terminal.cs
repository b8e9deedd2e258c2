using System.Globalization;

namespace EmScan.Cli;

/// <summary>What the two output streams are connected to.</summary>
internal static class Terminal
{
    /// <summary>Below this many columns the table has its narrow layout: seven traits, an interval, a forecast and a verdict take 170.</summary>
    internal const int WideColumns = 172;

    private static bool IsDumb => Environment.GetEnvironmentVariable("TERM") is "dumb";

    /// <summary>Whether a line on stderr can be rewritten in place.</summary>
    internal static bool CanRewriteErrors => !Console.IsErrorRedirected && !IsDumb;

    /// <summary>Columns of stderr, for lines that must not wrap.</summary>
    internal static int ErrorColumns => Columns() ?? (Console.IsErrorRedirected ? int.MaxValue : Window() ?? 80);

    /// <summary>Columns that stdout has: COLUMNS if it is set, else the terminal's; null for files and pipes, which have no width.</summary>
    internal static int? OutputColumns => Columns() ?? (Console.IsOutputRedirected ? null : Window());

    private static int? Columns() =>
        int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int columns) && columns > 0 ? columns : null;

    private static int? Window()
    {
        try
        {
            return Console.WindowWidth is > 0 and var width ? width : null;
        }
        catch (IOException)
        {
            // A terminal that does not tell its size.
            return null;
        }
    }
}
