using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using EmScan.Engine.Formats;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Mean activations of a sparse autoencoder's F latents: part "mean" (F), the mean over prompts of the mean over each prompt's rows, as
/// <see cref="ProjectionReducer"/> takes its means. In the autoencoder's own units.
/// </summary>
internal sealed class LatentMeanReducer : Reducer
{
    /// <summary>Activations that are held at a time.</summary>
    private const int BlockLength = 1 << 22;

    private readonly ISparseEncoder _encoder;

    /// <summary>Makes the reducer.</summary>
    /// <param name="autoencoder">What encodes.</param>
    /// <param name="encoder">Its encoder where it is computed; outlives all accumulators.</param>
    public LatentMeanReducer(SparseAutoencoder autoencoder, ISparseEncoder encoder)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(encoder);
        _encoder = encoder;
        Identity = $"latent means 1 {autoencoder.Digest}";
    }

    /// <inheritdoc/>
    public override string Identity { get; }

    private int BlockRows => Math.Clamp(BlockLength / _encoder.Latents, 1, Lens.MostRows);

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) =>
        ((long)sizeof(double) * _encoder.Latents) + ((long)sizeof(float) * BlockRows * (_encoder.Latents + width));

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return new State(_encoder, prompts, BlockRows);
    }

    private sealed class State(ISparseEncoder encoder, PromptSet prompts, int blockRows) : Accumulator
    {
        private readonly List<float> _waiting = [];
        private readonly List<double> _shares = []; // of each waiting row in its prompt
        private readonly double[] _sums = new double[encoder.Latents];
        private float[] _activations = [];

        public override void Add(in RowBlock rows)
        {
            double share = prompts.Pooling == RowPooling.MeanOfPrompt ? 1 : 1.0 / prompts.Prompts[rows.Prompt].Positions.Length;
            _waiting.AddRange(rows.States);
            for (int r = 0; r < rows.Count; r++) _shares.Add(share);
            if (_shares.Count >= blockRows) Encode();
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            state.Encode();
            TensorPrimitives.Add(_sums, state._sums, _sums);
        }

        public override CellResult Finish()
        {
            Encode();
            return new CellResult(("mean", Array.ConvertAll(_sums, sum => sum / prompts.Prompts.Count)));
        }

        private void Encode()
        {
            int rows = _shares.Count, latents = encoder.Latents;
            if (rows == 0) return;
            if (_activations.Length < rows * latents) _activations = new float[rows * latents];
            Span<float> activations = _activations.AsSpan(0, rows * latents);
            encoder.Encode(CollectionsMarshal.AsSpan(_waiting), activations);
            for (int r = 0; r < rows; r++)
            {
                ReadOnlySpan<float> row = activations.Slice(r * latents, latents);
                double share = _shares[r];
                for (int f = 0; f < latents; f++) _sums[f] += share * row[f];
            }

            _waiting.Clear();
            _shares.Clear();
        }
    }
}
