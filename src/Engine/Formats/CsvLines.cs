using nietras.SeparatedValues;

namespace EmScan.Engine.Formats;

/// <summary>Writes CSV as RFC 4180 has it, line by line: commas, fields in double quotes where they hold commas, quotes or line breaks; lines
/// end with LF. The column names are a line like any other. Each line is flushed, so that who reads along sees whole lines. Not thread
/// safe.</summary>
internal sealed class CsvLines : IDisposable
{
    private readonly TextWriter _output;
    private readonly SepWriter _csv;

    /// <param name="output">Where to; belongs to the caller, and ends its lines with LF from now on.</param>
    public CsvLines(TextWriter output)
    {
        _output = output;
        _output.NewLine = "\n";
        _csv = Sep.New(',').Writer(options => options with { Escape = true, WriteHeader = false }).To(output, leaveOpen: true);
    }

    /// <summary>Writes a line. All lines have as many fields.</summary>
    public void Write(IEnumerable<string> fields)
    {
        using (SepWriter.Row row = _csv.NewRow())
        {
            int column = 0;
            foreach (string field in fields) row[column++].Set(field);
        }

        _csv.Flush();
        _output.Flush();
    }

    /// <inheritdoc/>
    public void Dispose() => _csv.Dispose();
}
