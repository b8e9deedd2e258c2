namespace EmScan.Engine.Formats;

/// <summary>Reads a stream line by line as bytes and knows where each line ended, so that a torn last line can be cut off.</summary>
internal sealed class LineReader : IDisposable
{
    private readonly Stream _stream;
    private readonly MemoryStream _line = new();

    internal LineReader(Stream stream)
    {
        stream.Position = 0;
        _stream = stream;
    }

    /// <summary>Bytes consumed up to the end of the last line returned.</summary>
    internal long Position { get; private set; }

    /// <summary>Reads the next line without its newline; <paramref name="complete"/> is false for a last line that has none.</summary>
    internal bool Next(out ReadOnlySpan<byte> line, out bool complete)
    {
        _line.SetLength(0);
        complete = false;
        int value;
        while ((value = _stream.ReadByte()) >= 0)
        {
            Position++;
            if (value == '\n')
            {
                complete = true;
                break;
            }

            _line.WriteByte((byte)value);
        }

        line = _line.GetBuffer().AsSpan(0, (int)_line.Length);
        return complete || _line.Length > 0;
    }

    /// <summary>Frees the line buffer; the stream belongs to the caller and stays open.</summary>
    public void Dispose() => _line.Dispose();
}
