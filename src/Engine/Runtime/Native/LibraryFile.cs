namespace EmScan.Engine.Runtime.Native;

/// <summary>How shared libraries are called on this platform.</summary>
internal static class LibraryFile
{
    private static readonly (string Prefix, string Extension) Form =
        OperatingSystem.IsWindows() ? ("", ".dll") : OperatingSystem.IsMacOS() ? ("lib", ".dylib") : ("lib", ".so");

    /// <summary>The plain file name, <c>libllama.so</c> for llama on Linux.</summary>
    internal static string Name(string library) => Form.Prefix + library + Form.Extension;

    /// <summary>True for libllama.so, libllama.so.0 and libllama.v0.5.0.so; false for libllama-common.so, and for libggml-cpu.so where ggml is asked for.</summary>
    internal static bool Is(string? file, string library) => Is(file, library, Form.Prefix, Form.Extension);

    internal static bool Is(string? file, string library, string prefix, string extension)
    {
        string stem = prefix + library;
        return file != null && file.StartsWith(stem + ".", StringComparison.OrdinalIgnoreCase)
            && (file.EndsWith(extension, StringComparison.OrdinalIgnoreCase) || file.Contains(extension + ".", StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>The library's file in a folder, the plainest name first; null where there is none.</summary>
    internal static string? FindIn(string folder, string library) => Directory.EnumerateFiles(folder)
        .Where(file => Is(Path.GetFileName(file), library))
        .OrderBy(file => Path.GetFileName(file).Length)
        .ThenBy(file => file, StringComparer.Ordinal)
        .FirstOrDefault();
}
