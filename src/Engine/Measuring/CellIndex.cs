using System.Buffers.Binary;
using EmScan.Engine.Formats;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Measuring;

/// <summary>
/// What lies where in a large store file, in a file beside it: a million records are known after reading 80 MB instead of one frame from each of a
/// million places. It can be lost or be behind at any time; what it does not say is read from the records themselves.
/// </summary>
/// <remarks>
/// Entries of 80 bytes: a record's frame, the offset of its payload (u64), first 8 bytes of the SHA-256 of the 72 bytes before. Written by the owner
/// of the store file after the record itself is on the disk. It is believed when its last entry is what the store file holds at that place.
/// </remarks>
internal sealed class CellIndex : IDisposable
{
    /// <summary>Files with fewer records are read in no time without one.</summary>
    internal const int Least = 4096;

    private const int EntrySize = CellFile.FrameSize + 16;
    private readonly FileStream _file;

    private CellIndex(FileStream file) => _file = file;

    internal static string PathOf(string storeFile) => storeFile + ".index";

    /// <summary>Reads the index of a store file.</summary>
    /// <param name="storeFile">The store file's path.</param>
    /// <param name="handle">The store file.</param>
    /// <param name="expect">Called with the number of records before the first of them.</param>
    /// <param name="found">Called for every record with the offset of its payload.</param>
    /// <returns>Where in the store file the record behind the last known one begins; 0 where there is no index that fits.</returns>
    internal static long Read(string storeFile, SafeFileHandle handle, Action<long> expect, Action<CellFrame, long> found)
    {
        try
        {
            if (FileNature.IsSpecial(PathOf(storeFile))) return 0;
            using SafeFileHandle index = File.OpenHandle(PathOf(storeFile), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            long count = RandomAccess.GetLength(index) / EntrySize;
            byte[] buffer = new byte[EntrySize * 4096];

            // The last one may be torn.
            (CellFrame Frame, long Offset)? last = null;
            for (int back = 0; back < 2 && count > 0 && last == null; back++)
            {
                if (RandomAccess.Read(index, buffer.AsSpan(0, EntrySize), (count - 1) * EntrySize) == EntrySize) last = Entry(buffer);
                if (last == null) count--;
            }

            if (last is not { } end || !Fits(end.Frame, end.Offset, handle)) return 0;
            expect(count);
            for (long at = 0; at < count;)
            {
                int some = (int)Math.Min(4096, count - at);
                if (RandomAccess.Read(index, buffer.AsSpan(0, some * EntrySize), at * EntrySize) != some * EntrySize) return 0;
                for (int i = 0; i < some; i++)
                {
                    if (Entry(buffer.AsSpan(i * EntrySize, EntrySize)) is not { } entry) return 0;
                    found(entry.Frame, entry.Offset);
                }

                at += some;
            }

            return end.Offset + end.Frame.Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // None, or not readable: the store file itself says all of it.
            return 0;
        }
    }

    /// <summary>Starts the index of a store file that this process owns anew.</summary>
    /// <returns>Null where it cannot be written: everything works without one.</returns>
    internal static CellIndex? Create(string storeFile, IEnumerable<(CellFrame Frame, long Offset)> records) => Open(storeFile, FileMode.CreateNew, records);

    /// <summary>Goes on with the index that was read.</summary>
    /// <param name="storeFile">The store file's path.</param>
    /// <param name="known">Its valid entries.</param>
    /// <param name="records">Records behind them.</param>
    internal static CellIndex? GoOn(string storeFile, long known, IEnumerable<(CellFrame Frame, long Offset)> records) =>
        Open(storeFile, FileMode.Open, records, known * EntrySize);

    /// <summary>Adds a record that is on the disk.</summary>
    internal void Add(CellFrame frame, long offset)
    {
        Span<byte> entry = stackalloc byte[EntrySize];
        frame.CopyTo(entry);
        BinaryPrimitives.WriteInt64LittleEndian(entry[CellFile.FrameSize..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[(EntrySize - 8)..], CellFile.Checksum(entry[..(EntrySize - 8)]));
        _file.Write(entry);
    }

    /// <summary>Hands what was added to the operating system.</summary>
    internal void Flush() => _file.Flush();

    public void Dispose() => _file.Dispose();

    private static CellIndex? Open(string storeFile, FileMode mode, IEnumerable<(CellFrame Frame, long Offset)> records, long position = 0)
    {
        FileStream? file = null;
        try
        {
            // What is there, be it a link to somewhere else, goes; its target stays as it is.
            if (mode == FileMode.CreateNew) File.Delete(PathOf(storeFile));
            file = new FileStream(PathOf(storeFile), mode, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 1 << 16);
            file.SetLength(position);
            file.Position = position;
            var index = new CellIndex(file);
            foreach ((CellFrame frame, long offset) in records) index.Add(frame, offset);
            index.Flush();
            return index;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            file?.Dispose();
            return null;
        }
    }

    private static (CellFrame Frame, long Offset)? Entry(ReadOnlySpan<byte> bytes) =>
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[(EntrySize - 8)..]) == CellFile.Checksum(bytes[..(EntrySize - 8)]) && CellFile.Frame(bytes[..CellFile.FrameSize], verify: false) is { } frame
            ? (frame, BinaryPrimitives.ReadInt64LittleEndian(bytes[CellFile.FrameSize..]))
            : null;

    private static bool Fits(CellFrame frame, long offset, SafeFileHandle store)
    {
        byte[] record = new byte[CellFile.FrameSize + frame.Length];
        return offset >= CellFile.FrameSize && offset + frame.Length <= RandomAccess.GetLength(store)
            && RandomAccess.Read(store, record, offset - CellFile.FrameSize) == record.Length
            && CellFile.Frame(record.AsSpan(0, CellFile.FrameSize)) == frame
            && CellFile.Checksum(record.AsSpan(CellFile.FrameSize)) == frame.PayloadChecksum;
    }
}
