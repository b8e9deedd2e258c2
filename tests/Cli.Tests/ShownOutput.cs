using System.Globalization;
using System.Text.RegularExpressions;

namespace EmScan.Cli.Tests;

/// <summary>
/// Compares what a page shows with what is printed, word by word; where lines break is the page's. A line of dots stands for any words, and
/// notes are left out unless the page shows one. The machine, times and speeds are its own. Numbers may differ in their last digits from one processor to another; words, counts and steps may not.
/// </summary>
internal static partial class ShownOutput
{
    /// <summary>Units of the last digit, and share of the number, that processors may differ by: intervals and learners amplify what states differ by.</summary>
    private const double Units = 3.1, Share = 0.03;

    private static readonly char[] Around = ['(', ')', '[', ']', ',', '.', ':', ';', '%', '+'];

    internal static void AssertSame(string what, string[] shown, string[] printed)
    {
        string[] actual = Words(shown.Any(IsNote) ? printed : [.. printed.Where(l => !IsNote(l))]);
        int at = 0;
        bool anything = false;
        foreach (string[] part in Parts(shown))
        {
            // The first part is where the output begins; the others are searched behind it.
            int end = anything ? actual.Length - part.Length : at;
            int best = at, most = -1;
            for (int from = at; from <= end && most < part.Length; from++)
            {
                int same = part.Zip(actual.Skip(from)).TakeWhile(pair => IsSame(pair.First, pair.Second)).Count();
                if (same > most) (best, most) = (from, same);
            }

            Assert.True(most == part.Length, $"{what}\nshows   {Near(part, most)}\nprinted {Near(actual, best + Math.Max(most, 0))}\n\n{string.Join('\n', printed)}");
            at = best + part.Length;
            anything = true;
        }

        bool open = shown.Length > 0 && IsDots(shown[^1]);
        Assert.True(open || at == actual.Length, $"{what}\nshows nothing more, printed {Near(actual, at)}\n\n{string.Join('\n', printed)}");
    }

    /// <summary>The words about a place.</summary>
    private static string Near(string[] words, int at) => string.Join(' ', words.Skip(Math.Max(0, at - 8)).Take(16));

    private static IEnumerable<string[]> Parts(string[] shown)
    {
        for (int from = 0; from <= shown.Length;)
        {
            int end = Array.FindIndex(shown, from, IsDots);
            if (end < 0) end = shown.Length;
            yield return Words(shown[from..end]);
            from = end + 1;
        }
    }

    private static bool IsNote(string line) => line.StartsWith("emscan: note: ", StringComparison.Ordinal);

    private static bool IsDots(string line) => line.Trim() is ".." or "...";

    private static string[] Words(string[] lines) =>
        Time().Replace(string.Join(' ', lines.Where(l => !l.StartsWith("device ", StringComparison.Ordinal))), "TIME").Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static bool IsSame(string shown, string printed)
    {
        if (shown == printed) return true;
        string a = shown.Trim(Around), b = printed.Trim(Around);
        if (!double.TryParse(a, CultureInfo.InvariantCulture, out double expected) || !double.TryParse(b, CultureInfo.InvariantCulture, out double actual)) return false;
        int point = a.IndexOf('.', StringComparison.Ordinal);
        bool isPercent = shown.Contains('%', StringComparison.Ordinal);
        return (point >= 0 || isPercent) && Math.Abs(expected - actual) <= (Units * Math.Pow(10, point < 0 ? 0 : point + 1 - a.Length)) + (Share * Math.Abs(expected));
    }

    [GeneratedRegex(@"\b[\d.]+ s \(\d+ per minute\)|\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")]
    private static partial Regex Time();
}
