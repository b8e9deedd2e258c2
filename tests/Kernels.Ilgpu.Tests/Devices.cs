using System.Collections.Concurrent;

namespace EmScan.Kernels.Ilgpu.Tests;

/// <summary>The devices that the conformance cases run on, each opened once.</summary>
internal static class Devices
{
    private static readonly ConcurrentDictionary<string, IKernelDevice> Processors = [];
    private static readonly Lazy<IKernelDevice> Simulation = new(IlgpuDevices.OpenSimulation);

    private static readonly Lazy<(IKernelDevice? Device, string? Reason)> OpenCl = new(() =>
    {
        try
        {
            return (OpenOpenCl(), null);
        }
        catch (KernelDeviceException missing)
        {
            return (null, $"{missing.Message} (On Debian: pocl-opencl-icd and ocl-icd-libopencl1.)");
        }
    });

    /// <summary>Why the OpenCL tests cannot run here, or null.</summary>
    public static string? NoOpenCl => OpenCl.Value.Reason;

    /// <summary>A new one, for tests that count or break things.</summary>
    public static IlgpuDevice OpenOpenCl() => IlgpuDevices.Open("opencl:0", acceptAllOpenCl: true);

    public static IKernelDevice Get(string name) => name switch
    {
        "simulation" => Simulation.Value,
        "opencl" => OpenCl.Value.Device!,
        _ => Processors.GetOrAdd(name, own => new CpuKernelDevice(2, KernelSets.All.Single(set => set.Name == own))),
    };
}

/// <summary>A test that needs an OpenCL device; skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class OpenClFactAttribute : FactAttribute
{
    public OpenClFactAttribute() => Skip = Devices.NoOpenCl;
}

/// <summary>The devices of this machine: every kernel set of the processor, and the OpenCL device where there is one.</summary>
internal sealed class RealDevices : TheoryData<string>
{
    public RealDevices()
    {
        foreach (KernelSet set in KernelSets.Available)
            Add(set.Name);
        if (Devices.NoOpenCl == null)
            Add("opencl");
    }
}

/// <summary>Those, and ILGPU's simulation, which only small shapes are for.</summary>
internal sealed class AllDevices : TheoryData<string>
{
    public AllDevices()
    {
        foreach (object[] row in (IEnumerable<object[]>)new RealDevices())
            Add((string)row[0]);
        Add("simulation");
    }
}
