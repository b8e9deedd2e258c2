using System.Buffers;
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

    // What a shell would have replaced.
    private static readonly SearchValues<char> ForShells = SearchValues.Create("*?~$\"'");

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
    private static List<string> Lines(string source, string text)
    {
        bool lines = !text.Contains('\0', StringComparison.Ordinal);
        var paths = new List<string>();
        int number = 0;
        foreach (string entry in text.Split(lines ? '\n' : '\0'))
        {
            number++;
            string path = lines ? entry.TrimEnd('\r') : entry;
            if (lines ? path.AsSpan().Trim() is [] or ['#', ..] : path.Length == 0) continue;

            // Blanks at the end may belong to the name; mostly somebody's editor left them.
            if (lines && !Path.Exists(path) && Path.Exists(path.Trim())) path = path.Trim();
            if (!Path.Exists(path) && new FileInfo(path).LinkTarget == null)
            {
                string of = lines ? $"line {number}" : $"entry {number}";
                string hint = path.AsSpan().ContainsAny(ForShells) ? "; in a list nothing is replaced: no patterns, no ~, no variables, no quotes" : "; relative paths start from the working directory";
                throw new InputFileException(source, $"{of} names {InputFile.OneLine(path)}, which does not exist{hint}.");
            }

            paths.Add(path);
        }

        return paths.Count > 0 ? paths : throw new InputFileException(source, "names no path; one checkpoint, or folder of checkpoints, a line is expected.");
    }
}
