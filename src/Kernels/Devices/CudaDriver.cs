using System.Runtime.InteropServices;

namespace EmScan.Kernels;

/// <summary>Asks NVIDIA's driver for its devices, without anything that would have to be loaded otherwise. Thread safe.</summary>
public static unsafe class CudaDriver
{
    /// <summary>Number of CUDA devices that a program may use (CUDA_VISIBLE_DEVICES counts); 0 where there is no driver.</summary>
    public static int DeviceCount()
    {
        string name = OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";
        int count = 0;
        return NativeLibrary.TryLoad(name, out nint library)
            && NativeLibrary.TryGetExport(library, "cuInit", out nint initialize)
            && NativeLibrary.TryGetExport(library, "cuDeviceGetCount", out nint getCount)
            && ((delegate* unmanaged<uint, int>)initialize)(0) == 0
            && ((delegate* unmanaged<int*, int>)getCount)(&count) == 0
            ? count
            : 0;
    }
}
