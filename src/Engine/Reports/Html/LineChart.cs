using System.Globalization;
using System.Text;

namespace EmScan.Engine.Reports.Html;

/// <summary>One line of a chart.</summary>
/// <param name="Name">Written at its end.</param>
/// <param name="Points">In ascending order of x; a y that is not finite is a gap.</param>
/// <param name="Band">Low and high y at the x of every point, or null.</param>
internal sealed record ChartLine(string Name, IReadOnlyList<(double X, double Y)> Points, IReadOnlyList<(double Low, double High)>? Band = null);

/// <summary>A point that is marked, such as the step of an alarm.</summary>
internal sealed record ChartMark(double X, double Y, string Label);

/// <summary>
/// A line chart as SVG: a picture with title and description for screen readers, colours and line styles from the page's style sheet (so
/// that it follows light and dark), names written at the lines' ends, and the values as attributes, from which the page's script redraws
/// it when a reader zooms.
/// </summary>
/// <param name="Title">What is drawn.</param>
/// <param name="Description">What it shows, in a sentence; for those who do not see it.</param>
/// <param name="XLabel">Quantity and unit along x.</param>
/// <param name="YLabel">Quantity and unit along y.</param>
/// <param name="Lines">The lines; styles repeat after eight.</param>
/// <param name="Threshold">A horizontal line and its label, or null.</param>
/// <param name="Marks">Marked points.</param>
internal sealed record LineChart(
    string Title, string Description, string XLabel, string YLabel, IReadOnlyList<ChartLine> Lines, (double Y, string Label)? Threshold = null,
    IReadOnlyList<ChartMark>? Marks = null)
{
    internal const int Styles = 8;
    private const double Width = 760, Height = 320, Left = 64, Right = 150, Top = 14, Bottom = 46;
    private const double LabelHeight = 14;

    internal HtmlText ToSvg(string id)
    {
        (double x0, double x1) = Range(Lines.SelectMany(l => l.Points).Select(p => p.X), 0);
        IEnumerable<double> heights = Lines.SelectMany(l => l.Points).Select(p => p.Y)
            .Concat(Lines.SelectMany(l => l.Band ?? []).SelectMany(b => new[] { b.Low, b.High }));
        if (Threshold is { } level) heights = heights.Append(level.Y);
        (double y0, double y1) = Range(heights, 0.05);
        double X(double x) => Left + ((x - x0) / (x1 - x0) * (Width - Left - Right));
        double Y(double y) => Height - Bottom - ((y - y0) / (y1 - y0) * (Height - Top - Bottom));

        var svg = new HtmlText();
        svg.Format($"<svg class=\"chart\" role=\"img\" viewBox=\"0 0 {Width} {Height}\" aria-labelledby=\"{id}-t {id}-d\" data-x0=\"{x0:R}\" data-x1=\"{x1:R}\" data-y0=\"{y0:R}\" data-y1=\"{y1:R}\">")
            .Format($"<title id=\"{id}-t\">").Text(Title).Format($"</title><desc id=\"{id}-d\">").Text(Description).Markup("</desc>");
        svg.Format($"<clipPath id=\"{id}-c\"><rect x=\"{Left}\" y=\"{Top}\" width=\"{Width - Left - Right}\" height=\"{Height - Top - Bottom}\"/></clipPath>");

        svg.Markup("<g class=\"x-axis\">");
        var xTicks = Ticks.For(x0, x1, 8);
        foreach (double tick in xTicks.Values)
            svg.Format($"<line class=\"grid\" x1=\"{X(tick):0.##}\" x2=\"{X(tick):0.##}\" y1=\"{Top}\" y2=\"{Height - Bottom}\"/><text class=\"tick\" x=\"{X(tick):0.##}\" y=\"{Height - Bottom + 16}\" text-anchor=\"middle\">").Text(xTicks.Label(tick)).Markup("</text>");
        svg.Markup("</g><g class=\"y-axis\">");
        var yTicks = Ticks.For(y0, y1, 6);
        foreach (double tick in yTicks.Values)
            svg.Format($"<line class=\"grid\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(tick):0.##}\" y2=\"{Y(tick):0.##}\"/><text class=\"tick\" x=\"{Left - 6}\" y=\"{Y(tick) + 4:0.##}\" text-anchor=\"end\">").Text(yTicks.Label(tick)).Markup("</text>");
        svg.Markup("</g>");
        svg.Format($"<text class=\"label\" x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 8}\" text-anchor=\"middle\">").Text(XLabel).Markup("</text>");
        double middle = (Top + Height - Bottom) / 2;
        svg.Format($"<text class=\"label\" x=\"14\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {middle})\">").Text(YLabel).Markup("</text>");

        svg.Format($"<g class=\"plot\" clip-path=\"url(#{id}-c)\">");
        for (int i = 0; i < Lines.Count; i++)
        {
            if (Lines[i].Band is { } band)
            {
                svg.Format($"<path class=\"band s{i % Styles}\" data-band=\"{BandData(Lines[i], band)}\" d=\"{BandPath(Lines[i], band, X, Y)}\"/>");
            }
        }

        if (Threshold is { } threshold)
            svg.Format($"<line class=\"threshold\" data-y=\"{threshold.Y:R}\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(threshold.Y):0.##}\" y2=\"{Y(threshold.Y):0.##}\"/>");
        for (int i = 0; i < Lines.Count; i++)
        {
            svg.Format($"<path class=\"line s{i % Styles}\" data-points=\"{Data(Lines[i].Points)}\" d=\"{LinePath(Lines[i].Points, X, Y)}\"><title>").Text(Lines[i].Name).Markup("</title></path>");
        }

        foreach (ChartMark mark in Marks ?? [])
        {
            svg.Format($"<circle class=\"mark\" r=\"5\" data-x=\"{mark.X:R}\" data-y=\"{mark.Y:R}\" cx=\"{X(mark.X):0.##}\" cy=\"{Y(mark.Y):0.##}\"><title>").Text(mark.Label).Markup("</title></circle>");
        }

        svg.Markup("</g>");
        if (Marks is { Count: > 0 and <= Styles })
        {
            // Said without a pointer, too: on paper, and by those who cannot hover.
            foreach (ChartMark mark in Marks)
            {
                svg.Format($"<text class=\"mark-label\" data-x=\"{mark.X:R}\" data-y=\"{mark.Y:R}\" x=\"{X(mark.X):0.##}\" y=\"{Y(mark.Y) - 10:0.##}\" text-anchor=\"middle\">")
                    .Text(string.Create(CultureInfo.InvariantCulture, $"{(XLabel.Length <= 8 ? XLabel + " " : "")}{mark.X:G6}")).Markup("</text>");
            }
        }

        if (Threshold is { } line)
        {
            // At the other end where a mark lies in its way.
            bool taken = (Marks ?? []).Any(m => X(m.X) < Left + 30 + (6.5 * line.Label.Length) && Math.Abs(Y(m.Y) - Y(line.Y)) < 2 * LabelHeight);
            svg.Format($"<text class=\"threshold-label\" x=\"{(taken ? Width - Right - 4 : Left + 4)}\" y=\"{Y(line.Y) - 4:0.##}\" text-anchor=\"{(taken ? "end" : "start")}\">").Text(line.Label).Markup("</text>");
        }

        int shared = SharedPrefix();
        foreach ((int i, double at) in EndLabels(Y))
            svg.Format($"<text class=\"name s{i % Styles}\" x=\"{Width - Right + 6}\" y=\"{at + 4:0.##}\">").Text(Shorten(Lines[i].Name[shared..])).Markup("</text>");
        return svg.Markup("</svg>");
    }

    /// <summary>Heights of the names at the lines' ends, moved apart where they would cover each other.</summary>
    private List<(int Line, double Y)> EndLabels(Func<double, double> y)
    {
        var labels = new List<(int Line, double Y)>();
        for (int i = 0; i < Lines.Count; i++)
        {
            double last = Lines[i].Points.LastOrDefault(p => double.IsFinite(p.Y), (0, double.NaN)).Y;
            if (double.IsFinite(last)) labels.Add((i, y(last)));
        }

        labels.Sort((a, b) => a.Y.CompareTo(b.Y));
        for (int i = 1; i < labels.Count; i++)
            labels[i] = labels[i] with { Y = Math.Max(labels[i].Y, labels[i - 1].Y + LabelHeight) };
        double over = labels.Count == 0 ? 0 : labels[^1].Y - (Height - Bottom);
        for (int i = labels.Count - 1; over > 0 && i >= 0; i--)
        {
            double limit = i == labels.Count - 1 ? Height - Bottom : labels[i + 1].Y - LabelHeight;
            labels[i] = labels[i] with { Y = Math.Min(labels[i].Y, limit) };
        }

        return labels;
    }

    /// <summary>Length of what all names begin with, up to a slash or a space: said once in the table, it would fill the labels.</summary>
    private int SharedPrefix()
    {
        if (Lines.Count < 2) return 0;
        string first = Lines[0].Name;
        int length = Lines.Min(l => first.AsSpan().CommonPrefixLength(l.Name));
        return first.AsSpan(0, length).LastIndexOfAny('/', ' ') + 1;
    }

    // What the margin holds.
    private static string Shorten(string name) => name.Length <= 20 ? name : string.Concat(name.AsSpan(0, 9), "…", name.AsSpan(name.Length - 10));

    private static (double Low, double High) Range(IEnumerable<double> values, double margin)
    {
        double[] finite = [.. values.Where(double.IsFinite)];
        if (finite.Length == 0) return (0, 1);
        double low = finite.Min(), high = finite.Max();
        if (margin > 0) (low, high) = (Math.Min(low, 0), Math.Max(high, 0)); // an axis of values shows where nothing is
        double span = high - low;
        if (!(span > 0)) return (low - 0.5, low + 0.5);
        return (low < 0 ? low - (margin * span) : low, high > 0 ? high + (margin * span) : high);
    }

    private static string LinePath(IReadOnlyList<(double X, double Y)> points, Func<double, double> x, Func<double, double> y)
    {
        var path = new StringBuilder();
        bool open = false;
        foreach ((double px, double py) in points)
        {
            if (double.IsFinite(py)) path.Append(CultureInfo.InvariantCulture, $"{(open ? 'L' : 'M')}{x(px):0.##} {y(py):0.##}");
            open = double.IsFinite(py);
        }

        return path.ToString();
    }

    private static string BandPath(ChartLine line, IReadOnlyList<(double Low, double High)> band, Func<double, double> x, Func<double, double> y)
    {
        int[] known = [.. Enumerable.Range(0, line.Points.Count).Where(i => double.IsFinite(band[i].Low) && double.IsFinite(band[i].High))];
        if (known.Length == 0) return "";
        IEnumerable<string> corners = known.Select(i => Corner(i, band[i].High)).Concat(known.Reverse().Select(i => Corner(i, band[i].Low)));
        return "M" + string.Join('L', corners) + "Z";

        string Corner(int i, double height) => string.Create(CultureInfo.InvariantCulture, $"{x(line.Points[i].X):0.##} {y(height):0.##}");
    }

    private static string Data(IReadOnlyList<(double X, double Y)> points) =>
        string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:G6},{(double.IsFinite(p.Y) ? p.Y : double.NaN):G5}")));

    private static string BandData(ChartLine line, IReadOnlyList<(double Low, double High)> band) =>
        string.Join(' ', line.Points.Zip(band, (p, b) => string.Create(CultureInfo.InvariantCulture, $"{p.X:G6},{b.Low:G5},{b.High:G5}")));
}
