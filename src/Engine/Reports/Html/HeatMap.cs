using System.Globalization;

namespace EmScan.Engine.Reports.Html;

/// <summary>A grid of values as SVG, such as drift by layer and step: darker is larger, and every cell says its value.</summary>
/// <param name="Title">What is drawn.</param>
/// <param name="Description">What it shows, in a sentence.</param>
/// <param name="XLabel">Quantity along x.</param>
/// <param name="YLabel">Quantity along y.</param>
/// <param name="Columns">Names along x.</param>
/// <param name="Rows">Names along y, the first at the bottom.</param>
/// <param name="Values">(rows, columns) row-major; not finite is an empty cell.</param>
internal sealed record HeatMap(
    string Title, string Description, string XLabel, string YLabel, IReadOnlyList<string> Columns, IReadOnlyList<string> Rows, IReadOnlyList<double> Values)
{
    private const double Left = 70, Top = 10, Bottom = 46, Right = 12, Width = 760;
    private const int Shades = 9;

    internal HtmlText ToSvg(string id)
    {
        double cell = (Width - Left - Right) / Math.Max(1, Columns.Count);
        double height = Math.Clamp(260.0 / Math.Max(1, Rows.Count), 12, 28);
        double bottom = Top + (height * Rows.Count);
        double largest = Values.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();
        var svg = new HtmlText();
        svg.Format($"<svg class=\"chart\" role=\"img\" viewBox=\"0 0 {Width} {bottom + Bottom:0.##}\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">").Text(Title)
            .Format($"</title><desc id=\"{id}-d\">").Text(Description).Markup("</desc>");
        for (int r = 0; r < Rows.Count; r++)
        {
            double y = bottom - (height * (r + 1));
            svg.Format($"<text class=\"tick\" x=\"{Left - 6}\" y=\"{y + (height / 2) + 4:0.##}\" text-anchor=\"end\">").Text(Rows[r]).Markup("</text>");
            for (int c = 0; c < Columns.Count; c++)
            {
                double value = Values[(r * Columns.Count) + c];
                if (!double.IsFinite(value)) continue;
                int shade = largest > 0 ? (int)Math.Round(Math.Abs(value) / largest * Shades) : 0;
                svg.Format($"<rect class=\"{(value < 0 ? "neg" : "pos")} h{shade}\" x=\"{Left + (c * cell):0.##}\" y=\"{y:0.##}\" width=\"{cell:0.##}\" height=\"{height:0.##}\"><title>")
                    .Text($"{YLabel} {Rows[r]}, {XLabel} {Columns[c]}: {value.ToString("G4", CultureInfo.InvariantCulture)}").Markup("</title></rect>");
            }
        }

        int every = Math.Max(1, (int)Math.Ceiling(Columns.Count * 44 / (Width - Left - Right)));
        for (int c = 0; c < Columns.Count; c += every)
            svg.Format($"<text class=\"tick\" x=\"{Left + ((c + 0.5) * cell):0.##}\" y=\"{bottom + 16:0.##}\" text-anchor=\"middle\">").Text(Columns[c]).Markup("</text>");
        svg.Format($"<text class=\"label\" x=\"{(Left + Width - Right) / 2}\" y=\"{bottom + 38:0.##}\" text-anchor=\"middle\">").Text(XLabel).Markup("</text>");
        double middle = (Top + bottom) / 2;
        svg.Format($"<text class=\"label\" x=\"14\" y=\"{middle:0.##}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {middle:0.##})\">").Text(YLabel).Markup("</text>");
        return svg.Markup("</svg>");
    }
}
