using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace EmScan.Engine.Measuring;

/// <summary>Names a cell: SHA-256 over everything that its numbers depend on.</summary>
internal readonly record struct CellKey
{
    /// <summary>Bytes in a key.</summary>
    public const int Size = 32;

    private readonly ulong _a;
    private readonly ulong _b;
    private readonly ulong _c;
    private readonly ulong _d;

    /// <summary>Takes a digest.</summary>
    /// <param name="digest">32 bytes.</param>
    /// <exception cref="ArgumentException">There are more or fewer.</exception>
    public CellKey(ReadOnlySpan<byte> digest)
    {
        if (digest.Length != Size) throw new ArgumentException($"A key has {Size} bytes, not {digest.Length}.", nameof(digest));
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(digest);
        (_a, _b, _c, _d) = (words[0], words[1], words[2], words[3]);
    }

    /// <summary>The key of a text.</summary>
    internal static CellKey Of(string text) => new(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>The first 8 bytes, for places where a collision costs a remark and no number.</summary>
    internal ulong Short => _a;

    /// <summary>Writes the digest.</summary>
    internal void CopyTo(Span<byte> digest)
    {
        Span<ulong> words = stackalloc ulong[4] { _a, _b, _c, _d };
        MemoryMarshal.AsBytes(words).CopyTo(digest);
    }

    /// <summary>64 hex digits.</summary>
    public override string ToString()
    {
        Span<byte> digest = stackalloc byte[Size];
        CopyTo(digest);
        return Convert.ToHexStringLower(digest);
    }
}
