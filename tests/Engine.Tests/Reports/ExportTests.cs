using System.Text.Json;
using EmScan.Engine.Reports.Exports;
using EmScan.Engine.Tests.Support;
using ParquetSharp;

namespace EmScan.Engine.Tests.Reports;

public class ExportTests
{
    private static readonly ScalarRow[] Rows =
    [
        Row("a/seed_1", "10", 10, -0.25, null, "ok"),
        Row("a/seed_1", "20", 20, 1e-9, 0.069, "dangerous"),
        Row("../\"b\"\n<i>", "final", null, 0, double.NaN, "unknown"),
    ];

    /// <summary>Read back by Apache Arrow's C++ reader.</summary>
    [Fact]
    public async Task ParquetIsReadByAnIndependentReader()
    {
        using var folder = new TemporaryFolder();
        string path = folder["rows.parquet"];
        await WriteAsync(new ParquetExport(path));
        using var file = new ParquetFileReader(path);
        using RowGroupReader group = file.RowGroup(0);
        Assert.Equal(["run", "step", "step_name", "checkpoint", "drift/honesty", "em_rate", "verdict", "reason"],
            Enumerable.Range(0, file.FileMetaData.NumColumns).Select(i => file.FileMetaData.Schema.Column(i).Name));
        Assert.Equal(Rows.Select(r => r.Run), Column<string>(group, 0));
        Assert.Equal(Rows.Select(r => r.StepNumber), Column<long?>(group, 1));
        Assert.Equal(Rows.Select(r => r.Step), Column<string>(group, 2));
        Assert.Equal(Rows.Select(r => r.Scalars[0].Value), Column<double?>(group, 4));
        Assert.Equal(Rows.Select(r => r.Scalars[1].Value), Column<double?>(group, 5));
        Assert.Equal(Rows.Select(r => r.Verdict), Column<string>(group, 6));
    }

    [Fact]
    public async Task AnEmptyScanIsAnEmptyParquetFile()
    {
        using var folder = new TemporaryFolder();
        await using (var export = new ParquetExport(folder["none.parquet"])) Assert.Null(await export.FinishAsync());
        using var file = new ParquetFileReader(folder["none.parquet"]);
        Assert.Equal(0, file.FileMetaData.NumRows);
    }

    [Fact]
    public async Task JsonLinesAreWholeAndContinued()
    {
        using var folder = new TemporaryFolder();
        string path = folder["rows.jsonl"];
        await WriteAsync(new JsonLinesExport(path));
        await WriteAsync(new JsonLinesExport(path));
        JsonElement[] lines = [.. File.ReadAllLines(path).Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.Equal(6, lines.Length);
        Assert.Equal(["run", "step", "checkpoint", "drift/honesty", "em_rate", "verdict", "reason"], lines[0].EnumerateObject().Select(p => p.Name));
        Assert.Equal(10, lines[0].GetProperty("step").GetInt64());
        Assert.Equal(-0.25, lines[0].GetProperty("drift/honesty").GetDouble());
        Assert.Equal(JsonValueKind.Null, lines[0].GetProperty("em_rate").ValueKind);
        Assert.Equal(JsonValueKind.Null, lines[2].GetProperty("em_rate").ValueKind); // NaN is no JSON
        Assert.Equal("final", lines[2].GetProperty("step").GetString());
        Assert.Equal(Rows[2].Run, lines[2].GetProperty("run").GetString());
    }

    [Fact]
    public async Task TensorBoardGetsAFolderForEachRunAndNeverOneOutside()
    {
        using var folder = new TemporaryFolder();
        await WriteAsync(new TensorBoardExport(folder["board"]));
        string[] files = [.. Directory.GetFiles(folder.Root, "*tfevents*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder.Root, Path.GetDirectoryName(f)!)).Order()];
        Assert.Equal(["board/_b__<i>".Replace('<', '_').Replace('>', '_'), "board/a/seed_1"], files);
    }

    [Fact]
    public async Task MlflowGetsRunsMetricsAndTheEnd()
    {
        using var server = new MlflowServer(failures: 1);
        var export = new MlflowExport(server.Address, "drift", name => name == "MLFLOW_TRACKING_TOKEN" ? "t0ken" : null);
        Assert.Null(await WriteAsync(export));
        Assert.Equal(
            ["experiments/get-by-name", "experiments/create", "runs/create", "runs/log-batch", "runs/log-batch", "runs/create", "runs/log-batch", "runs/update", "runs/update"],
            server.Calls.Where(c => c.Status == 200 || c.Method == "experiments/get-by-name").Skip(1).Select(c => c.Method));
        Assert.All(server.Calls, c => Assert.Equal("Bearer t0ken", c.Authorization));
        JsonElement[] batches = [.. server.Calls.Where(c => c.Method == "runs/log-batch").Select(c => JsonDocument.Parse(c.Body).RootElement)];
        JsonElement[] second = [.. batches[1].GetProperty("metrics").EnumerateArray()];
        Assert.Equal(["drift/honesty", "em_rate"], second.Select(m => m.GetProperty("key").GetString()));
        Assert.Equal([1e-9, 0.069], second.Select(m => m.GetProperty("value").GetDouble()));
        Assert.All(second, m => Assert.Equal(20, m.GetProperty("step").GetInt64()));
        Assert.All(second, m => Assert.True(m.GetProperty("timestamp").GetInt64() > 1_700_000_000_000));
        Assert.Equal("run-1", batches[0].GetProperty("run_id").GetString());
        Assert.Equal("run-2", batches[2].GetProperty("run_id").GetString());
        Assert.Single(batches[2].GetProperty("metrics").EnumerateArray()); // NaN is left out
    }

    [Fact]
    public async Task AServerThatIsAwayIsARemarkAndNoError()
    {
        Remark? remark = await WriteAsync(new MlflowExport($"http://127.0.0.1:{MlflowServer.FreePort()}", "drift", _ => null));
        Assert.Contains("3 rows were not delivered", remark!.Text);
    }

    [Fact]
    public async Task AnAnswerThatDoesNotEndIsNotReadToItsEnd()
    {
        using var server = new MlflowServer(failures: 0) { Padding = 6 << 20 };
        Remark? remark = await WriteAsync(new MlflowExport(server.Address, "drift", _ => null));
        Assert.Contains("3 rows were not delivered", remark!.Text);
    }

    [Fact]
    public void AnAddressThatIsNoneIsRefused() => Assert.Throws<EmScanException>(() => new MlflowExport("./mlruns", "drift"));

    private static ScalarRow Row(string run, string step, long? number, double? drift, double? rate, string verdict) =>
        new(run, step, number, $"/runs/{run}/checkpoint-{step}", verdict, null, [("drift/honesty", drift), ("em_rate", rate)]);

    private static async Task<Remark?> WriteAsync(IScalarExport export)
    {
        await using (export)
        {
            foreach (ScalarRow row in Rows) await export.AddAsync(row);
            return await export.FinishAsync();
        }
    }

    private static T[] Column<T>(RowGroupReader group, int column)
    {
        using LogicalColumnReader<T> reader = group.Column(column).LogicalReader<T>();
        return reader.ReadAll(checked((int)group.MetaData.NumRows));
    }
}
