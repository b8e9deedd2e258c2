using System.Globalization;

namespace EmScan.Engine.Reports;

/// <summary>Findings for people: the conclusion, what it was measured with, the tables, and the notes.</summary>
internal static class FindingsText
{
    /// <summary>Writes them.</summary>
    public static void Write(TextWriter output, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(findings);
        foreach (string sentence in findings.Conclusion.Split('\n')) output.WriteLine(Printable.Of(sentence)); // one for each adapter
        if (findings.Header is { } header) Write(output, header);
        foreach (FindingsTable table in findings.Tables) Write(output, table);
        if (findings.Notes.Count > 0) output.WriteLine();
        foreach (Remark note in findings.Notes) output.WriteLine($"note: {Printable.Of(note.Text)}");
        output.Flush();
    }

    private static void Write(TextWriter output, FindingsHeader header)
    {
        output.WriteLine();
        output.WriteLine($"model   {Printable.Of(header.ModelPath)}  ({header.ModelDescription}{(header.LayerCount < 0 ? "" : $", {header.LayerCount} layers, hidden size {header.HiddenSize}")})");
        output.WriteLine($"traits  {Printable.Of(header.TraitSet)}, directions {Printable.Of(header.Directions)}");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"layer   {Number(header.Layer)}, base's activation norm n0 = {header.Step0Norm:G4} over {Number(header.Prompts)} prompts"));
        output.WriteLine($"device  {header.Device}{(header.Threads < 0 ? "" : $", {header.Threads} {(header.Threads == 1 ? "thread" : "threads")}")}, {header.NumericMode} mode");
    }

    private static void Write(TextWriter output, FindingsTable table)
    {
        output.WriteLine();
        if (table.Title.Length > 0) output.WriteLine(Printable.Of(table.Title));
        string[] names = [.. table.Columns.Select(column => Printable.Of(column.Name))];
        string[][] cells = [.. table.Rows.Select(row => row.Select((value, c) => Text(value, table.Columns[c])).ToArray())];
        int[] widths = [.. names.Select((name, c) => Math.Max(name.Length, cells.Length == 0 ? 0 : cells.Max(row => row[c].Length)))];
        Line(names);
        foreach (string[] row in cells) Line(row);

        void Line(string[] row) => output.WriteLine(
            string.Join("  ", row.Select((text, c) => table.Columns[c].Format == null ? text.PadRight(widths[c]) : text.PadLeft(widths[c]))).TrimEnd());
    }

    private static string Number(int value) => value < 0 ? "(not told)" : value.ToString(CultureInfo.InvariantCulture);

    private static string Text(object? value, FindingsColumn column) => value switch
    {
        null => "-",
        double number when !double.IsFinite(number) => "-",
        IFormattable number when column.Format != null => number.ToString(column.Format, CultureInfo.InvariantCulture),
        _ => Printable.Of(Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""),
    };
}
