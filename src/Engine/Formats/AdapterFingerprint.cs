using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Formats;

/// <summary>Names an adapter by its content, so that what was measured of a file that was replaced is not taken for the new one's.</summary>
internal static class AdapterFingerprint
{
    /// <summary>
    /// SHA-256, in lower-case hexadecimal, over name, length and bytes of each file that decides the adapter's effect: configuration and
    /// weights of a PEFT folder, or the one GGUF file (whose name does not count).
    /// </summary>
    /// <exception cref="InputFileException">A file is missing or cannot be read.</exception>
    public static string Compute(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (AdapterReader.PeftFolder(path) is { } folder)
        {
            PeftAdapterReader.RequireFiles(folder);
            foreach (string name in (string[])[PeftAdapterReader.ConfigName, PeftAdapterReader.WeightsName])
                Append(hash, name, Path.Combine(folder, name));
        }
        else
        {
            Append(hash, "lora.gguf", path);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static void Append(IncrementalHash hash, string name, string path)
    {
        // An adapter of rank 1024 on every weight of a model of 400B parameters has half of that. A file without content can have any size.
        const long Largest = 256L << 30;
        using SafeFileHandle handle = InputFile.Open(path, out long length);
        if (length > Largest) throw new InputFileException(path, $"has {length} bytes, more than an adapter of low rank can have; it is damaged, or something else");
        Span<byte> lengthBytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(lengthBytes, length);
        hash.AppendData(Encoding.UTF8.GetBytes(name + "\0"));
        hash.AppendData(lengthBytes);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(1 << 17);
        for (long offset = 0; offset < length;)
        {
            Span<byte> chunk = buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - offset));
            InputFile.ReadExactly(handle, path, chunk, offset);
            hash.AppendData(chunk);
            offset += chunk.Length;
        }

        ArrayPool<byte>.Shared.Return(buffer);
    }
}
