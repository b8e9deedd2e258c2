using ILGPU;
using ILGPU.Runtime;

namespace EmScan.Kernels.Ilgpu;

/// <summary>The encoder of a sparse autoencoder on a device; states come in blocks. The k largest activations are found there, and only these go back.</summary>
internal sealed unsafe class DeviceEncoder : ISparseEncoder
{
    private readonly IlgpuDevice _device;
    private readonly SparseEncoderWeights _encoder;
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _weights;
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _bias;
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _thresholds;

    public DeviceEncoder(IlgpuDevice device, SparseEncoderWeights encoder)
    {
        (_device, _encoder) = (device, encoder);
        (_weights, _bias, _thresholds) = device.Run(queue => (
            queue.Keep(encoder.Weights),
            queue.Keep(encoder.Bias),
            queue.Keep(encoder.Thresholds.IsEmpty ? new float[encoder.Latents] : encoder.Thresholds)));
    }

    public int Dimension => _encoder.Dimension;

    public int Latents => _encoder.Latents;

    public void Encode(ReadOnlySpan<float> states, Span<float> activations)
    {
        int rows = Shape.Rows(states.Length, Dimension, nameof(states));
        Shape.RequireLength(activations.Length, (long)rows * Latents, "(T, F)", nameof(activations));
        if (activations.IsEmpty)
            return;
        if (_encoder.Activation == SparseActivation.TopK)
        {
            EncodeKept(states, activations, rows);
            return;
        }

        fixed (float* activationsAt = activations)
        {
            nint to = (nint)activationsAt;
            EncodeBlocks(states, (queue, block, first, count) => queue.Download(block, ref ((float*)to)[(nint)first * Latents]));
        }
    }

    public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations)
    {
        int rows = Shape.Rows(states.Length, Dimension, nameof(states));
        int k = Shape.PerRow(latents.Length, rows, Latents, nameof(latents));
        Shape.RequireLength(activations.Length, latents.Length, "(T, k)", nameof(activations));
        if (latents.IsEmpty)
            return;
        fixed (int* latentsAt = latents)
        fixed (float* activationsAt = activations)
        {
            (nint latentsTo, nint activationsTo) = ((nint)latentsAt, (nint)activationsAt);
            EncodeBlocks(states, (queue, block, first, count) =>
            {
                using MemoryBuffer1D<int, Stride1D.Dense> chosen = queue.Allocate<int>((long)count * k);
                using MemoryBuffer1D<float, Stride1D.Dense> values = queue.Allocate<float>((long)count * k);
                queue.Kernels.Top(queue.Stream, block, chosen.View.BaseView, values.View.BaseView, count, Latents, k);
                queue.Download(chosen.View.BaseView, ref ((int*)latentsTo)[(nint)first * k]);
                queue.Download(values.View.BaseView, ref ((float*)activationsTo)[(nint)first * k]);
            });
        }

        // Of a top-k encoder no more than its own k are active.
        for (int t = 0; t < rows && _encoder.Activation == SparseActivation.TopK && k > _encoder.K; t++)
        {
            latents.Slice(t * k + _encoder.K, k - _encoder.K).Fill(-1);
            activations.Slice(t * k + _encoder.K, k - _encoder.K).Clear();
        }
    }

    public void Dispose() => _device.Release(_weights, _bias, _thresholds);

    private void EncodeKept(ReadOnlySpan<float> states, Span<float> activations, int rows)
    {
        int[] latents = new int[rows * _encoder.K];
        float[] values = new float[latents.Length];
        EncodeTop(states, latents, values);
        activations.Clear();
        for (int i = 0; i < latents.Length; i++)
            if (latents[i] >= 0)
                activations[i / _encoder.K * Latents + latents[i]] = values[i];
    }

    private void EncodeBlocks(ReadOnlySpan<float> states, Action<DeviceQueue, ArrayView<float>, int, int> take)
    {
        int rows = states.Length / Dimension, perBlock = Math.Clamp(IlgpuDevice.ResultLength / Latents, 1, rows);
        fixed (float* statesAt = states)
        {
            nint from = (nint)statesAt;
            _device.Run(queue =>
            {
                using MemoryBuffer1D<float, Stride1D.Dense> result = queue.Allocate<float>((long)perBlock * Latents);
                for (int first = 0; first < rows; first += perBlock)
                {
                    int count = Math.Min(perBlock, rows - first);
                    ArrayView<float> block = queue.Upload((float*)from + (nint)first * Dimension, (long)count * Dimension);
                    ArrayView<float> activations = result.View.BaseView.SubView(0, (long)count * Latents);
                    queue.Kernels.Encode(
                        queue.Stream,
                        block,
                        _weights.View.BaseView,
                        _bias.View.BaseView,
                        _thresholds.View.BaseView,
                        activations,
                        count,
                        Latents,
                        Dimension);
                    take(queue, activations, first, count);
                }

                return 0;
            });
        }
    }
}
