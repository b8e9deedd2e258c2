using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace EmScan.Kernels.Ilgpu;

/// <summary>The CUDA and OpenCL devices of this machine. Thread safe.</summary>
public static class IlgpuDevices
{
    private static readonly Lock Gate = new();
    private static bool _resolverIsSet;

    /// <summary>Names of the devices there are, such as "cuda:0 NVIDIA H100 80GB HBM3"; asks the drivers, which takes a while.</summary>
    public static IReadOnlyList<string> List() => List(acceptAllOpenCl: false);

    /// <summary>The same, with what <see cref="Open(string, bool)"/> accepts.</summary>
    internal static IReadOnlyList<string> List(bool acceptAllOpenCl)
    {
        using Context context = CreateContext(acceptAllOpenCl);
        return List(context);
    }

    /// <summary>Opens a device.</summary>
    /// <param name="name">"cuda:N" or "opencl:N", N from 0 on.</param>
    /// <exception cref="KernelDeviceException">There is no such device, or it cannot be opened; the sentence names the ones there
    /// are.</exception>
    public static IlgpuDevice Open(string name) => Open(name, acceptAllOpenCl: false);

    /// <summary>Opens a device.</summary>
    /// <param name="name">"cuda:N" or "opencl:N".</param>
    /// <param name="acceptAllOpenCl">Also devices that lack generic address spaces, which no kernel here needs (pocl before 4).</param>
    internal static IlgpuDevice Open(string name, bool acceptAllOpenCl)
    {
        ArgumentNullException.ThrowIfNull(name);
        string description;
        using (Context probe = CreateContext(acceptAllOpenCl))
            description = $"{name} {Find(probe, name).Name.Trim()}";
        return new IlgpuDevice(description, () =>
        {
            Context context = CreateContext(acceptAllOpenCl);
            return (context, Find(context, name));
        });
    }

    /// <summary>
    /// ILGPU's simulation of a device on the processor, for tests: hundreds of threads take turns, a thousand times slower than the kernels
    /// of <see cref="KernelSets"/>.
    /// </summary>
    internal static IlgpuDevice OpenSimulation() => new("simulation", () =>
    {
        Context context = Context.Create(builder => Usual(builder).CPU(new CPUDevice(32, Tiles.Threads / 32, 1)));
        return (context, context.GetCPUDevice(0));
    });

    internal static Context.Builder Usual(Context.Builder builder) =>
        builder.Optimize(OptimizationLevel.O2).Inlining(InliningMode.Aggressive);

    private static Context CreateContext(bool acceptAllOpenCl)
    {
        SetResolver();
        return Context.Create(builder => Usual(builder).Cuda().OpenCL(device => Accept(device, acceptAllOpenCl)));
    }

    private static Device Find(Context context, string name)
    {
        string[] parts = name.Split(':');
        if (parts.Length == 2 && int.TryParse(parts[1], out int index) && index >= 0)
        {
            if (parts[0] == "cuda" && index < context.GetCudaDevices().Count)
                return context.GetCudaDevice(index);
            if (parts[0] == "opencl" && index < context.GetCLDevices().Count)
                return context.GetCLDevice(index);
        }

        List<string> all = List(context);
        throw new KernelDeviceException(all.Count == 0
            ? $"There is no device {name}: no CUDA or OpenCL driver reports a device that could be used."
            : $"There is no device {name}; there are {string.Join(", ", all)}.");
    }

    private static List<string> List(Context context)
    {
        List<string> names = [];
        foreach (CudaDevice device in context.GetCudaDevices())
            names.Add($"cuda:{names.Count} {device.Name.Trim()}");
        int cuda = names.Count;
        foreach (CLDevice device in context.GetCLDevices())
            names.Add($"opencl:{names.Count - cuda} {device.Name.Trim()}");
        return names;
    }

    private static bool Accept(CLDevice device, bool all)
    {
        if (all && !device.Capabilities.GenericAddressSpace)
        {
            // The property has no public setter; ILGPU refuses the device without it, although these kernels compile.
            typeof(CLCapabilityContext).GetProperty(nameof(CLCapabilityContext.GenericAddressSpace))!.GetSetMethod(nonPublic: true)!
                .Invoke(device.Capabilities, [true]);
        }

        return device.Capabilities.GenericAddressSpace && device.Capabilities.Float64;
    }

    /// <summary>
    /// ILGPU asks for libOpenCL.so, which Debian and Ubuntu only ship with the headers; the loader's own name is libOpenCL.so.1. In WSL
    /// ILGPU has a resolver of its own, and an assembly takes one.
    /// </summary>
    private static void SetResolver()
    {
        lock (Gate)
        {
            if (_resolverIsSet || !OperatingSystem.IsLinux() || Directory.Exists("/usr/lib/wsl/lib"))
                return;
            NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, (name, assembly, path) =>
                name == "OpenCL" && !NativeLibrary.TryLoad(name, assembly, path, out _)
                    && NativeLibrary.TryLoad("libOpenCL.so.1", assembly, path, out nint library) ? library : 0);
            _resolverIsSet = true;
        }
    }
}
