using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Reports.Html;

/// <summary>Findings as one self-contained HTML file: no request to anywhere, readable without its script, on paper and by a screen reader.</summary>
/// <remarks>
/// The page's Content-Security-Policy allows nothing but its own style sheet and script, by their hashes; every text that comes from a user is
/// escaped. Static and thread safe.
/// </remarks>
internal static class HtmlReport
{
    /// <summary>Rows of one table that are put into the page; a browser stays quick with as many.</summary>
    public const int MostRows = 5000;

    /// <summary>Texts of more characters are broken into lines.</summary>
    private const int LongText = 60;

    /// <summary>Columns, and rows, of one heat map.</summary>
    public const int MostColumns = 150;

    /// <summary>Lines of one chart.</summary>
    public const int MostLines = LineChart.Styles;

    /// <summary>Writes the report into a file; who has the old one open sees the old one or the new one, never a part.</summary>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public static void Save(string path, IReadOnlyList<(string Title, Findings Findings)> findings) =>
        AtomicFile.Write(path, stream => Write(stream, findings, DateTimeOffset.UtcNow));

    /// <summary>Writes the report.</summary>
    /// <param name="output">Receives UTF-8.</param>
    /// <param name="findings">Titles and findings, the most important first.</param>
    /// <param name="time">When the report was made; printed in UTC.</param>
    /// <exception cref="ArgumentException">There are no findings.</exception>
    public static void Write(Stream output, IReadOnlyList<(string Title, Findings Findings)> findings, DateTimeOffset time)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(findings);
        if (findings.Count == 0) throw new ArgumentException("A report needs findings.", nameof(findings));
        string style = Resource("report.css"), script = Resource("report.js");
        var page = new HtmlText();
        page.Markup("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
            .Format($"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{Hash(style)}'; script-src '{Hash(script)}'; base-uri 'none'; form-action 'none'\">")
            .Markup("<meta name=\"referrer\" content=\"no-referrer\"><title>").Text($"emscan: {findings[0].Title}").Markup("</title><style>").Markup(style).Markup("</style></head><body><main>");
        page.Markup("<header><h1>").Text(findings.Count == 1 ? findings[0].Title : "emscan report").Markup("</h1><p class=\"dim\">")
            .Text($"emscan {EmScanVersion.Text}, {time.UtcDateTime.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)} UTC").Markup("</p></header>");
        if (findings.Count > 1) Contents(page, findings);
        for (int i = 0; i < findings.Count; i++) Article(page, findings[i].Title, findings[i].Findings, i, findings.Count > 1);
        page.Markup("</main><script>").Markup(script).Markup("</script></body></html>\n");
        output.Write(Encoding.UTF8.GetBytes(page.ToString()));
    }

    private static void Contents(HtmlText page, IReadOnlyList<(string Title, Findings Findings)> findings)
    {
        page.Markup("<nav aria-label=\"Findings\"><ul>");
        for (int i = 0; i < findings.Count; i++)
            page.Format($"<li><a href=\"#f{i}\">").Text(findings[i].Title).Markup("</a>: ").Text(Word(findings[i].Findings.Verdict).Word + findings[i].Findings.Conclusion).Markup("</li>");
        page.Markup("</ul></nav>");
    }

    private static void Article(HtmlText page, string title, Findings findings, int index, bool titled)
    {
        page.Format($"<article id=\"f{index}\" aria-labelledby=\"f{index}-v\">");
        if (titled) page.Markup("<h2>").Text(title).Markup("</h2>");
        (string kind, string word) = Word(findings.Verdict);
        page.Format($"<p class=\"verdict {kind}\" id=\"f{index}-v\">").Text(word + findings.Conclusion).Markup("</p>");
        Remarks(page, findings.Notes);
        int picture = 0;
        string heading = titled ? "h3" : "h2";
        foreach (IGrouping<string, FindingsCurve> plot in findings.Curves.GroupBy(c => c.Plot)) Chart(page, heading, plot, findings, $"f{index}-c{picture++}");
        foreach (FindingsGrid grid in findings.Grids) Grid(page, heading, grid, $"f{index}-c{picture++}");
        foreach (FindingsTable table in findings.Tables) Table(page, heading, table);
        if (findings.Header is { } header) Facts(page, heading, header);
        page.Markup("</article>");
    }

    private static (string Kind, string Word) Word(FindingsVerdict verdict) => verdict switch
    {
        FindingsVerdict.Dangerous => ("danger", "Dangerous: "),
        FindingsVerdict.Expected => ("unknown", "Expected to become dangerous: "),
        FindingsVerdict.Unknown => ("unknown", "Unknown: "),
        FindingsVerdict.Clear => ("clear", "Clear: "),
        _ => ("", ""),
    };

    private static void Remarks(HtmlText page, IReadOnlyList<Remark> notes)
    {
        if (notes.Count == 0) return;
        page.Markup("<div class=\"remarks\" role=\"note\"><strong>").Text(notes.Count == 1 ? "Remark" : $"{notes.Count} remarks").Markup("</strong><ul>");
        foreach (Remark note in notes) page.Markup("<li>").Text(note.Text).Markup("</li>");
        page.Markup("</ul></div>");
    }

    private static void Chart(HtmlText page, string heading, IGrouping<string, FindingsCurve> plot, Findings findings, string id)
    {
        // Those that go farthest are drawn; all of them stand in the table.
        FindingsCurve[] all = [.. plot];
        FindingsCurve[] drawn = all.Length <= MostLines ? all
            : [.. all.OrderByDescending(c => c.Y.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max()).Take(MostLines)];
        FindingsThreshold? threshold = findings.Thresholds.FirstOrDefault(t => t.Plot == plot.Key);
        ChartMark[] marks = [.. findings.Marks.Where(m => m.Plot == plot.Key && (m.Curve == null || drawn.Any(c => c.Name == m.Curve))).Take(MostRows).Select(m => new ChartMark(m.X, m.Y, m.Label))];
        ChartLine[] lines =
        [
            .. drawn.Select(c => new ChartLine(
                c.Name, [.. c.X.Zip(c.Y)], c.Low != null && c.High != null ? [.. c.Low.Zip(c.High)] : null)),
        ];
        string ends = string.Join("; ", drawn.Select(c => $"{c.Name} ends at {Number(c.Y.LastOrDefault(double.IsFinite, double.NaN), "G3")}"));
        var chart = new LineChart(
            plot.Key, $"{all[0].YLabel} against {all[0].XLabel}. {ends}.{(threshold == null ? "" : $" {threshold.Label}.")}", all[0].XLabel, all[0].YLabel, lines,
            threshold == null ? null : (threshold.Y, threshold.Label), marks);
        page.Markup("<section>").Add(Heading(heading, plot.Key)).Markup("<figure>").Add(chart.ToSvg(id)).Markup("<figcaption>");
        if (drawn.Length < all.Length) page.Text($"{drawn.Length} of {all.Length} curves, those that go farthest; all of them are in the table. ");
        if (lines.Any(l => l.Band != null)) page.Text("Bands are intervals. ");
        page.Markup("</figcaption></figure></section>");
    }

    private static void Grid(HtmlText page, string heading, FindingsGrid grid, string id)
    {
        // Evenly spaced ones where there are more than can be told apart.
        int[] shown = Spread(grid.X.Count, MostColumns), high = Spread(grid.Y.Count, MostColumns);
        string[] columns = [.. shown.Select(x => Number(grid.X[x], "0.###"))], rows = [.. high.Select(y => Number(grid.Y[y], "0.###"))];
        double[] values = [.. high.SelectMany(y => shown.Select(x => grid.Values[y][x]))];
        string largest = Number(values.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Max(), "G3");
        var map = new HeatMap(grid.Name, $"{grid.Name} by {grid.YLabel} and {grid.XLabel}; the largest value is {largest}.", grid.XLabel, grid.YLabel, columns, rows, values);
        page.Markup("<section>").Add(Heading(heading, grid.Name)).Markup("<figure>").Add(map.ToSvg(id)).Markup("<figcaption>").Text($"Darker is larger{(values.Any(v => v < 0) ? ", blue above zero and orange below" : "")}; the largest value is {largest}. ");
        if (shown.Length < grid.X.Count) page.Text($"{shown.Length} of {grid.X.Count} columns, evenly spaced; all of them are in the results that the report was made from. ");
        if (high.Length < grid.Y.Count) page.Text($"{high.Length} of {grid.Y.Count} rows, evenly spaced. ");
        page.Markup("</figcaption></figure></section>");
        Table(page, heading, new FindingsTable(
            $"{grid.Name}, in numbers", [new FindingsColumn(grid.YLabel, "0.###"), .. columns.Select(c => new FindingsColumn($"{grid.XLabel} {c}", "G4"))],
            [.. high.Select(y => (IReadOnlyList<object?>)[grid.Y[y], .. shown.Select(x => (object?)grid.Values[y][x])])]), closed: true);
    }

    private static int[] Spread(int count, int most) => count <= most ? [.. Enumerable.Range(0, count)] : [.. Enumerable.Range(0, most).Select(i => (int)((long)i * (count - 1) / (most - 1)))];

    private static void Table(HtmlText page, string heading, FindingsTable table, bool closed = false)
    {
        string title = table.Title.Length == 0 ? "Table" : table.Title;
        page.Markup("<section class=\"table\">");
        if (closed) page.Markup("<details><summary>").Text(title).Markup("</summary>");
        else page.Add(Heading(heading, title));
        bool sortable = table.Rows.Count > 1;
        if (table.Rows.Count > 10)
            page.Markup("<div class=\"filter\"><label>Filter <input type=\"search\" aria-label=\"").Text($"Filter {title}").Markup("\"></label><output></output></div>");
        page.Markup("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"").Text(title).Format($"\"><table class=\"{(sortable ? "sortable" : "")}\"><thead><tr>");
        foreach (FindingsColumn column in table.Columns) page.Format($"<th scope=\"col\"{(column.Format == null ? " class=\"text\"" : "")}>").Text(column.Name).Markup("</th>");
        page.Markup("</tr></thead><tbody>");
        int verdict = table.Columns.Select(c => c.Name).ToList().IndexOf("verdict");
        foreach (IReadOnlyList<object?> row in MostTelling(table, verdict))
        {
            string kind = Kind(row, verdict);
            page.Markup(kind.Length == 0 ? "<tr>" : $"<tr class=\"{kind}\">");
            for (int c = 0; c < table.Columns.Count; c++)
            {
                string? format = table.Columns[c].Format;
                page.Markup(c == verdict ? "<td class=\"text word\">" : format == null ? row[c] is string { Length: > LongText } ? "<td class=\"text long\">" : "<td class=\"text\">" : "<td>").Text(Cell(row[c], format)).Markup("</td>");
            }

            page.Markup("</tr>");
        }

        page.Markup("</tbody></table></div>");
        if (table.Rows.Count > MostRows) page.Markup("<p class=\"dim\">").Text($"{MostRows} of {table.Rows.Count} rows, the alarming ones first among them; all of them are in the results that the report was made from.").Markup("</p>");
        page.Markup(closed ? "</details></section>" : "</section>");
    }

    /// <summary>The rows that are shown, in their order: of too many, those with an alarm are never the ones that are left out for others.</summary>
    private static IEnumerable<IReadOnlyList<object?>> MostTelling(FindingsTable table, int verdict) =>
        table.Rows.Count <= MostRows ? table.Rows
            : Enumerable.Range(0, table.Rows.Count).OrderBy(i => Kind(table.Rows[i], verdict) switch { "danger" => 0, "unknown" => 1, _ => 2 }).Take(MostRows).Order().Select(i => table.Rows[i]);

    private static string Kind(IReadOnlyList<object?> row, int verdict) => verdict < 0 ? "" : row[verdict]?.ToString()?.ToUpperInvariant() switch
    {
        string v when v.StartsWith("DANGEROUS", StringComparison.Ordinal) => "danger",
        string v when v.StartsWith("UNKNOWN", StringComparison.Ordinal) || v.Contains("EXPECTED", StringComparison.Ordinal) => "unknown",
        _ => "",
    };

    private static void Facts(HtmlText page, string heading, FindingsHeader header)
    {
        page.Markup("<section>").Add(Heading(heading, "What was measured")).Markup("<dl class=\"facts\">");
        foreach ((string name, string value) in (ReadOnlySpan<(string, string)>)
        [
            ("Model", $"{header.ModelPath} ({header.ModelDescription})"),
            ("SHA-256", header.ModelSha256),
            ("Layer", $"{Count(header.Layer)}{(header.LayerCount < 0 ? "" : $" of {header.LayerCount}")}: {LayerConvention.Text}"),
            ("Traits", $"{string.Join(", ", header.Traits)} ({header.TraitSet})"),
            ("Directions", header.Directions),
            ("Prompts", Count(header.Prompts)),
            ("n0", $"{Number(header.Step0Norm, "0.####")}: mean norm of the base's hidden states, the unit of drifts"),
            ("Numbers", $"{header.NumericMode}, {header.Device}{(header.Threads < 0 ? "" : $", {header.Threads} {(header.Threads == 1 ? "thread" : "threads")}")}"),
        ])
        {
            page.Markup("<dt>").Text(name).Markup("</dt><dd>").Text(value).Markup("</dd>");
        }

        page.Markup("</dl></section>");
    }

    private static string Count(int value) => value < 0 ? "not told" : value.ToString(CultureInfo.InvariantCulture);

    private static HtmlText Heading(string level, string text) => new HtmlText().Format($"<{level}>").Text(text).Format($"</{level}>");

    private static string Cell(object? value, string? format) => value switch
    {
        null => "",
        double number => Number(number, format ?? "G4"),
        IFormattable other => other.ToString(format, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    private static string Number(double value, string format) => double.IsFinite(value) ? value.ToString(format, CultureInfo.InvariantCulture) : "";

    private static string Hash(string content) => "sha256-" + Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(content)));

    private static string Resource(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"EmScan.Engine.Reports.Html.{name}")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }
}
