using EmScan.Bench.Kernels;

const string usage = """
    Measures the CPU kernels against the ceilings of this machine and against OpenBLAS.

      dotnet run -c Release --project bench/Kernels -- [--quick] [--output FILE]

      --quick        interleaved medians of the figures that matter, in under two minutes; without it, all kernels with BenchmarkDotNet
      --output FILE  writes the result as markdown, too

    OpenBLAS is the peer where it is installed (on Debian: libopenblas0-pthread); OPENBLAS_CORETYPE forces one of its kernels.
    """;

bool quick = false;
string? output = null;
for (int i = 0; i < args.Length; i++)
{
    if (args[i] == "--quick")
    {
        quick = true;
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

string report = quick ? QuickReport.Run() : FullReport.Run();
Console.WriteLine(report);
if (output != null)
    File.WriteAllText(output, report);
return 0;
