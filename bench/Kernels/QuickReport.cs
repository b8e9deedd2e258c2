using System.Diagnostics;
using System.Text;
using EmScan.Kernels;

namespace EmScan.Bench.Kernels;

/// <summary>
/// The figures that the kernels are judged by. Both sides of a ratio run in turn, so that whatever else the machine does meets both; a
/// figure is the median of the rounds.
/// </summary>
internal static unsafe class QuickReport
{
    private const int Rounds = 9;

    /// <summary>Rounds that are tried for each that is wanted.</summary>
    private const int MostAttempts = 4;

    /// <summary>Numbers in memory, 256 MB: several times what a third-level cache keeps.</summary>
    private const int StateNumbers = 1 << 26;

    /// <summary>
    /// Numbers that a projection reads, 16 MB: under a time slice of a busy machine. Each side of each round reads other ones.
    /// </summary>
    private const int WindowNumbers = 1 << 22;

    private const int ProjectionRounds = 41;

    /// <summary>T, D and K of the wide projections: a small autoencoder, a vocabulary, and many rows.</summary>
    private static readonly (int Rows, int Dimension, int Count)[] WideShapes =
        [(256, 1024, 256), (256, 1024, 16384), (256, 4096, 256), (256, 4096, 8192), (960, 4096, 4096)];

    /// <summary>Rows of an outer product update.</summary>
    private const int UpdateRows = 960;

    /// <summary>Makes the tables.</summary>
    /// <param name="onlyWide">Whether the wide projections are all that is wanted.</param>
    public static string Run(bool onlyWide)
    {
        OpenBlas? peer = OpenBlas.TryLoad();
        KernelSet set = KernelSets.Default;
        StringBuilder report = new();
        report.Append($"""
            # Kernels, quick figures

            ```
            {Machine.Describe(peer)}
            ```

            Kernel set {set.Name}. Both sides of a ratio run in turn; figures are medians of {ProjectionRounds} rounds for
            projections, of {Rounds} for the rest. Projections: of {WindowNumbers >> 18} MB of states that no cache holds;
            the ceiling is a loop that only reads them, the roofline the lower of that and of what a loop of
            multiply-adds allows. Co-moments: of {UpdateRows} rows; wide projections: of T states on K directions, packing
            included; the ceiling of both is that loop of multiply-adds. The peer is OpenBLAS: `sgemm`, `ssyrk`. A round counts only if, before each side and after the last, each thread had
            a core to itself (a loop of multiply-adds tells); a virtual machine's host may let two threads share one.

            | kernel | threads | D | ours | ceiling | share | of roofline | peer | ours / peer | rounds |
            |---|---|---|---|---|---|---|---|---|---|

            """.ReplaceLineEndings("\n"));
        using Numbers states = new(StateNumbers, seed: 1);
        foreach (int threads in Machine.Threads)
        {
            peer?.UseThreads(threads);
            using ParallelKernelSet parallel = new(threads, set);
            using Ceiling ceiling = Ceiling.For(set, threads);
            CoreProbe probe = new(set, ceiling, threads);
            foreach (int dimension in onlyWide ? [] : new[] { 896, 2048, 4096 })
                foreach (int count in new[] { 1, 4, 7, 16 })
                    report.Append(Projection(parallel, ceiling, probe, peer, states, dimension, count)).Append('\n');
            foreach (int dimension in onlyWide ? [] : new[] { 1024, 2048, 4096 })
                foreach (bool streaming in new[] { false, true })
                    report.Append(CoMoments(parallel, ceiling, probe, peer, states, dimension, streaming)).Append('\n');
            foreach ((int rows, int dimension, int count) in WideShapes)
                report.Append(WideProjections(set, threads, ceiling, probe, peer, states, rows, dimension, count)).Append('\n');
        }

        return report.ToString();
    }

    private static string Projection(
        ParallelKernelSet set, Ceiling ceiling, CoreProbe probe, OpenBlas? peer, Numbers states, int dimension, int count)
    {
        int rows = WindowNumbers / dimension, length = rows * dimension, window = 0;
        using Numbers directions = new(count * dimension, seed: 2);
        using Numbers single = new(rows * count, seed: 3);
        double[] projections = new double[rows * count];
        double flops = 2.0 * length * count, bytes = 4.0 * length;
        int Next() => window = (window + WindowNumbers) % states.Length;
        Figures figures = Medians(
            ProjectionRounds,
            probe,
            () => set.Project(states.Span.Slice(Next(), length), directions.Span, dimension, projections),
            () => ceiling.Read(states.Span.Slice(Next(), length)),
            () => ceiling.MultiplyAdd((long)(flops / 2)),
            () => peer?.Project(states.Start + Next(), directions.Start, dimension, rows, count, single.Start),
            () => peer?.Rest());
        double[] seconds = figures.Seconds;
        double roof = Math.Max(seconds[1], seconds[2]);
        double Rate(double time) => bytes / time / 1e9;
        return $"| project, K = {count} | {set.Threads} | {dimension} | {Rate(seconds[0]):F1} GB/s | {Rate(seconds[1]):F1} GB/s |"
            + $" {seconds[1] / seconds[0]:P0} | {roof / seconds[0]:P0} |"
            + $" {Peer(peer, Rate(seconds[3]), "GB/s", seconds[3] / seconds[0])} | {figures} |";
    }

    private static string CoMoments(
        ParallelKernelSet set, Ceiling ceiling, CoreProbe probe, OpenBlas? peer, Numbers states, int dimension, bool streaming)
    {
        double[] upper = new double[PackedUpper.Length(dimension)];
        RunningMoments moments = new(dimension, set);
        using Numbers square = new(dimension * dimension, seed: 3);
        int length = UpdateRows * dimension;
        long multiplyAdds = UpdateRows * PackedUpper.Length(dimension);
        Figures figures = Medians(
            Rounds,
            probe,
            () =>
            {
                if (streaming)
                    moments.Add(states.Span[..length]);
                else
                    set.AddOuterProducts(states.Span[..length], dimension, upper);
            },
            () => ceiling.MultiplyAdd(multiplyAdds),
            () => peer?.AddOuterProducts(states.Start, dimension, UpdateRows, square.Start),
            () => peer?.Rest());
        double[] seconds = figures.Seconds;
        double Rate(double time) => 2 * multiplyAdds / time / 1e9;
        return $"| {(streaming ? "running moments" : "outer products")} | {set.Threads} | {dimension} | {Rate(seconds[0]):F0} GFLOP/s |"
            + $" {Rate(seconds[1]):F0} GFLOP/s | {seconds[1] / seconds[0]:P0} | {seconds[1] / seconds[0]:P0} |"
            + $" {Peer(peer, Rate(seconds[2]), "GFLOP/s", seconds[2] / seconds[0])} | {figures} |";
    }

    private static string WideProjections(
        KernelSet set, int threads, Ceiling ceiling, CoreProbe probe, OpenBlas? peer, Numbers states, int rows, int dimension, int count)
    {
        using Numbers single = new(rows * count, seed: 3);
        double[] projections = new double[rows * count];
        float* directions = states.Start + rows * dimension;
        long multiplyAdds = (long)rows * dimension * count;
        Figures figures = Medians(
            Rounds,
            probe,
            () =>
            {
                using WideProjection projection = new(new ReadOnlySpan<float>(states.Start, rows * dimension), dimension, set, threads);
                projection.Project(new ReadOnlySpan<float>(directions, count * dimension), projections, threads);
            },
            () => ceiling.MultiplyAdd(multiplyAdds),
            () => peer?.Project(states.Start, directions, dimension, rows, count, single.Start),
            () => peer?.Rest());
        double[] seconds = figures.Seconds;
        double Rate(double time) => 2 * multiplyAdds / time / 1e9;
        return $"| wide, T = {rows}, K = {count} | {threads} | {dimension} | {Rate(seconds[0]):F0} GFLOP/s |"
            + $" {Rate(seconds[1]):F0} GFLOP/s | {seconds[1] / seconds[0]:P0} | {seconds[1] / seconds[0]:P0} |"
            + $" {Peer(peer, Rate(seconds[2]), "GFLOP/s", seconds[2] / seconds[0])} | {figures} |";
    }

    private static string Peer(OpenBlas? peer, double rate, string unit, double ratio) =>
        peer == null ? "- | -" : $"{rate:F0} {unit} | {ratio:F2}";

    /// <summary>Median time of each side, in seconds; one round before the first is not counted.</summary>
    private static Figures Medians(int rounds, CoreProbe probe, params Action[] sides)
    {
        List<double>[] times = [.. sides.Select(_ => new List<double>())];
        int disturbed = 0;
        for (int attempt = -1; attempt < MostAttempts * rounds && times[0].Count < rounds; attempt++)
        {
            bool counts = true;
            double[] own = [.. sides.Select(TimeWithCores)];
            counts &= probe.EachThreadHasACore();
            if (attempt < 0)
                continue;
            if (!counts)
            {
                disturbed++;
                continue;
            }

            foreach ((List<double> all, double time) in times.Zip(own))
                all.Add(time);

            double TimeWithCores(Action side)
            {
                counts &= probe.EachThreadHasACore();
                probe.WarmUp(side);
                long start = Stopwatch.GetTimestamp();
                side();
                return Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }

        return new Figures([.. times.Select(own => own.Count == 0 ? double.NaN : own.Order().ElementAt(own.Count / 2))], times[0].Count, disturbed);
    }

    /// <summary>What was measured.</summary>
    /// <param name="Seconds">Median time of each side; NaN where no round counts.</param>
    /// <param name="Rounds">Rounds that count.</param>
    /// <param name="Disturbed">Rounds before or after which threads had no core each; they do not count.</param>
    private sealed record Figures(double[] Seconds, int Rounds, int Disturbed)
    {
        public override string ToString() => Disturbed == 0 ? $"{Rounds}" : $"{Rounds} ({Disturbed} left out)";
    }
}
