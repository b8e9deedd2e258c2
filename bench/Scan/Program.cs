using EmScan.Bench.Scan;
using EmScan.Engine;
using EmScan.Engine.Runtime;

if (args is ["--help" or "-h"])
{
    Console.WriteLine(Options.Usage);
    return 0;
}

if (args is [StartPart.Choose, var name]) return StartPart.ChooseOnce(name);

Options options;
try
{
    options = Options.Parse(args);
}
catch (EmScanException e)
{
    Console.Error.WriteLine($"{e.Message}\n\n{Options.Usage}");
    return 2;
}

try
{
    if (options.Part == "start")
    {
        Report.WarnIfBusy();
        StartPart.Run(options.Rounds);
        return 0;
    }

    using var folder = new ScratchFolder(options.Folder);
    using Workload workload = options.Model == null
        ? RandomWorkload.Create(options, folder.FullPath)
        : GivenWorkload.Open(options, folder.FullPath);
    GgufModel model = workload.Model;
    Console.WriteLine();
    Console.WriteLine($"{model.Description}, {model.LayerCount} layers, hidden size {model.HiddenSize}; {model.Device.Description}; " +
        $"{LlamaLibrary.SupportedVersion}; {DateTime.UtcNow:yyyy-MM-dd}");
    Console.WriteLine($"{workload.Description}; {options.Threads} thread(s) unless it says otherwise; " +
        (options.CpuTime ? "processor time" : "time"));
    Report.WarnIfBusy();
    Console.WriteLine();

    var clock = new Clock(options.CpuTime);
    if (options.Part is "all" or "memory") await MemoryPart.RunAsync(workload);
    if (options.Part is "all" or "depth") new DepthPart(workload, clock).Run();
    if (options.Part is "all" or "places") new PlacesPart(workload, clock).Run();
    if (options.Part is "all" or "reference") await new ReferencePart(workload, clock).RunAsync();
    if (options.Part is "all" or "cores" && !options.CpuTime) await new CoresPart(workload).RunAsync();
    if (options.Part == "diff") new DiffPart(workload).Run();
    if (options.Part == "watch") new WatchPart(workload).Run();
    if (options.Part == "report") new ReportPart(workload).Run();
    Report.WarnIfBusy();
    return 0;
}
catch (EmScanException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"{options.Folder}: cannot be written ({e.Message}); give another --folder.");
    return 1;
}
