using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Formats;

/// <summary>The rows of one tensor of a GGUF file, decoded to float32 as they are asked for: memory is that of the rows.</summary>
/// <remarks>
/// Reads through the operating system's page cache, which the model's own memory map shares. Not through a map of its own: a file that
/// someone shortens meanwhile is a sentence here and would end the process there. Thread safe: any number of threads may read at a time.
/// </remarks>
internal sealed class GgufRows : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly GgufTensor _tensor;
    private readonly int _rowBytes;

    /// <summary>Opens a tensor of a file.</summary>
    /// <param name="file">The model.</param>
    /// <param name="tensor">One of its tensors; a matrix (rows, columns) has ne = [columns, rows].</param>
    /// <exception cref="InputFileException">Its type cannot be decoded, a row is too long for one array, or the file cannot be
    /// read.</exception>
    public GgufRows(GgufFile file, GgufTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(tensor);
        if (!GgmlBlocks.CanDecode(tensor.Type))
        {
            throw InputFile.BadTensor(file.Path, tensor.Name,
                $"is of type {tensor.Type.Name}; the types that can be read are {string.Join(", ", GgmlBlocks.Decodable)}");
        }

        long rowBytes = tensor.Dimension(0) / tensor.Type.BlockSize * tensor.Type.BlockBytes;
        long rows = tensor.ElementCount / tensor.Dimension(0);
        if (Math.Max(rowBytes, tensor.Dimension(0)) > Array.MaxLength || rows > int.MaxValue)
            throw InputFile.BadTensor(file.Path, tensor.Name, $"has {rows} rows of {tensor.Dimension(0)} numbers, too many for one array");
        _tensor = tensor;
        _rowBytes = (int)rowBytes;
        Columns = (int)tensor.Dimension(0);
        Count = (int)rows;
        _handle = InputFile.Open(tensor.Path, out _);
    }

    /// <summary>Numbers in a row.</summary>
    public int Columns { get; }

    /// <summary>Number of rows.</summary>
    public int Count { get; }

    /// <summary>Reads and decodes consecutive rows.</summary>
    /// <param name="first">The first of them.</param>
    /// <param name="rows">(n, <see cref="Columns"/>) float32, overwritten; its length says how many.</param>
    /// <exception cref="ArgumentException">No whole number of rows, or not that many.</exception>
    /// <exception cref="InputFileException">The disk refuses.</exception>
    public void Read(int first, Span<float> rows)
    {
        int count = rows.Length / Columns;
        if (rows.Length % Columns != 0 || first < 0 || first > Count - count)
            throw new ArgumentException($"{rows.Length} numbers from row {first} on are not rows of {Count} x {Columns}.", nameof(rows));
        byte[] bytes = ArrayPool<byte>.Shared.Rent(checked(count * _rowBytes));
        try
        {
            Span<byte> blocks = bytes.AsSpan(0, count * _rowBytes);
            InputFile.ReadExactly(_handle, _tensor.Path, blocks, _tensor.Offset + ((long)first * _rowBytes));
            GgmlBlocks.Decode(_tensor.Type, blocks, rows);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();
}
