using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace EmScan.Engine.Formats;

/// <summary>SHA-256 of a model: of its file, or of the bytes of all parts of a split model one after another. Hashing gigabytes takes seconds, so the digest
/// is remembered by path, sizes and times of change.</summary>
internal static class ModelFingerprint
{
    /// <summary>Computes or recalls the digest.</summary>
    /// <param name="path">The model file; of a split model the first part.</param>
    /// <param name="cacheFolder">Where digests are remembered; created if missing.</param>
    /// <param name="cancellationToken">Ends the hashing.</param>
    /// <returns>64 hex digits.</returns>
    /// <exception cref="InputFileException">The file cannot be read.</exception>
    public static string Compute(string path, string cacheFolder, CancellationToken cancellationToken = default) => Compute(path, cacheFolder, null, cancellationToken);

    /// <summary>Computes or recalls the digest.</summary>
    /// <param name="path">The model file; of a split model the first part.</param>
    /// <param name="cacheFolder">Where digests are remembered; created if missing.</param>
    /// <param name="sharedBy">Names this process among those that share the cache and start together: one of them hashes, the others wait. Or null.</param>
    /// <param name="cancellationToken">Ends the hashing.</param>
    /// <returns>64 hex digits.</returns>
    /// <exception cref="InputFileException">The file cannot be read.</exception>
    internal static string Compute(string path, string cacheFolder, string? sharedBy, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(cacheFolder);
        string full = Path.GetFullPath(path);
        string memory = Path.Combine(cacheFolder, "models", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..32]);
        try
        {
            IReadOnlyList<string> parts = GgufFile.PartsOf(full);
            string stamp = string.Concat(parts.Select(Stamp));
            if (parts.Count > 1) stamp = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(stamp))) + " ";
            if (Recall() is { } recalled) return recalled;
            if (sharedBy == null) return Hashed();
            return SharedWork.Once(memory, sharedBy, Recall, () => Hashed(), null, cancellationToken);

            string? Recall() => new FileInfo(memory) is { Exists: true, Length: < 1024 } && !FileNature.IsSpecial(memory) && File.ReadAllText(memory) is { } known && known.StartsWith(stamp, StringComparison.Ordinal) && known.Length == stamp.Length + 64
                ? known[stamp.Length..]
                : null;

            string Hashed()
            {
                string digest = Hash(parts, cancellationToken);
                AtomicFile.Write(memory, file => file.Write(Encoding.UTF8.GetBytes(stamp + digest)));
                return digest;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, $"cannot be read ({e.Message})", e);
        }
    }

    private static string Stamp(string path)
    {
        var info = new FileInfo(path);
        return string.Create(CultureInfo.InvariantCulture, $"{info.Length} {info.LastWriteTimeUtc.Ticks} ");
    }

    private static string Hash(IReadOnlyList<string> parts, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[1 << 20];
        foreach (string part in parts)
        {
            using FileStream stream = new(part, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
            int read;
            while ((read = stream.Read(buffer)) > 0)
            {
                cancellationToken.ThrowIfCancellationRequested();
                hash.AppendData(buffer, 0, read);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
