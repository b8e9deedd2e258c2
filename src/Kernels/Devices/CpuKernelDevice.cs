using System.Buffers;

namespace EmScan.Kernels;

/// <summary>The processor that the program runs on, as a device.</summary>
public sealed class CpuKernelDevice : IKernelDevice
{
    private readonly KernelSet _kernels;
    private readonly int _threads;
    private readonly Lazy<ParallelKernelSet>? _parallel; // for moments

    /// <summary>Makes the device; it holds nothing until moments are started, which need threads of their own.</summary>
    /// <param name="threads">Most threads that work on a call. Blocks of directions for kept states are meant to come from several
    /// threads and take one each.</param>
    /// <param name="kernels">Kernel set, or null for <see cref="KernelSets.Default"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no thread.</exception>
    /// <exception cref="KernelSelectionException">No kernel set is given and the environment names one that cannot run.</exception>
    public CpuKernelDevice(int threads = 1, KernelSet? kernels = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _threads = threads;
        _kernels = kernels ?? KernelSets.Default;
        if (threads > 1)
            _parallel = new Lazy<ParallelKernelSet>(() => new ParallelKernelSet(threads, _kernels));
    }

    /// <inheritdoc/>
    public string Name => $"cpu {_kernels.Name}";

    /// <inheritdoc/>
    public bool IsCpu => true;

    /// <inheritdoc/>
    public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension) =>
        new Directions(directions, Shape.Rows(directions.Length, dimension, nameof(directions)), dimension, _kernels, _threads);

    /// <inheritdoc/>
    public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension) => new WideProjection(states.Span, dimension, _kernels, _threads);

    /// <inheritdoc/>
    public IMoments StartMoments(int dimension) => new Moments(new RunningMoments(dimension, _parallel?.Value ?? _kernels));

    /// <inheritdoc/>
    public ISparseEncoder Keep(SparseEncoderWeights encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return new Encoder(encoder, new Directions(encoder.Weights, encoder.Latents, encoder.Dimension, _kernels, _threads));
    }

    /// <summary>Ends the threads. No moments may be at work or follow.</summary>
    public void Dispose()
    {
        if (_parallel is { IsValueCreated: true })
            _parallel.Value.Dispose();
    }

    /// <summary>Holds managed memory only, so there is nothing to give back.</summary>
    private sealed class Moments(RunningMoments moments) : IMoments
    {
        private readonly RunningMoments _moments = moments;

        public int Dimension => _moments.Dimension;

        public long Count => _moments.Count;

        public void Add(ReadOnlySpan<float> states) => _moments.Add(states);

        public void Merge(IMoments other) => _moments.Merge(
            (other as Moments ?? throw new ArgumentException("Moments of different devices cannot be merged.", nameof(other)))._moments);

        public void CopyMean(Span<double> mean) => _moments.CopyMean(mean);

        public void CopyCovariance(Span<double> covariance, VarianceKind kind) => _moments.CopyCovariance(covariance, kind);

        public void Dispose()
        {
        }
    }

    private sealed class Directions(ReadOnlyMemory<float> directions, int count, int dimension, KernelSet kernels, int threads)
        : IResidentDirections
    {
        public int Count => count;

        public int Dimension => dimension;

        public void Project(ReadOnlySpan<float> states, Span<double> projections)
        {
            using WideProjection projection = new(states, dimension, kernels, threads);
            projection.Project(directions.Span, projections, threads);
        }

        public void Dispose()
        {
        }
    }

    private sealed class Encoder(SparseEncoderWeights encoder, Directions directions) : ISparseEncoder
    {
        /// <summary>Values of z that are held at a time, 16 MB.</summary>
        private const int BlockLength = 1 << 21;

        public int Dimension => encoder.Dimension;

        public int Latents => encoder.Latents;

        public void Encode(ReadOnlySpan<float> states, Span<float> activations)
        {
            int rows = Shape.Rows(states.Length, Dimension, nameof(states)), perBlock = Math.Max(1, BlockLength / Latents);
            Shape.RequireLength(activations.Length, (long)rows * Latents, "(T, F)", nameof(activations));
            double[] block = ArrayPool<double>.Shared.Rent(Math.Min(rows, perBlock) * Latents);
            for (int first = 0; first < rows; first += perBlock)
            {
                int count = Math.Min(perBlock, rows - first);
                Span<double> values = block.AsSpan(0, count * Latents);
                directions.Project(states.Slice(first * Dimension, count * Dimension), values);
                for (int t = 0; t < count; t++)
                    Activate(values.Slice(t * Latents, Latents), activations.Slice((first + t) * Latents, Latents));
            }

            ArrayPool<double>.Shared.Return(block);
        }

        public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations)
        {
            int rows = Shape.Rows(states.Length, Dimension, nameof(states));
            int k = Shape.PerRow(latents.Length, rows, Latents, nameof(latents)), perBlock = Math.Max(1, BlockLength / Latents);
            Shape.RequireLength(activations.Length, latents.Length, "(T, k)", nameof(activations));
            float[] block = ArrayPool<float>.Shared.Rent(Math.Min(rows, perBlock) * Latents);
            for (int first = 0; first < rows; first += perBlock)
            {
                int count = Math.Min(perBlock, rows - first);
                Span<float> all = block.AsSpan(0, count * Latents);
                Encode(states.Slice(first * Dimension, count * Dimension), all);
                for (int t = 0; t < count; t++)
                {
                    int to = (first + t) * k;
                    TopActivations.Select(all.Slice(t * Latents, Latents), latents.Slice(to, k), activations.Slice(to, k));
                }
            }

            ArrayPool<float>.Shared.Return(block);
        }

        public void Dispose()
        {
        }

        private void Activate(ReadOnlySpan<double> values, Span<float> activations)
        {
            ReadOnlySpan<float> bias = encoder.Bias.Span, thresholds = encoder.Thresholds.Span;
            for (int f = 0; f < activations.Length; f++)
            {
                // As a float, so that a device that rounds sooner meets the same threshold.
                float value = (float)(values[f] + bias[f]);
                float threshold = thresholds.IsEmpty ? 0 : thresholds[f];
                activations[f] = value > threshold || float.IsNaN(value) ? value : 0;
            }

            if (encoder.Activation == SparseActivation.TopK)
                TopActivations.Keep(activations, encoder.K);
        }
    }
}
