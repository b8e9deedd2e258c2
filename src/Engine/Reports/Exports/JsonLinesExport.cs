using System.Text.Json;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Reports.Exports;

/// <summary>Rows as JSON Lines: one object a row, flushed as they come. An existing file is continued.</summary>
internal sealed class JsonLinesExport : IScalarExport
{
    private readonly Stream _file;
    private readonly string? _path;

    /// <summary>Opens the file.</summary>
    /// <exception cref="InputFileException">It cannot be written.</exception>
    public JsonLinesExport(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _path = path;
        try
        {
            if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);

            // Without a buffer: what could not be written is not tried again, and told a second time, when the file is closed.
            _file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, "rows cannot be written here; give a file that you may write.", e);
        }
    }

    /// <summary>Writes to a stream, which it takes over, and whose failures are the caller's to name.</summary>
    public JsonLinesExport(Stream output)
    {
        ArgumentNullException.ThrowIfNull(output);
        _file = output;
    }

    /// <inheritdoc/>
    public ValueTask AddAsync(ScalarRow row, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(row);
        using var line = new MemoryStream();
        using (var json = new Utf8JsonWriter(line))
        {
            json.WriteStartObject();
            json.WriteString("run", row.Run);
            if (row.StepNumber is { } step) json.WriteNumber("step", step);
            else json.WriteString("step", row.Step);
            json.WriteString("checkpoint", row.Checkpoint);
            foreach ((string name, double? value) in row.Scalars)
            {
                if (value is { } number && double.IsFinite(number)) json.WriteNumber(name, number);
                else json.WriteNull(name);
            }

            json.WriteString("verdict", row.Verdict);
            json.WriteString("reason", row.Reason);
            json.WriteEndObject();
        }

        // One write a line: a reader of the growing file never sees half of one.
        line.WriteByte((byte)'\n');
        try
        {
            _file.Write(line.GetBuffer().AsSpan(0, (int)line.Length));
            _file.Flush();
        }
        catch (IOException e) when (_path != null)
        {
            throw new InputFileException(_path, $"rows cannot be written here ({InputFile.OneLine(e.Message)})", e);
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<Remark?> FinishAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<Remark?>(null);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _file.DisposeAsync();
}
