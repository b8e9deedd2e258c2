using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Measuring;

/// <summary>
/// The format of a store's file: records, one behind the other, each a frame of 64 bytes and a payload. Frame, little endian: "EMC1",
/// length of the payload (u32), key (32 bytes), place (u64), first 8 bytes of the payload's SHA-256, first 8 bytes of the SHA-256 of the
/// 56 bytes before. A frame whose last 8 bytes do not fit is no frame; reading goes on at the next one.
/// </summary>
internal static class CellFile
{
    internal const int FrameSize = 64;
    internal const uint Magic = 0x31434D45; // "EMC1"
    private const int BufferSize = 1 << 18, LargePayload = 1 << 13;

    /// <summary>Puts a record together.</summary>
    internal static byte[] Record(CellKey key, ulong place, ReadOnlySpan<byte> payload)
    {
        byte[] record = new byte[FrameSize + payload.Length];
        new CellFrame(key, place, (uint)payload.Length, Checksum(payload)).CopyTo(record);
        payload.CopyTo(record.AsSpan(FrameSize));
        return record;
    }

    /// <summary>A frame, or null when these 64 bytes are none.</summary>
    /// <param name="bytes">64 bytes.</param>
    /// <param name="verify">False where their checksum is covered by another.</param>
    internal static CellFrame? Frame(ReadOnlySpan<byte> bytes, bool verify = true) =>
        BinaryPrimitives.ReadUInt32LittleEndian(bytes) == Magic && (!verify || BinaryPrimitives.ReadUInt64LittleEndian(bytes[56..]) == Checksum(bytes[..56]))
            ? new CellFrame(
                new CellKey(bytes.Slice(8, CellKey.Size)), BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..]),
                BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[48..]))
            : null;

    /// <summary>Whether a file without a whole record can be one whose first record was cut off, as a killed writer or a power cut leaves it.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    internal static bool MayBegin(SafeFileHandle handle)
    {
        Span<byte> head = stackalloc byte[FrameSize], magic = stackalloc byte[sizeof(uint)];
        head = head[..RandomAccess.Read(handle, head, 0)];
        BinaryPrimitives.WriteUInt32LittleEndian(magic, Magic);
        return !head.ContainsAnyExcept((byte)0) || head[..Math.Min(head.Length, magic.Length)].SequenceEqual(magic[..Math.Min(head.Length, magic.Length)]);
    }

    /// <summary>The first 8 bytes of the SHA-256.</summary>
    internal static ulong Checksum(ReadOnlySpan<byte> bytes)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes, digest);
        return BinaryPrimitives.ReadUInt64LittleEndian(digest);
    }

    /// <summary>
    /// Walks over the records of a file from an offset. Payloads are not read, but for the last one, which a killed writer may have left
    /// unfinished.
    /// </summary>
    /// <param name="handle">The file.</param>
    /// <param name="start">Where a record begins.</param>
    /// <param name="found">Called for every whole record with the offset of its payload.</param>
    /// <returns>Where the next record belongs: behind the last whole one. And the number of places where something was damaged.</returns>
    /// <exception cref="IOException">The file cannot be read.</exception>
    internal static (long End, int Damaged) Scan(SafeFileHandle handle, long start, Action<CellFrame, long> found)
    {
        long length = RandomAccess.GetLength(handle), position = start, end = start;
        if (length - start < FrameSize) return (start, 0); // nothing new: who asks for every checkpoint should not pay for a buffer
        byte[] buffer = new byte[BufferSize];
        long bufferStart = 0;
        int buffered = 0, damaged = 0;
        bool lost = false;
        (CellFrame Frame, long Offset)? last = null;
        while (length - position >= FrameSize)
        {
            if (position < bufferStart || position + FrameSize > bufferStart + buffered)
            {
                // Many small records lie in a buffer; of large ones only the frames are worth reading.
                int wanted = last is { Frame.Length: > LargePayload } && !lost ? FrameSize : buffer.Length;
                bufferStart = position;
                buffered = RandomAccess.Read(handle, buffer.AsSpan(0, wanted), bufferStart);
                if (buffered < FrameSize) break;
            }

            if (Frame(buffer.AsSpan((int)(position - bufferStart), FrameSize)) is { } frame && position + FrameSize + frame.Length <= length)
            {
                if (last is { } whole) found(whole.Frame, whole.Offset);
                last = (frame, position + FrameSize);
                position += FrameSize + frame.Length;
                lost = false;
            }
            else
            {
                // Whatever lies here is no record: look for the next one.
                if (!lost) damaged++;
                lost = true;
                position++;
            }
        }

        if (last is { } final)
        {
            byte[] payload = new byte[final.Frame.Length];
            if (RandomAccess.Read(handle, payload, final.Offset) == payload.Length && Checksum(payload) == final.Frame.PayloadChecksum)
            {
                found(final.Frame, final.Offset);
                end = final.Offset + final.Frame.Length;
            }
            else
            {
                damaged++;
                end = final.Offset - FrameSize;
            }
        }

        // A torn tail is no damage: its writer was killed, and its cell is measured again.
        if (lost) damaged--;
        return (end, damaged);
    }
}

/// <summary>What stands before a payload.</summary>
/// <param name="Key">The cell.</param>
/// <param name="Place">The cell without its adapters' contents.</param>
/// <param name="Length">Bytes of the payload.</param>
/// <param name="PayloadChecksum">First 8 bytes of its SHA-256.</param>
internal readonly record struct CellFrame(CellKey Key, ulong Place, uint Length, ulong PayloadChecksum)
{
    /// <summary>Writes the frame's 64 bytes.</summary>
    internal void CopyTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, CellFile.Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Length);
        Key.CopyTo(bytes.Slice(8, CellKey.Size));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[40..], Place);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[48..], PayloadChecksum);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[56..], CellFile.Checksum(bytes[..56]));
    }
}
