using System.Globalization;
using EmScan.Kernels;
using EmScan.Kernels.Probe;

// Runs the conformance cases on whatever kernel sets this process can use and prints what it found. The tests start it with instruction
// sets switched off, because that choice is made when a process starts.
try
{
    Console.WriteLine($"selected {KernelSets.Default.Name}");
}
catch (KernelSelectionException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}

Console.WriteLine($"available {string.Join(' ', KernelSets.Available.Select(set => set.Name))}");
foreach (KernelSet set in KernelSets.Available)
{
    foreach ((string operation, double error) in Conformance.WorstErrors(set))
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"error {set.Name} {operation} {error:R}"));

    // Of all threads together: nothing else runs in this process.
    using ParallelKernelSet parallel = new(3, set);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"allocated {set.Name} {HotLoop.AllocatedBytes(parallel)}"));
}

return 0;
