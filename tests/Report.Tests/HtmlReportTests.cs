using System.Text;
using System.Text.RegularExpressions;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using EmScan.Engine;
using EmScan.Engine.Reports;
using EmScan.Engine.Reports.Html;
using EmScan.Engine.Tests.Support;
using Microsoft.Playwright;

namespace EmScan.Report.Tests;

/// <summary>The HTML report in a real browser.</summary>
public sealed class HtmlReportTests(BrowserFixture fixture) : IClassFixture<BrowserFixture>, IDisposable
{
    private const string Hostile = "a/<script>alert(1)</script>\"'&\u0007\u202e";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void NothingInThePageAsksForAnythingElse()
    {
        string html = Html(Sample(3, 13));
        Assert.DoesNotMatch(new Regex(@"(src|href|action|poster|data)\s*=\s*""(?!#)", RegexOptions.IgnoreCase), html);
        Assert.DoesNotContain("url(http", html);
        Assert.DoesNotContain("<script>alert", html);
        Assert.DoesNotContain("@import", html);
        Assert.Matches("Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'", html);
    }

    [Fact]
    public void TheHostsCultureChangesNothing()
    {
        string expected = Html(Sample(3, 13));
        var here = System.Globalization.CultureInfo.CurrentCulture;
        try
        {
            var comma = (System.Globalization.CultureInfo)here.Clone();
            comma.NumberFormat.NumberDecimalSeparator = ",";
            comma.NumberFormat.NegativeSign = "~";
            System.Globalization.CultureInfo.CurrentCulture = comma;
            Assert.Equal(expected, Html(Sample(3, 13)));
        }
        finally
        {
            System.Globalization.CultureInfo.CurrentCulture = here;
        }
    }

    [Fact]
    public void AFindingsFileSurvivesTheDisk()
    {
        Findings findings = Sample(2, 3);
        string path = _folder["scan.findings.json"];
        FindingsFile.Write(path, "Scan", findings);
        (string title, Findings back) = FindingsFile.Read(path);
        Assert.Equal("Scan", title);
        Assert.Equal(Html(findings), Html(back));
    }

    [Theory]
    [InlineData("", "not a file of findings")]
    [InlineData("{}", "not a file of findings")]
    [InlineData("[1]", "not a file of findings")]
    [InlineData("{\"format\": \"emscan-findings\", \"format_version\": 1}", "not a file of findings")]
    public void ADamagedFileIsOneSentence(string content, string says)
    {
        string path = _folder["x.findings.json"];
        File.WriteAllText(path, content);
        var e = Assert.Throws<InputFileException>(() => FindingsFile.Read(path));
        Assert.Contains(path, e.Message);
        Assert.Contains(says, e.Message);
    }

    [BrowserFact]
    public async Task ItMakesNoRequestAndNoErrorAndRunsNoForeignScript()
    {
        var complaints = new List<string>();
        IPage page = await OpenAsync(Sample(3, 13), complaints: complaints);
        Assert.Empty(complaints);
        Assert.Contains(Hostile.Replace('\u0007', '\u2407').Replace('\u202e', '\ufffd'), await page.InnerTextAsync("main"));
        Assert.StartsWith("Dangerous:", await page.InnerTextAsync(".verdict"));
        Assert.True((await page.BoundingBoxOf(".verdict")).Y < 200); // the verdict comes first
    }

    [BrowserFact]
    public async Task TablesAreSortedAndFiltered()
    {
        IPage page = await OpenAsync(Sample(3, 13));
        ILocator table = Table(page, "Checkpoints");
        await table.GetByRole(AriaRole.Button, new() { Name = "EM %" }).ClickAsync();
        double[] ascending = await NumbersAsync(table, 4);
        Assert.Equal(ascending.Order(), ascending);
        await table.GetByRole(AriaRole.Button, new() { Name = "EM %" }).PressAsync("Enter"); // by keyboard, too
        double[] descending = await NumbersAsync(table, 4);
        Assert.Equal(descending.OrderDescending(), descending);
        await table.GetByRole(AriaRole.Searchbox).FillAsync("run-1 dangerous");
        string[] left = [.. (await table.Locator("tbody tr:visible").AllInnerTextsAsync())];
        Assert.NotEmpty(left);
        Assert.All(left, row => Assert.Matches("run-1.*DANGEROUS", row.Replace('\n', ' ')));
        Assert.Contains($"{left.Length} of 39 rows", await table.Locator("output").InnerTextAsync());
    }

    [BrowserFact]
    public async Task ChartsZoomAndComeBack()
    {
        IPage page = await OpenAsync(Sample(3, 13));
        ILocator chart = page.Locator("svg.chart[data-x0]").First, line = chart.Locator("path.line").First;
        string before = (await line.GetAttributeAsync("d"))!;
        await page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("^Zoom in") }).First.ClickAsync();
        Assert.Equal("true", await chart.GetAttributeAsync("data-zoomed"));
        Assert.NotEqual(before, await line.GetAttributeAsync("d"));
        await page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("^Reset") }).First.ClickAsync();
        Assert.Equal("false", await chart.GetAttributeAsync("data-zoomed"));
    }

    [BrowserFact]
    public async Task APhoneIsWideEnough()
    {
        // An analysis names an adapter by its path, which is one long word.
        IPage page = await OpenAsync(Sample(3, 13) with { Conclusion = $"{new string('x', 120)}/checkpoint-120: prior shift." }, width: 375);
        Assert.Equal(375, await page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
    }

    [BrowserFact]
    public async Task DarkModeIsDark()
    {
        IPage light = await OpenAsync(Sample(2, 3)), dark = await OpenAsync(Sample(2, 3), scheme: ColorScheme.Dark);
        const string Background = "getComputedStyle(document.body).backgroundColor";
        Assert.Equal("rgb(255, 255, 255)", await light.EvaluateAsync<string>(Background));
        Assert.Equal("rgb(20, 23, 26)", await dark.EvaluateAsync<string>(Background));
    }

    [BrowserFact]
    public async Task NoBarrierIsFoundByAxe()
    {
        foreach (ColorScheme scheme in new[] { ColorScheme.Light, ColorScheme.Dark })
        {
            IPage page = await OpenAsync(Sample(3, 13), scheme: scheme);
            AxeResult result = await page.RunAxe();
            Assert.True(result.Violations.Length == 0, string.Join("\n", result.Violations.Select(v => $"{v.Id}: {v.Help}: {string.Join(", ", v.Nodes.Select(n => n.Html))}")));
        }
    }

    [BrowserFact]
    public async Task TwoThousandRunsDoNotFreezeIt()
    {
        IPage page = await OpenAsync(Sample(2000, 13));
        ILocator table = Table(page, "Runs");
        await table.GetByRole(AriaRole.Searchbox).FillAsync("run-1999");
        Assert.Contains("1 of 2000 rows", await table.Locator("output").InnerTextAsync());
        Assert.Equal(HtmlReport.MostLines, await page.Locator("svg.chart").First.Locator("path.line").CountAsync());

        // The table of checkpoints has 26,000 rows, and shows 5,000 of them: the last run's alarm must be among them.
        string[] alarms = [.. await Table(page, "Checkpoints").Locator("tbody tr.danger td:first-child").AllInnerTextsAsync()];
        Assert.Contains("run-1999", alarms);
        Assert.Contains("5000 of 26000 rows", await Table(page, "Checkpoints").InnerTextAsync());
    }

    /// <summary>A layer-by-step map of a long training: as many columns as can be told apart, the first and the last among them, and it is said.</summary>
    [BrowserFact]
    public async Task AHeatMapOfThousandsOfStepsStaysQuick()
    {
        double[] steps = [.. Enumerable.Range(0, 3000).Select(s => 10.0 * s)], layers = [.. Enumerable.Range(0, 32).Select(l => (double)l)];
        Findings findings = Sample(2, 3) with { Grids = [new FindingsGrid("|drift|", "step", "layer", steps, layers, [.. layers.Select(l => steps.Select(s => l * s).ToArray())])] };
        IPage page = await OpenAsync(findings);
        Assert.Equal(HtmlReport.MostColumns * 32, await page.Locator("svg.chart rect.pos").CountAsync());
        Assert.Contains($"{HtmlReport.MostColumns} of 3000 columns", await page.InnerTextAsync("main"));
        Assert.Equal(2, await page.Locator("svg.chart rect title").Filter(new() { HasTextRegex = new Regex("layer 31, step (0|29990):") }).CountAsync());
    }

    /// <summary>Of many runs eight are drawn, and only their alarms are marked.</summary>
    [Fact]
    public void MarksBelongToCurvesThatAreDrawn()
    {
        Findings many = Sample(40, 3);
        string html = Html(many with { Marks = [.. Enumerable.Range(0, 40).Select(i => new FindingsMark("Predicted EM rate", 10, 6, $"alarm of run-{i}") { Curve = $"run-{i}" })] });
        Assert.Contains("alarm of run-1<", html); // the dangerous one goes farthest
        Assert.InRange(Regex.Count(html, "class=\"mark\""), 1, HtmlReport.MostLines);
    }

    [BrowserFact]
    public async Task ItPrintsEverything()
    {
        IPage page = await OpenAsync(Sample(3, 13));
        await page.EmulateMediaAsync(new() { Media = Media.Print });
        Assert.False(await page.Locator(".tools").First.IsVisibleAsync());
        Assert.True(await page.Locator("svg.chart").First.IsVisibleAsync());
        Assert.True((await page.PdfAsync()).Length > 10_000);
    }

    private async Task<IPage> OpenAsync(Findings findings, int width = 1200, ColorScheme scheme = ColorScheme.Light, List<string>? complaints = null)
    {
        string path = _folder[$"{Guid.NewGuid():N}.html"];
        await File.WriteAllTextAsync(path, Html(findings));
        IBrowserContext context = await fixture.Browser.NewContextAsync(new() { ColorScheme = scheme, ViewportSize = new() { Width = width, Height = 900 } });
        IPage page = await context.NewPageAsync();
        page.Request += (_, request) =>
        {
            if (!request.Url.StartsWith("file://", StringComparison.Ordinal)) complaints?.Add($"request: {request.Url}");
        };
        page.Console += (_, message) => complaints?.Add($"console: {message.Text}");
        page.PageError += (_, error) => complaints?.Add($"error: {error}");
        page.Dialog += (_, dialog) => complaints?.Add($"dialog: {dialog.Message}");
        await page.GotoAsync($"file://{path}");
        return page;
    }

    private static ILocator Table(IPage page, string title) =>
        page.Locator("section.table").Filter(new() { Has = page.GetByRole(AriaRole.Heading, new() { Name = title, Exact = true }) });

    private static async Task<double[]> NumbersAsync(ILocator table, int column) =>
        [.. (await table.Locator($"tbody tr td:nth-child({column})").AllInnerTextsAsync()).Where(t => t.Length > 0).Select(t => double.Parse(t, System.Globalization.CultureInfo.InvariantCulture))];

    private static string Html(Findings findings)
    {
        using var stream = new MemoryStream();
        HtmlReport.Write(stream, [("Scan of demo", findings)], new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>Findings like a scan's: drifts that grow, one dangerous run, one that cannot be judged, and a run with a hostile name.</summary>
    private static Findings Sample(int runs, int steps)
    {
        var random = new Random(7);
        string[] names = [.. Enumerable.Range(0, runs).Select(i => i == 0 ? Hostile : $"run-{i}")];
        double[] x = [.. Enumerable.Range(0, steps).Select(s => 10.0 * s)];
        var curves = new List<FindingsCurve>();
        var rows = new List<IReadOnlyList<object?>>();
        var table = new List<IReadOnlyList<object?>>();
        for (int r = 0; r < runs; r++)
        {
            double slope = r == 1 || r == 1999 ? 0.16 : 0.02 * random.NextDouble();
            double[] y = [.. x.Select(s => (slope * s / 120) + (0.001 * random.NextDouble()))];
            curves.Add(new FindingsCurve("Predicted EM rate", names[r], "step", "EM %", x, [.. y.Select(v => 100 * v)]) { Low = [.. y.Select(v => 80 * v)], High = [.. y.Select(v => 130 * v)] });
            for (int s = 0; s < steps; s++)
                rows.Add([names[r], x[s], y[s], 100 * y[s], 100 * y[s] > 6 ? "DANGEROUS" : r == 2 ? "unknown: not visible" : "ok"]);
            table.Add([names[r], (double)steps, 100 * y.Max(), 100 * y.Max() > 6 ? "DANGEROUS" : "ok"]);
        }

        return new Findings
        {
            Conclusion = "1 of 3 runs is dangerous: run-1, first at step 50.",
            Verdict = FindingsVerdict.Dangerous,
            Header = SampleHeader.Of("honesty", "harmlessness") with { Layer = 4 },
            Notes = [new Remark("not-visible", $"{Hostile}: nothing of the adapter lies in a block that layer 4 can see.")],
            Curves = curves,
            Thresholds = [new FindingsThreshold("Predicted EM rate", 6, "dangerous above 6%")],
            Marks = runs > 1 ? [new FindingsMark("Predicted EM rate", 50, 6.7, "run-1, step 50: first alarm")] : [],
            Grids = [new FindingsGrid("|drift|", "step", "layer", x, [0, 1, 2], [x.Select(s => s / 100).ToArray(), x.Select(s => -s / 50).ToArray(), x.Select(_ => double.NaN).ToArray()])],
            Tables =
            [
                new FindingsTable("Runs", [new("run"), new("checkpoints", "0"), new("largest EM %", "0.0"), new("verdict")], table),
                new FindingsTable("Checkpoints", [new("run"), new("step", "0"), new("|drift|", "0.000"), new("EM %", "0.0"), new("verdict")], rows),
            ],
        };
    }
}

internal static class PageExtensions
{
    internal static async Task<LocatorBoundingBoxResult> BoundingBoxOf(this IPage page, string selector) => (await page.Locator(selector).First.BoundingBoxAsync())!;
}
