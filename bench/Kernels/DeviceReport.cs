using System.Diagnostics;
using System.Text;
using EmScan.Kernels;
using EmScan.Kernels.Ilgpu;
using EmScan.Kernels.Probe;
using ILGPU;
using ILGPU.Runtime;

namespace EmScan.Bench.Kernels;

/// <summary>
/// The jobs that a device is for, on each device of this machine: first whether the results are right, then how fast they come, with
/// everything on the device already and with all copies, beside the processor and OpenBLAS.
/// </summary>
internal static unsafe class DeviceReport
{
    private const int Rounds = 5;

    /// <summary>A figure takes about so long; tokens are left out where one round would take longer than <see cref="MostTime"/>.</summary>
    private const double MostTime = 20; // Seconds.

    /// <summary>Makes the table.</summary>
    /// <param name="flopsPerSecond">Float32 rate of the device, or 0.</param>
    /// <param name="quick">Whether a few small shapes are enough, to see that all of it works.</param>
    public static string Run(double flopsPerSecond, bool quick)
    {
        int[] widths = quick ? [1024] : [1024, 4096];
        int[] counts = quick ? [7, 256] : [7, 16, 256, 16384, 65536];
        int[] tokens = quick ? [256] : [256, 2048, 8192];
        OpenBlas? peer = OpenBlas.TryLoad();
        IReadOnlyList<string> names = IlgpuDevices.List(acceptAllOpenCl: true);
        StringBuilder report = new();
        report.Append($"""
            # Device kernels

            ```
            {Machine.Describe(peer)}
            Devices: {(names.Count == 0 ? "none but the processor" : string.Join(", ", names))}
            ```

            Medians of {Rounds} rounds after one that is not counted. Resident: everything is on the device already and stays there. With copies:
            rows come from the host and results go back. Roofline: 2 T D K (moments: T D (D + 1)) operations at the float32 rate given
            with --flops{(flopsPerSecond > 0 ? $", {flopsPerSecond / 1e12:F1} TFLOP/s" : "; none was given")}.


            """.ReplaceLineEndings("\n"));
        foreach (string name in names)
        {
            using IlgpuDevice device = IlgpuDevices.Open(name.Split(' ')[0], acceptAllOpenCl: true);
            report.Append($"## {device.Name}\n\n").Append(Conformance(device)).Append(Header);
            foreach (int dimension in widths)
                foreach (int count in counts)
                    foreach (int rows in tokens)
                        report.Append(Products(device, peer, dimension, count, rows, flopsPerSecond));
            foreach (int dimension in widths)
                foreach (int rows in tokens)
                    report.Append(Moments(device, dimension, rows, flopsPerSecond));
            report.Append('\n');
        }

        return report.ToString();
    }

    private static string Header => """
        | job | T | D | resident | of roofline | with copies | processor, all cores | OpenBLAS |
        |---|---|---|---|---|---|---|---|

        """.ReplaceLineEndings("\n");

    private static string Conformance(IlgpuDevice device)
    {
        double products = new[] { (64, 64, 64), (130, 511, 63), (7, 4096, 33) }
            .Max(shape => DeviceConformance.ProjectError(device, shape.Item1, shape.Item2, shape.Item3, 1));
        (double mean, double covariance) = DeviceConformance.MomentsError(device, 2500, 130, 2);
        double encodings = Enum.GetValues<SparseActivation>().Max(activation => DeviceConformance.EncodeError(device, activation, 31, 300, 1000, 3));
        int tops = DeviceConformance.WrongTops(device, 20, 64, 1500, 40, 4);
        bool right = products < 1.5e-7 && mean < 1e-12 && covariance < 4e-7 && encodings < 1.5e-7 && tops == 0;
        return $"Results are {(right ? "right" : "**wrong**")}: products {products:0.0e+0}, mean {mean:0.0e+0}, covariance {covariance:0.0e+0}, encodings {encodings:0.0e+0}, wrong places among the largest {tops}.\n\n";
    }

    private static string Products(IlgpuDevice device, OpenBlas? peer, int dimension, int count, int rows, double flopsPerSecond)
    {
        double work = 2.0 * rows * dimension * count;
        if ((long)rows * count > Array.MaxLength / 8 || work > 40e9 * MostTime)
            return "";
        using Numbers states = new(rows * dimension, 1), directions = new(count * dimension, 2), single = new(rows * count, 3);
        double[] products = new double[rows * count];
        double resident = device.Run(queue =>
        {
            using MemoryBuffer1D<float, Stride1D.Dense> left = queue.Allocate<float>(states.Length), right = queue.Allocate<float>(directions.Length);
            using MemoryBuffer1D<double, Stride1D.Dense> result = queue.Allocate<double>(products.Length);
            queue.Upload(states.Start, states.Length, left.View.BaseView);
            queue.Upload(directions.Start, directions.Length, right.View.BaseView);
            return Median(() =>
            {
                queue.Kernels.Project(queue.Stream, left.View.BaseView, right.View.BaseView, result.View.BaseView, rows, count, dimension);
                queue.Stream.Synchronize();
            });
        });
        using IResidentDirections kept = device.Keep(directions.Span.ToArray(), dimension);
        double copied = Median(() => kept.Project(states.Span, products));
        double processor = Median(() =>
        {
            using WideProjection projection = new(states.Span, dimension, threads: Environment.ProcessorCount);
            projection.Project(directions.Span, products, Environment.ProcessorCount);
        });
        peer?.UseThreads(Environment.ProcessorCount);
        double? blas = peer == null ? null : Median(() => peer.Project(states.Start, directions.Start, dimension, rows, count, single.Start));
        return Row($"K = {count}", rows, dimension, work, resident, copied, processor, blas, flopsPerSecond);
    }

    private static string Moments(IlgpuDevice device, int dimension, int rows, double flopsPerSecond)
    {
        double work = (double)rows * dimension * (dimension + 1);
        if (work > 40e9 * MostTime)
            return "";
        using Numbers states = new(rows * dimension, 1);
        double resident = device.Run(queue =>
        {
            int block = Math.Min(rows, RunningMoments.BlockRows);
            using MemoryBuffer1D<float, Stride1D.Dense> left = queue.Allocate<float>((long)block * dimension);
            using MemoryBuffer1D<double, Stride1D.Dense> upper = queue.Allocate<double>(PackedUpper.Length(dimension));
            using MemoryBuffer1D<double, Stride1D.Dense> vectors = queue.Allocate<double>(3L * dimension);
            upper.View.BaseView.MemSetToZero(queue.Stream);
            vectors.View.BaseView.MemSetToZero(queue.Stream);
            queue.Upload(states.Start, (long)block * dimension, left.View.BaseView);
            return Median(() =>
            {
                for (int first = 0; first < rows; first += block)
                {
                    queue.Kernels.AddBlock(
                        queue.Stream,
                        left.View.BaseView,
                        vectors.View.BaseView.SubView(0, dimension),
                        vectors.View.BaseView.SubView(dimension, dimension),
                        vectors.View.BaseView.SubView(2L * dimension, dimension),
                        upper.View.BaseView,
                        Math.Min(block, rows - first),
                        dimension,
                        0.5,
                        1);
                }

                queue.Stream.Synchronize();
            });
        });
        double[] mean = new double[dimension];
        using IMoments moments = device.StartMoments(dimension);
        double copied = Median(() =>
        {
            moments.Add(states.Span);
            moments.CopyMean(mean);
        });
        using CpuKernelDevice cpu = new(Environment.ProcessorCount);
        using IMoments own = cpu.StartMoments(dimension);
        double processor = Median(() =>
        {
            own.Add(states.Span);
            own.CopyMean(mean);
        });
        return Row("moments", rows, dimension, work, resident, copied, processor, null, flopsPerSecond);
    }

    private static string Row(
        string job, int rows, int dimension, double work, double resident, double copied, double processor, double? blas, double flopsPerSecond)
    {
        string Rate(double? seconds) => seconds is { } time ? $"{work / time / 1e9:F0} GFLOP/s" : "-";
        string roofline = flopsPerSecond > 0 ? $"{work / resident / flopsPerSecond:P0}" : "-";
        return $"| {job} | {rows} | {dimension} | {Rate(resident)} | {roofline} | {Rate(copied)} | {Rate(processor)} | {Rate(blas)} |\n";
    }

    private static double Median(Action work)
    {
        work();
        double[] times = new double[Rounds];
        for (int i = 0; i < Rounds; i++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        return times.Order().ElementAt(Rounds / 2);
    }
}
