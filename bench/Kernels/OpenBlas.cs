using System.Runtime.InteropServices;

namespace EmScan.Bench.Kernels;

/// <summary>OpenBLAS, where it is installed: what a numeric program would call instead.</summary>
internal sealed unsafe class OpenBlas
{
    private const int RowMajor = 101, NoTranspose = 111, Transpose = 112, Upper = 121;

    private readonly delegate* unmanaged<int, void> _setThreads;
    private readonly delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void> _gemm;
    private readonly delegate* unmanaged<int, int, int, int, int, float, float*, int, float, float*, int, void> _syrk;
    private int _threads;

    private OpenBlas(nint library)
    {
        _setThreads = (delegate* unmanaged<int, void>)NativeLibrary.GetExport(library, "openblas_set_num_threads");
        _gemm = (delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)
            NativeLibrary.GetExport(library, "cblas_sgemm");
        _syrk = (delegate* unmanaged<int, int, int, int, int, float, float*, int, float, float*, int, void>)
            NativeLibrary.GetExport(library, "cblas_ssyrk");
        string Text(string name) =>
            Marshal.PtrToStringUTF8(((delegate* unmanaged<nint>)NativeLibrary.GetExport(library, name))()) ?? "unknown";
        Description = $"{Text("openblas_get_config").Trim()}, kernels for {Text("openblas_get_corename")}";
    }

    /// <summary>Version and the kernels it chose for this processor.</summary>
    public string Description { get; }

    /// <summary>The library, or null where there is none.</summary>
    public static OpenBlas? TryLoad()
    {
        foreach (string name in new[] { "libopenblas.so.0", "libopenblas", "openblas" })
        {
            if (NativeLibrary.TryLoad(name, out nint library) && NativeLibrary.TryGetExport(library, "openblas_set_num_threads", out _))
                return new OpenBlas(library);
        }

        return null;
    }

    /// <summary>Sets the number of threads for the calls that follow.</summary>
    public void UseThreads(int threads)
    {
        _setThreads(threads);
        _threads = threads;
    }

    /// <summary>
    /// Its threads spin for 2^26 cycles after a call, 26 ms at 2.6 GHz; this lets them go to sleep before something else is measured.
    /// </summary>
    public void Rest()
    {
        if (_threads > 1)
            Thread.Sleep(60);
    }

    /// <summary>projections (T, K) = states (T, D) directions (K, D)^T, all float32.</summary>
    public void Project(float* states, float* directions, int dimension, int rows, int count, float* projections) => _gemm(
        RowMajor, NoTranspose, Transpose, rows, count, dimension, 1, states, dimension, directions, dimension, 0, projections, count);

    /// <summary>sum (D, D), upper half, += states (T, D)^T states, all float32.</summary>
    public void AddOuterProducts(float* states, int dimension, int rows, float* sum) =>
        _syrk(RowMajor, Upper, Transpose, dimension, rows, 1, states, dimension, 1, sum, dimension);
}
