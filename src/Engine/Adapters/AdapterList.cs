using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Paths of adapters as schedulers and <c>find</c> hand them on: a path itself, <c>@FILE</c> for the paths that a file lists, or <c>-</c> for
/// those on the standard input.
/// </summary>
internal static class AdapterList
{
    /// <summary>Stands for the paths on the standard input.</summary>
    internal const string StandardInput = "-";

    private const char ListMark = '@';
    private const int MaxBytes = 256 << 20;

    /// <summary>Replaces every list by the paths in it, in their order.</summary>
    /// <param name="given">Paths, <c>@FILE</c>, <c>-</c>. A path that begins with @ is given as <c>./@name</c>.</param>
    /// <param name="standardInput">Read to its end where <c>-</c> is given.</param>
    /// <returns>Paths, at least one.</returns>
    /// <exception cref="InputFileException">A list cannot be read, is no text, or names nothing; or the standard input is asked for twice.</exception>
    internal static IReadOnlyList<string> Expand(IReadOnlyList<string> given, TextReader standardInput)
    {
        var paths = new List<string>();
        bool read = false;
        foreach (string one in given)
        {
            if (one == StandardInput)
            {
                if (read) throw new InputFileException(one, "the standard input can be read once only; give - once.");
                read = true;
                paths.AddRange(Lines("the standard input", standardInput.ReadToEnd()));
            }
            else if (one.Length > 1 && one[0] == ListMark)
            {
                string file = one[1..];
                if (!File.Exists(file)) throw new InputFileException(file, $"there is no such list; {one} means the paths that the file lists, one a line. A path that begins with @ is given as ./{one}.");
                paths.AddRange(Lines(file, TextInput.Read(file, MaxBytes, "the paths, one a line,")));
            }
            else
            {
                paths.Add(one);
            }
        }

        return paths;
    }

    /// <summary>One path a line; or, as <c>find -print0</c> writes them, with a NUL behind each. Empty lines, and lines that begin with #, name nothing.</summary>
    private static string[] Lines(string source, string text)
    {
        string[] lines = text.Contains('\0', StringComparison.Ordinal)
            ? text.Split('\0', StringSplitOptions.RemoveEmptyEntries)
            : [.. text.Split('\n').Select(line => line.TrimEnd('\r')).Where(line => line.Trim().Length > 0 && line[0] != '#')];
        return lines.Length > 0 ? lines : throw new InputFileException(source, "names no path; one checkpoint, or folder of checkpoints, a line is expected.");
    }
}
