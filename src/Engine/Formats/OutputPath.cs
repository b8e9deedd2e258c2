namespace EmScan.Engine.Formats;

/// <summary>Checks a path that will be written before the work begins, so that no result is lost on it.</summary>
internal static class OutputPath
{
    // Formats that a reader would expect under these names; nothing here writes them but for the one that is asked for.
    private static readonly string[] Known =
        [".safetensors", ".json", ".html", ".npz", ".npy", ".pt", ".pth", ".bin", ".pkl", ".gguf", ".yaml", ".yml", ".csv", ".zip", ".txt", ".jinja"];

    /// <summary>Checks a file that will be written.</summary>
    /// <param name="path">The file; its folders are made where they are missing.</param>
    /// <param name="extension">The format that will be written: ".safetensors", ".json", ".html".</param>
    /// <exception cref="InputFileException">It is a folder, an address, has the extension of another format, or cannot be written.</exception>
    public static void RequireFile(string path, string extension)
    {
        ArgumentNullException.ThrowIfNull(path);
        RequireLocal(path);
        string given = Path.GetExtension(path);
        if (!given.Equals(extension, StringComparison.OrdinalIgnoreCase) && Known.Contains(given, StringComparer.OrdinalIgnoreCase))
            throw new InputFileException(path, $"will not be written: the format is {extension[1..]}, and {given} is the name of another; name it {InputFile.OneLine(Path.ChangeExtension(Path.GetFileName(path), extension))}");
        if (Directory.Exists(path) || path.EndsWith(Path.DirectorySeparatorChar)) throw new InputFileException(path, "is a folder; give the name of the file to write");
        if (!IsWritable(Path.GetDirectoryName(Path.GetFullPath(path)) ?? ".", out string reason)) throw new InputFileException(path, $"cannot be written ({reason})");
    }

    /// <summary>Checks a folder that will be written to; it is made where it is missing.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="setting">What named it, for the sentence; null when the path says enough.</param>
    /// <exception cref="InputFileException">It is a file, an address, or cannot be written.</exception>
    public static void RequireFolder(string path, string? setting = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        string other = setting == null ? "give a folder to write to" : $"give another folder with {setting}";
        RequireLocal(path);
        if (File.Exists(path)) throw new InputFileException(path, $"is a file; {other}");
        if (!IsWritable(path, out string reason)) throw new InputFileException(path, $"cannot be written ({reason}); {other}");
    }

    /// <summary>Whether files can be made in a folder; it is made where it is missing.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="reason">Why not, without the path.</param>
    public static bool IsWritable(string folder, out string reason)
    {
        reason = "";
        try
        {
            Directory.CreateDirectory(folder);
            using var probe = new FileStream(
                Path.Combine(folder, $".emscan-{Guid.NewGuid():N}.tmp"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            return true;
        }
        catch (Exception failure) when (InputFile.IsReadFailure(failure))
        {
            reason = failure is UnauthorizedAccessException ? "permission denied"
                : File.Exists(folder) ? "it is a file" : InputFile.OneLine(failure.Message);
            return false;
        }
    }

    private static void RequireLocal(string path)
    {
        if (path is "~" || path.StartsWith("~/", StringComparison.Ordinal) || path.Contains("://", StringComparison.Ordinal) || path.StartsWith("file:", StringComparison.Ordinal))
            throw new InputFileException(path, $"cannot be written: it {InputUse.Missing(path)}");
    }
}
