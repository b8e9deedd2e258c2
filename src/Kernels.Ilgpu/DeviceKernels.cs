using ILGPU;
using ILGPU.Runtime;
using Doubles = ILGPU.ArrayView<double>;
using Floats = ILGPU.ArrayView<float>;
using Queue = ILGPU.Runtime.AcceleratorStream;

namespace EmScan.Kernels.Ilgpu;

/// <summary>The kernels of one accelerator; each is compiled when it is first used, which takes 0.1 to 0.5 s.</summary>
internal sealed class DeviceKernels(Accelerator accelerator)
{
    private Action<Queue, KernelConfig, Floats, Floats, Doubles, int, int, int>? _project;
    private Action<Queue, KernelConfig, Floats, Floats, Floats, Floats, Floats, int, int, int>? _encode;
    private Action<Queue, KernelConfig, Floats, ArrayView<int>, Floats, int, int>? _top;
    private Action<Queue, KernelConfig, Floats, Doubles, Doubles, Doubles, int, int, double>? _centre;
    private Action<Queue, KernelConfig, Floats, Doubles, int, int>? _deviate;
    private Action<Queue, KernelConfig, Floats, Doubles, Doubles, int, int, double>? _addOuter;
    private Action<Queue, KernelConfig, Doubles, Doubles, Doubles, int, double>? _merge;
    private Action<Queue, KernelConfig, Doubles, Doubles, Doubles, int, double>? _moveMean;

    /// <summary><see cref="ProductKernels.Project"/>.</summary>
    public void Project(
        Queue stream, Floats left, Floats right, Doubles products, int rows, int count, int dimension)
    {
        _project ??= accelerator.LoadKernel<Floats, Floats, Doubles, int, int, int>(ProductKernels.Project);
        _project(stream, Groups(Tiles.Count(rows) * Tiles.Count(count)), left, right, products, rows, count, dimension);
    }

    /// <summary><see cref="ProductKernels.Encode"/>.</summary>
    public void Encode(
        Queue stream,
        Floats states,
        Floats weights,
        Floats bias,
        Floats thresholds,
        Floats activations,
        int rows,
        int count,
        int dimension)
    {
        _encode ??= accelerator.LoadKernel<Floats, Floats, Floats, Floats, Floats, int, int, int>(
            ProductKernels.Encode);
        _encode(stream, Groups(Tiles.Count(rows) * Tiles.Count(count)), states, weights, bias, thresholds, activations, rows, count, dimension);
    }

    /// <summary><see cref="ProductKernels.Top"/>.</summary>
    public void Top(
        Queue stream, Floats activations, ArrayView<int> latents, Floats values, int rows, int count, int k)
    {
        _top ??= accelerator.LoadKernel<Floats, ArrayView<int>, Floats, int, int>(ProductKernels.Top);
        _top(stream, Groups(rows), activations, latents, values, count, k);
    }

    /// <summary>
    /// <see cref="MomentKernels.Centre"/>, <see cref="MomentKernels.Deviate"/> and <see cref="MomentKernels.AddOuter"/>: joins a block of
    /// rows, which is overwritten, to the moments.
    /// </summary>
    public void AddBlock(
        Queue stream,
        Floats rows,
        Doubles centre,
        Doubles delta,
        Doubles mean,
        Doubles upper,
        int count,
        int dimension,
        double share,
        double weight)
    {
        _centre ??= accelerator.LoadKernel<Floats, Doubles, Doubles, Doubles, int, int, double>(
            MomentKernels.Centre);
        _deviate ??= accelerator.LoadKernel<Floats, Doubles, int, int>(MomentKernels.Deviate);
        _addOuter ??= accelerator.LoadKernel<Floats, Doubles, Doubles, int, int, double>(MomentKernels.AddOuter);
        int columns = MomentKernels.Columns(dimension), side = Tiles.Count(dimension);
        _centre(stream, Groups(columns), rows, centre, delta, mean, count, dimension, share);
        _deviate(stream, Groups(columns * MomentKernels.RowGroups), rows, centre, count, dimension);
        _addOuter(stream, Groups(side * (side + 1) / 2), rows, delta, upper, count, dimension, weight);
    }

    /// <summary><see cref="MomentKernels.MoveMean"/> and <see cref="MomentKernels.Merge"/>: joins other moments.</summary>
    public void Merge(
        Queue stream,
        Doubles mean,
        Doubles upper,
        Doubles otherMean,
        Doubles otherUpper,
        Doubles delta,
        int dimension,
        double share,
        double weight)
    {
        _moveMean ??= accelerator.LoadKernel<Doubles, Doubles, Doubles, int, double>(MomentKernels.MoveMean);
        _merge ??= accelerator.LoadKernel<Doubles, Doubles, Doubles, int, double>(MomentKernels.Merge);
        _moveMean(stream, Groups(MomentKernels.Columns(dimension)), mean, otherMean, delta, dimension, share);
        _merge(stream, Groups(dimension), upper, otherUpper, delta, dimension, weight);
    }

    private static KernelConfig Groups(int count) => new(count, Tiles.Threads);
}
