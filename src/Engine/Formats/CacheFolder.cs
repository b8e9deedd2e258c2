namespace EmScan.Engine.Formats;

/// <summary>Where emscan keeps what it can compute again: trait directions, digests, the record of scans without an output folder.</summary>
internal static class CacheFolder
{
    /// <summary>Environment variable that moves the cache.</summary>
    public const string Variable = "EMSCAN_CACHE";

    private static readonly Lazy<(string Folder, Remark? Remark)> Users = new(Choose);

    /// <summary>The folder that <see cref="Variable"/> names; null when it names none.</summary>
    public static string? Asked => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen ? Path.GetFullPath(chosen) : null;

    /// <summary>
    /// The user's cache: <see cref="Variable"/>, else XDG_CACHE_HOME/emscan or the platform's equivalent, else, where that cannot be
    /// written, a folder in the temporary folder.
    /// </summary>
    public static string Default => Asked ?? Users.Value.Folder;

    /// <summary>Says that <see cref="Default"/> is in the temporary folder, and why; null when it is where it belongs.</summary>
    public static Remark? Remark => Asked == null ? Users.Value.Remark : null;

    /// <summary>Where the cache is unless that cannot be written; nothing is looked at or made.</summary>
    public static string Usual => Asked ?? Path.GetFullPath(Path.Combine(Parent.Length == 0 ? Path.GetTempPath() : Parent, "emscan"));

    private static string Home => Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify);

    private static string? Xdg => Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg : null;

    private static string Parent => Xdg
        ?? (OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : OperatingSystem.IsMacOS() ? Path.Combine(Home, "Library", "Caches")
            : Path.Combine(Home, ".cache"));

    private static (string, Remark?) Choose()
    {
        // A home that is not there is a mistake of whoever set HOME (a container, a service), and is not made here.
        string folder = Usual;
        string because = $"the home folder {Home} does not exist";
        if (Xdg != null || OperatingSystem.IsWindows() || Directory.Exists(Home))
        {
            if (OutputPath.IsWritable(folder, out string reason)) return (folder, null);
            because = $"{folder} cannot be written ({reason})";
        }

        string makeshift = Makeshift();
        return (makeshift, new Remark("cache-in-temporary-folder", $"{because}: what can be computed again is kept in {makeshift}; set HOME or {Variable} to a folder that lasts"));
    }

    // Others may write to the temporary folder too: only a folder that nobody else can write to is trusted.
    private static string Makeshift()
    {
        string folder = Path.Combine(Path.GetTempPath(), $"emscan-{Environment.UserName}");
        if (OperatingSystem.IsWindows()) return folder;
        const UnixFileMode Mine = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        try
        {
            // Anybody may have made it, or a link of its name, before: root, whom no mode keeps out, and who meets a link take another one.
            if (!Environment.IsPrivilegedProcess) Directory.CreateDirectory(folder, Mine);
            if (!Environment.IsPrivilegedProcess && new DirectoryInfo(folder).LinkTarget == null && (File.GetUnixFileMode(folder) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0 && OutputPath.IsWritable(folder, out _)) return folder;
        }
        catch (Exception failure) when (InputFile.IsReadFailure(failure))
        {
            // Somebody else's, or no folder: one of our own takes its place, for this time only.
            _ = failure;
        }

        return Directory.CreateTempSubdirectory("emscan-").FullName;
    }
}
