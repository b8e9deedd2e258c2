using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Runtime;

/// <summary>
/// A file for a library that reads only files: in memory where the system can give memory a path (Linux), else in the temporary folder.
/// Gone when disposed.
/// </summary>
internal sealed unsafe class MemoryFile : IDisposable
{
    private readonly FileStream _stream;
    private readonly bool _onDisk;

    private MemoryFile(FileStream stream, string path, bool onDisk)
    {
        _stream = stream;
        Path = path;
        _onDisk = onDisk;
    }

    /// <summary>What to open. In use by this process only.</summary>
    internal string Path { get; }

    /// <summary>Makes the file and writes it.</summary>
    /// <param name="content">Writes it.</param>
    /// <param name="allowMemory">False forces the temporary folder.</param>
    /// <exception cref="EmScanException">It can be written neither in memory nor in the temporary folder.</exception>
    internal static MemoryFile Write(Action<Stream> content, bool allowMemory = true)
    {
        MemoryFile file = (allowMemory ? InMemory() : null) ?? OnDisk();
        try
        {
            content(file._stream);
            file._stream.Flush();
            return file;
        }
        catch (IOException e)
        {
            file.Dispose();
            throw new EmScanException($"{file.Path}: cannot write the adapter for llama.cpp ({e.Message}); free some {(file._onDisk ? "space, or point TMPDIR elsewhere" : "memory")}.", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static MemoryFile? InMemory()
    {
        if (!OperatingSystem.IsLinux()) return null;
        int descriptor;
        fixed (byte* name = "emscan-adapter\0"u8)
            descriptor = memfd_create(name, 1); // MFD_CLOEXEC
        if (descriptor < 0) return null;
        var handle = new SafeFileHandle(descriptor, ownsHandle: true);

        // A container may come without /proc.
        string path = $"/proc/self/fd/{descriptor}";
        if (File.Exists(path)) return new MemoryFile(new FileStream(handle, FileAccess.Write, 1 << 16), path, onDisk: false);
        handle.Dispose();
        return null;
    }

    private static MemoryFile OnDisk()
    {
        string path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"emscan-{Guid.NewGuid():N}.gguf");
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Read, BufferSize = 1 << 16 };

            // Others can look into the temporary folder; the weights are nobody's but the user's.
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            return new MemoryFile(new FileStream(path, options), path, onDisk: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EmScanException($"{path}: cannot make the temporary file for an adapter ({e.Message}); point TMPDIR to a folder that can be written.", e);
        }
    }

    public void Dispose()
    {
        _stream.Dispose();
        if (_onDisk) File.Delete(Path);
    }

    [DllImport("libc", SetLastError = false)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int memfd_create(byte* name, uint flags);
}
