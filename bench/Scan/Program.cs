using EmScan.Bench.Scan;
using EmScan.Engine;
using EmScan.Engine.Runtime;

string? folder = null;
try
{
    if (args is ["--help" or "-h"])
    {
        Console.WriteLine(Options.Usage);
        return 0;
    }

    var options = Options.Parse(args);
    folder = Path.Combine(options.Folder, $"emscan-bench-{Guid.NewGuid():N}");
    Directory.CreateDirectory(folder);
    using Workload workload = options.Model == null ? RandomWorkload.Create(options, folder) : GivenWorkload.Open(options, folder);
    GgufModel model = workload.Model;
    Console.WriteLine();
    Console.WriteLine($"{model.Description}, {model.LayerCount} layers, hidden size {model.HiddenSize}; {model.Device.Description}; " +
        $"llama.cpp {LlamaLibrary.SupportedVersion}; {DateTime.UtcNow:yyyy-MM-dd}");
    Console.WriteLine($"{workload.Description}; {options.Threads} thread(s) unless it says otherwise; {(options.CpuTime ? "processor time" : "time")}");
    Report.WarnIfBusy();
    Console.WriteLine();

    var clock = new Clock(options.CpuTime);
    if (options.Part is "all") await MemoryPart.RunAsync(workload);
    if (options.Part is "all" or "depth") new DepthPart(workload, clock).Run();
    if (options.Part is "all" or "reference") await new ReferencePart(workload, clock).RunAsync();
    if (options.Part is "all" or "cores" && !options.CpuTime) await new CoresPart(workload).RunAsync();
    Report.WarnIfBusy();
    return 0;
}
catch (EmScanException e)
{
    Console.Error.WriteLine(folder == null ? $"{e.Message}\n\n{Options.Usage}" : e.Message);
    return folder == null ? 2 : 1;
}
finally
{
    if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
}
