using System.CommandLine;
using System.Diagnostics;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;
using EmScan.Engine.Reports.Exports;
using EmScan.Engine.Reports.Html;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>Where rows go beside the console: plots, tables and trackers of others, and a report.</summary>
internal sealed class ExportOptions
{
    private readonly Option<string?> _tensorBoard = new("--tensorboard") { Description = "Write TensorBoard event files below DIR, a folder for each run.", HelpName = "DIR" };
    private readonly Option<string?> _jsonLines = new("--jsonl") { Description = "Append a JSON object for each row to FILE.", HelpName = "FILE" };
    private readonly Option<string?> _parquet = new("--parquet") { Description = "Write all rows to FILE as Parquet, at the end.", HelpName = "FILE" };
    private readonly Option<string?> _mlflow = new("--mlflow") { Description = "Log rows to the MLflow tracking server at URL (credentials: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD).", HelpName = "URL" };
    private readonly Option<string> _experiment = new("--mlflow-experiment") { Description = "MLflow experiment.", HelpName = "NAME", DefaultValueFactory = _ => "emscan" };
    private readonly Option<string?> _report = new CommonOption<string?>("--report") { Description = "Write a self-contained HTML report to FILE. It is kept current while rows come.", HelpName = "FILE" };

    internal void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _tensorBoard, _jsonLines, _parquet, _mlflow, _experiment, _report }) command.Options.Add(option);
    }

    /// <summary>Refuses files that cannot be written, before anything is computed.</summary>
    internal void Require(ParseResult parsed)
    {
        if (parsed.GetValue(_report) is { } report) OutputPath.RequireFile(report, ".html");
        if (parsed.GetValue(_parquet) is { } parquet) OutputPath.RequireFile(parquet, ".parquet");
        if (parsed.GetValue(_tensorBoard) is { } board) OutputPath.RequireFolder(board, _tensorBoard.Name);
    }

    /// <summary>Opens everything that was asked for.</summary>
    internal Exports Open(ParseResult parsed, string title, ScanFindings findings)
    {
        var exports = new List<IScalarExport>();
        if (parsed.GetValue(_tensorBoard) is { } board) exports.Add(new TensorBoardExport(board));
        if (parsed.GetValue(_jsonLines) is { } lines) exports.Add(new JsonLinesExport(lines));
        if (parsed.GetValue(_parquet) is { } parquet) exports.Add(new ParquetExport(parquet));
        if (parsed.GetValue(_mlflow) is { } mlflow) exports.Add(new MlflowExport(mlflow, parsed.GetValue(_experiment)!));
        return new Exports(exports, parsed.GetValue(_report), title, findings);
    }
}

/// <summary>The open exports of a scan or a watch.</summary>
internal sealed class Exports(IReadOnlyList<IScalarExport> exports, string? report, string title, ScanFindings findings) : IAsyncDisposable
{
    /// <summary>A report of thousands of rows takes a moment; more often than this nobody reloads it.</summary>
    private static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(5);

    /// <summary>And no more than this share of the time goes into it: with thousands of rows a report takes a second.</summary>
    private const double ReportShare = 0.05;

    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _nextReport;

    internal async Task AddAsync(ScanHeader header, ScanPoint point, Assessment assessment, CancellationToken cancellationToken)
    {
        findings.Add(point, assessment);
        if (exports.Count > 0)
        {
            ScalarRow row = ScanScalars.Of(header, point, assessment);
            foreach (IScalarExport export in exports) await export.AddAsync(row, cancellationToken);
        }

        TimeSpan now = Stopwatch.GetElapsedTime(_start);
        if (report == null || now < _nextReport) return;
        SaveReport();
        TimeSpan took = Stopwatch.GetElapsedTime(_start) - now;
        _nextReport = now + took + TimeSpan.FromTicks(Math.Max(ReportEvery.Ticks, (long)(took.Ticks / ReportShare)));
    }

    /// <summary>Completes all of them; what could not be delivered is noted.</summary>
    internal async Task FinishAsync(string? findingsFolder)
    {
        foreach (IScalarExport export in exports)
        {
            if (await export.FinishAsync() is { } remark) Runner.Note(remark.Text);
        }

        if (report != null) SaveReport();
        if (findingsFolder != null) FindingsFile.Write(Path.Combine(findingsFolder, "scan" + FindingsFile.Extension), title, findings.ToFindings());
    }

    public async ValueTask DisposeAsync()
    {
        foreach (IScalarExport export in exports) await export.DisposeAsync();
    }

    private void SaveReport() => HtmlReport.Save(report!, [(title, findings.ToFindings())]);
}
