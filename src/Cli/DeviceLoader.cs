using System.Runtime.CompilerServices;
using EmScan.Kernels;
using EmScan.Kernels.Ilgpu;

namespace EmScan.Cli;

/// <summary>The only door to the device kernels: their assemblies are loaded when it is opened, and not before.</summary>
internal static class DeviceLoader
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static IKernelDevice Open(string name) => IlgpuDevices.Open(name);
}
