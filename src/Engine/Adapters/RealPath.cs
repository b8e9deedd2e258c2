namespace EmScan.Engine.Adapters;

/// <summary>The place that a path means once every link on the way is followed.</summary>
internal static class RealPath
{
    private const int MaxLinks = 40;

    /// <summary>Follows every link.</summary>
    /// <returns>Null when a link leads nowhere or round in a circle.</returns>
    internal static string? Of(string path)
    {
        string root = Path.GetPathRoot(Path.GetFullPath(path))!;
        var parts = new Stack<string>(Path.GetFullPath(path)[root.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Reverse());
        string real = root;
        int links = 0;
        while (parts.TryPop(out string? part))
        {
            if (part == ".") continue;
            if (part == "..")
            {
                real = Path.GetDirectoryName(real) ?? root;
                continue;
            }

            string next = Path.Combine(real, part);
            string? target;
            try
            {
                target = new FileInfo(next).LinkTarget;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                target = null;
            }

            if (target == null)
            {
                real = next;
                continue;
            }

            if (++links > MaxLinks) return null;
            if (Path.IsPathRooted(target)) real = Path.GetPathRoot(target)!;
            foreach (string step in target[(Path.IsPathRooted(target) ? real.Length : 0)..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Reverse())
                parts.Push(step);
        }

        return Path.Exists(real) ? real : null;
    }

    /// <summary>Whether a real path is a folder or lies in it.</summary>
    internal static bool IsWithin(string path, string folder) =>
        path == folder || path.StartsWith(Path.EndsInDirectorySeparator(folder) ? folder : folder + Path.DirectorySeparatorChar, StringComparison.Ordinal);
}
