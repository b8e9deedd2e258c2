using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace EmScan.Bench.Kernels;

/// <summary>Every kernel set on one thread and on all, with BenchmarkDotNet.</summary>
internal static class FullReport
{
    public static string Run()
    {
        // In this process: the kernels are compiled in full on first use, and the sets stand for the instruction sets.
        IConfig config = ManualConfig.CreateEmpty()
            .AddJob(Job.ShortRun
                .WithWarmupCount(2)
                .WithIterationCount(7)
                .WithIterationTime(TimeInterval.FromMilliseconds(100))
                .WithToolchain(InProcessEmitToolchain.Instance))
            .AddLogger(ConsoleLogger.Default)
            .AddColumnProvider(DefaultColumnProviders.Instance)
            .AddColumn(new RateColumn("GB/s", work => work.Bytes), new RateColumn("GFLOP/s", work => work.Flops), new ShareColumn())
            .WithArtifactsPath(Path.Combine(Path.GetTempPath(), "emscan-bench"));
        AccumulationLogger report = new();
        report.WriteLine("# Kernels");
        report.WriteLine();
        report.WriteLine("The first benchmark of a group is its ceiling: the same bytes only read, or as many multiply-adds in registers.");
        report.WriteLine();
        report.WriteLine("```");
        report.WriteLine(Machine.Describe(OpenBlas.TryLoad()));
        report.WriteLine("```");
        foreach (Type benchmarks in new[] { typeof(ProjectBenchmarks), typeof(RowBenchmarks), typeof(CoMomentBenchmarks) })
        {
            Summary summary = BenchmarkRunner.Run(benchmarks, config);
            report.WriteLine();
            report.WriteLine($"## {benchmarks.Name}");
            MarkdownExporter.GitHub.ExportToLog(summary, report);
        }

        return report.GetLog();
    }

    private static double? Seconds(Summary summary, BenchmarkCase benchmark) => summary[benchmark]?.ResultStatistics?.Median / 1e9;

    /// <summary>Work per second, in 10^9.</summary>
    private sealed class RateColumn(string name, Func<Work, double> amount) : Column(name)
    {
        private protected override double? Value(Summary summary, BenchmarkCase benchmark) =>
            amount(Work.Of(benchmark)) / Seconds(summary, benchmark) / 1e9;
    }

    /// <summary>Time of the group's ceiling by the benchmark's own, in percent.</summary>
    private sealed class ShareColumn() : Column("of ceiling, %")
    {
        private protected override double? Value(Summary summary, BenchmarkCase benchmark)
        {
            string group = summary.GetLogicalGroupKey(benchmark) ?? "";
            BenchmarkCase ceiling =
                summary.BenchmarksCases.First(other => summary.IsBaseline(other) && summary.GetLogicalGroupKey(other) == group);
            return 100 * Seconds(summary, ceiling) / Seconds(summary, benchmark);
        }
    }

    private abstract class Column(string name) : IColumn
    {
        public string Id => name;

        public string ColumnName => name;

        public bool AlwaysShow => true;

        public ColumnCategory Category => ColumnCategory.Custom;

        public int PriorityInCategory => 0;

        public bool IsNumeric => true;

        public UnitType UnitType => UnitType.Dimensionless;

        public string Legend => name;

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase) =>
            Value(summary, benchmarkCase)?.ToString("F1", CultureInfo.InvariantCulture) ?? "-";

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

        public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

        public bool IsAvailable(Summary summary) => true;

        private protected abstract double? Value(Summary summary, BenchmarkCase benchmark);
    }
}
