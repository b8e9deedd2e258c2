using System.Text;

namespace EmScan.Cli;

/// <summary>Breaks lines that are longer than the terminal is wide at their spaces; the rest of such a line is indented. Words stay whole.</summary>
internal sealed class WrappingWriter(TextWriter output, int columns) : TextWriter
{
    private const string Indent = "        ";

    private readonly StringBuilder _line = new();

    public override Encoding Encoding => output.Encoding;

    public override void Write(char value)
    {
        if (value == '\n') EndLine();
        else if (value != '\r') _line.Append(value);
    }

    public override void Flush()
    {
        // Rows are flushed when they are complete; half a line waits for its end.
        output.Flush();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing && _line.Length > 0) EndLine();
        base.Dispose(disposing);
    }

    private void EndLine()
    {
        ReadOnlySpan<char> rest = _line.ToString().AsSpan().TrimEnd();
        string indent = Indent.Length * 3 <= columns ? Indent : "  ";
        bool first = true;
        while (true)
        {
            int room = columns - (first ? 0 : indent.Length);
            int end = rest.Length <= room ? rest.Length : Break(rest, room);
            if (!first) output.Write(indent);
            output.WriteLine(rest[..end].TrimEnd());
            rest = rest[end..].TrimStart(' ');
            if (rest.IsEmpty) break;
            first = false;
        }

        _line.Clear();
    }

    // The last space that leaves something before it; a word that is too long goes on to its end.
    private static int Break(ReadOnlySpan<char> line, int room)
    {
        int lead = line.Length - line.TrimStart(' ').Length;
        int space = line[..(room + 1)].LastIndexOf(' ');
        if (space > lead) return space;
        int after = line[(room + 1)..].IndexOf(' ');
        return after < 0 ? line.Length : room + 1 + after;
    }
}
