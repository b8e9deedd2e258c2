using System.Globalization;
using EmScan.Bench.Kernels;

const string usage = """
    Measures the CPU kernels against the ceilings of this machine and against OpenBLAS.

      dotnet run -c Release --project bench/Kernels -- [--quick|--wide] [--devices [--flops TERAFLOPS]] [--output FILE]

      --quick        interleaved medians of the figures that matter, in under two minutes; without it, all kernels with BenchmarkDotNet.
                     With --devices: a few small shapes
      --wide         of these only the projections on many directions, in half a minute
      --devices      the jobs of device kernels on every CUDA and OpenCL device, after a check that their results are right; for a machine with
                     nothing but a driver: dotnet publish bench/Kernels -c Release -r linux-x64 --self-contained, copy, run with --devices
      --flops N      the device's float32 rate in TFLOP/s, for the share of the roofline
      --output FILE  writes the result as markdown, too

    OpenBLAS is the peer where it is installed (on Debian: libopenblas0-pthread); OPENBLAS_CORETYPE forces one of its kernels.
    """;

bool quick = false, wide = false, devices = false;
double teraflops = 0;
string? output = null;
for (int i = 0; i < args.Length; i++)
{
    if (args[i] == "--quick")
    {
        quick = true;
    }
    else if (args[i] == "--wide")
    {
        wide = true;
    }
    else if (args[i] == "--devices")
    {
        devices = true;
    }
    else if (args[i] == "--flops" && i + 1 < args.Length
        && double.TryParse(args[i + 1], NumberStyles.Float, CultureInfo.InvariantCulture, out teraflops) && teraflops > 0)
    {
        i++;
    }
    else if (args[i] == "--output" && i + 1 < args.Length)
    {
        output = args[++i];
    }
    else
    {
        Console.Error.WriteLine(usage);
        return args[i] is "--help" or "-h" ? 0 : 2;
    }
}

string report = devices ? DeviceReport.Run(1e12 * teraflops, quick) : quick || wide ? QuickReport.Run(wide) : FullReport.Run();
Console.WriteLine(report);
if (output != null)
    File.WriteAllText(output, report);
return 0;
