using System.Numerics.Tensors;
using ILGPU;
using ILGPU.Runtime;

namespace EmScan.Kernels.Ilgpu;

/// <summary>
/// <see cref="RunningMoments"/> on a device: rows collect here into blocks, and mean and co-moments (4 D^2 bytes) stay there until they are
/// read. While a block is at work, the next one collects.
/// </summary>
internal sealed unsafe class DeviceMoments : IMoments
{
    private readonly IlgpuDevice _device;
    private readonly float[] _block; // (BlockRows, D)
    private readonly MemoryBuffer1D<double, Stride1D.Dense> _upper; // (D (D + 1) / 2)
    private readonly MemoryBuffer1D<double, Stride1D.Dense> _vectors; // (3, D): mean, centre of a block, delta
    private long _closed;
    private int _open;

    public DeviceMoments(IlgpuDevice device, int dimension)
    {
        long length = Shape.CoMoments(dimension);
        _device = device;
        Dimension = dimension;
        _block = new float[checked(RunningMoments.BlockRows * dimension)];
        (_upper, _vectors) = device.Run(queue =>
        {
            var buffers = (queue.Allocate<double>(length), queue.Allocate<double>(3L * dimension));
            buffers.Item1.View.BaseView.MemSetToZero(queue.Stream);
            buffers.Item2.View.BaseView.MemSetToZero(queue.Stream);
            return buffers;
        });
    }

    public int Dimension { get; }

    public long Count => _closed + _open;

    private ArrayView<double> Mean => _vectors.View.BaseView.SubView(0, Dimension);

    private ArrayView<double> Centre => _vectors.View.BaseView.SubView(Dimension, Dimension);

    private ArrayView<double> Delta => _vectors.View.BaseView.SubView(2L * Dimension, Dimension);

    public void Add(ReadOnlySpan<float> states)
    {
        _ = Shape.Rows(states.Length, Dimension, nameof(states));
        while (states.Length > 0)
        {
            int taken = Math.Min(states.Length / Dimension, RunningMoments.BlockRows - _open);
            states[..(taken * Dimension)].CopyTo(_block.AsSpan(_open * Dimension));
            states = states[(taken * Dimension)..];
            _open += taken;
            if (_open == RunningMoments.BlockRows)
                CloseBlock();
        }
    }

    public void Merge(IMoments other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other is not DeviceMoments moments || moments._device != _device)
            throw new ArgumentException("Moments of different devices cannot be merged.", nameof(other));
        Shape.RequireLength(moments.Dimension, Dimension, "(D)", nameof(other));
        CloseBlock();
        moments.CloseBlock();
        if (moments._closed == 0)
            return;
        double share = (double)moments._closed / (_closed + moments._closed), weight = _closed * share;
        _device.Run(queue =>
        {
            queue.Kernels.Merge(
                queue.Stream, Mean, _upper.View.BaseView, moments.Mean, moments._upper.View.BaseView, Delta, Dimension, share, weight);
            return 0;
        });
        _closed += moments._closed;
    }

    public void CopyMean(Span<double> mean)
    {
        Shape.RequireLength(mean.Length, Dimension, "(D)", nameof(mean));
        CloseBlock();
        if (_closed == 0)
        {
            mean.Fill(double.NaN);
            return;
        }

        fixed (double* meanAt = mean)
        {
            nint to = (nint)meanAt;
            _device.Run(queue =>
            {
                queue.Download(Mean, ref *(double*)to);
                return 0;
            });
        }
    }

    public void CopyCovariance(Span<double> covariance, VarianceKind kind)
    {
        Shape.RequireLength(covariance.Length, (long)Dimension * Dimension, "(D, D)", nameof(covariance));
        double scale = Divisor.Reciprocal(kind, Count);
        CloseBlock();
        double[] upper = new double[PackedUpper.Length(Dimension)];
        _device.Run(queue =>
        {
            queue.Download(_upper.View.BaseView, ref upper[0]);
            return 0;
        });
        for (int i = 0; i < Dimension; i++)
        {
            Span<double> row = covariance.Slice(i * Dimension, Dimension);
            TensorPrimitives.Multiply(upper.AsSpan((int)PackedUpper.RowStart(i, Dimension), Dimension - i), scale, row[i..]);
            for (int j = 0; j < i; j++)
                row[j] = covariance[j * Dimension + i];
        }
    }

    public void Dispose() => _device.Release(_upper, _vectors);

    private void CloseBlock()
    {
        if (_open == 0)
            return;
        double share = (double)_open / (_closed + _open), weight = _closed * share;
        int count = _open;
        _device.Run(queue =>
        {
            fixed (float* block = _block)
            {
                ArrayView<float> rows = queue.Upload(block, (long)count * Dimension);
                queue.Kernels.AddBlock(
                    queue.Stream, rows, Centre, Delta, Mean, _upper.View.BaseView, count, Dimension, share, weight);
            }

            return 0;
        });
        _closed += _open;
        _open = 0;
    }
}
