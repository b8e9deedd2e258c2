using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace EmScan.Engine.Reports.Exports;

/// <summary>Writes scalars into a TensorBoard event file, which TensorBoard can read while it grows.</summary>
/// <remarks>
/// <para>A file is a series of records: length of the data (u64), masked CRC-32C of the length, data, masked CRC-32C of the data, all
/// little-endian. The mask is a rotation to the right by 15 bits plus 0xA282EAD8, so that the checksum of a record that holds checksums is
/// not a fixed point. The data is a protocol buffer of type <c>tensorflow.Event</c>: wall_time = 1 (double), step = 2 (int64),
/// file_version = 3 (string), summary = 5 with value = 1, of which tag = 1 and simple_value = 2 (float). Source: TensorFlow's
/// record_writer.h, event.proto and summary.proto.</para>
/// <para>Not thread safe. Every call of <see cref="Add"/> leaves whole records on disk, and no handle open: there may be thousands of runs.</para>
/// </remarks>
internal sealed class TensorBoardWriter
{
    private const string Version = "brain.Event:2";
    private readonly TimeProvider _time;

    /// <summary>Starts a new event file in a folder, which is made if need be; TensorBoard shows the folder as one run.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="time">Gives the wall time of the events; the system's when null.</param>
    /// <exception cref="InputFileException">The folder cannot be written to.</exception>
    public TensorBoardWriter(string folder, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        _time = time ?? TimeProvider.System;

        // TensorBoard takes files with "tfevents" in their name, in the order of their names; a process that starts twice in a second
        // still gets two files.
        long seconds = _time.GetUtcNow().ToUnixTimeSeconds();
        string name = string.Create(CultureInfo.InvariantCulture, $"events.out.tfevents.{seconds}.emscan.{Environment.ProcessId}.{Guid.NewGuid():N}");
        FilePath = Path.Combine(folder, name);
        var message = new List<byte>();
        AppendWallTime(message);
        AppendBytes(message, 3, Encoding.ASCII.GetBytes(Version));
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(e);
        }

        WriteRecord([.. message], FileMode.CreateNew);
    }

    /// <summary>The file that is written.</summary>
    public string FilePath { get; }

    /// <summary>Adds the scalars of one step.</summary>
    /// <param name="step">Optimizer step.</param>
    /// <param name="values">Tags such as "drift/honesty", and values; TensorBoard keeps them as float32.</param>
    /// <exception cref="InputFileException">The file cannot be written to any more.</exception>
    public void Add(long step, IEnumerable<(string Tag, double Value)> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var summary = new List<byte>();
        Span<byte> single = stackalloc byte[4];
        foreach ((string tag, double value) in values)
        {
            var entry = new List<byte>();
            AppendBytes(entry, 1, Encoding.UTF8.GetBytes(tag));
            entry.Add((2 << 3) | 5);
            BinaryPrimitives.WriteSingleLittleEndian(single, (float)value);
            entry.AddRange(single);
            AppendBytes(summary, 1, [.. entry]);
        }

        var message = new List<byte>();
        AppendWallTime(message);
        message.Add((2 << 3) | 0);
        AppendVarint(message, (ulong)step);
        AppendBytes(message, 5, [.. summary]);
        WriteRecord([.. message], FileMode.Append);
    }

    /// <summary>CRC-32C (Castagnoli) with the mask of the record format.</summary>
    internal static uint MaskedCrc(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in data) crc = BitOperations.Crc32C(crc, b);
        return BitOperations.RotateRight(~crc, 15) + 0xA282EAD8;
    }

    private void WriteRecord(byte[] data, FileMode mode)
    {
        byte[] record = new byte[8 + 4 + data.Length + 4];
        BinaryPrimitives.WriteUInt64LittleEndian(record, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), MaskedCrc(record.AsSpan(0, 8)));
        data.CopyTo(record, 12);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12 + data.Length), MaskedCrc(data));
        try
        {
            using var file = new FileStream(FilePath, mode, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            file.Write(record);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(e);
        }
    }

    private InputFileException NotWritable(Exception reason) =>
        new(Path.GetDirectoryName(FilePath)!, "TensorBoard events cannot be written here; give a folder that you may write to.", reason);

    private void AppendWallTime(List<byte> message)
    {
        message.Add((1 << 3) | 1);
        Span<byte> wallTime = stackalloc byte[8];
        BinaryPrimitives.WriteDoubleLittleEndian(wallTime, _time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        message.AddRange(wallTime);
    }

    private static void AppendBytes(List<byte> message, int field, byte[] value)
    {
        message.Add((byte)((field << 3) | 2));
        AppendVarint(message, (ulong)value.Length);
        message.AddRange(value);
    }

    private static void AppendVarint(List<byte> message, ulong value)
    {
        for (; value >= 0x80; value >>= 7) message.Add((byte)(value | 0x80));
        message.Add((byte)value);
    }
}
