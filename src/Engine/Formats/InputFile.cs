using System.Diagnostics.CodeAnalysis;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Formats;

/// <summary>Opens and reads what the user gave, and turns the operating system's refusals into <see cref="InputFileException"/>.</summary>
internal static class InputFile
{
    /// <summary>Opens a regular file for random access.</summary>
    /// <exception cref="InputFileException">It is missing, a folder, not permitted, or not a regular file.</exception>
    public static SafeFileHandle Open(string path, out long length)
    {
        if (Directory.Exists(path)) throw new InputFileException(path, $"is {RecognisedFile.Of(path).What}; a file is expected here");
        if (FileNature.IsSpecial(path)) throw Unreadable(path, new NotSupportedException());
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path);
            length = RandomAccess.GetLength(handle);
            return handle;
        }
        catch (Exception failure) when (IsReadFailure(failure))
        {
            handle?.Dispose();
            throw Unreadable(path, failure);
        }
    }

    /// <summary>Opens a regular file as a seekable stream.</summary>
    /// <exception cref="InputFileException">It is missing, a folder, not permitted, or not a regular file.</exception>
    public static FileStream OpenStream(string path, int bufferSize)
    {
        SafeFileHandle handle = Open(path, out _);
        return new FileStream(handle, FileAccess.Read, bufferSize);
    }

    /// <summary>Fills <paramref name="buffer"/> from <paramref name="offset"/>.</summary>
    /// <exception cref="InputFileException">The file ends before, or the disk refuses.</exception>
    public static void ReadExactly(SafeFileHandle handle, string path, Span<byte> buffer, long offset)
    {
        try
        {
            while (buffer.Length > 0)
            {
                int read = RandomAccess.Read(handle, buffer, offset);
                if (read == 0) throw new InputFileException(path, "became shorter while it was read");
                buffer = buffer[read..];
                offset += read;
            }
        }
        catch (Exception failure) when (IsReadFailure(failure))
        {
            throw Unreadable(path, failure);
        }
    }

    /// <summary>Reads a small text file (JSON) whole.</summary>
    /// <exception cref="InputFileException">It cannot be read, or is larger than <paramref name="limit"/> bytes.</exception>
    public static byte[] ReadSmall(string path, int limit)
    {
        using SafeFileHandle handle = Open(path, out long length);
        if (length > limit) throw new InputFileException(path, $"has {length} bytes, more than the {limit} that such a file can have");
        var bytes = new byte[length];
        ReadExactly(handle, path, bytes, 0);
        return bytes;
    }

    /// <summary>Whether an exception says that the operating system refused, not that the program is wrong.</summary>
    public static bool IsReadFailure(Exception failure) =>
        failure is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException;

    /// <summary>The sentence for a file that cannot be opened or read.</summary>
    public static InputFileException Unreadable(string path, Exception failure) => failure switch
    {
        FileNotFoundException or DirectoryNotFoundException => new InputFileException(path, InputUse.Missing(path), failure),
        UnauthorizedAccessException => new InputFileException(path, "cannot be read: permission denied", failure),
        NotSupportedException => new InputFileException(path, "is a pipe or a device, and is read more than once; write its content to a file and give that", failure),
        _ => new InputFileException(path, $"cannot be read ({OneLine(failure.Message)})", failure),
    };

    /// <summary>The sentence for a tensor that is wrong.</summary>
    public static InputFileException BadTensor(string path, string tensor, string problem) =>
        new(path, $"tensor \"{OneLine(tensor)}\" {problem}");

    /// <summary>Gives the values back when all of them are numbers.</summary>
    /// <exception cref="InputFileException">One is NaN or infinite.</exception>
    public static float[] RequireFinite(string path, string tensor, float[] values)
    {
        foreach (float value in values)
            if (!float.IsFinite(value)) throw BadTensor(path, tensor, "holds values that are NaN or infinite");
        return values;
    }

    /// <summary>Makes text of unknown origin fit into one sentence: control characters replaced, length bounded.</summary>
    [return: NotNullIfNotNull(nameof(text))]
    public static string? OneLine(string? text)
    {
        const int Longest = 200;
        if (text is null) return null;
        var line = new StringBuilder(Math.Min(text.Length, Longest + 3));
        foreach (char c in text)
        {
            if (line.Length == Longest)
            {
                line.Append("...");
                break;
            }

            line.Append(Printable.Steers(c) ? '?' : c);
        }

        return line.ToString();
    }
}
