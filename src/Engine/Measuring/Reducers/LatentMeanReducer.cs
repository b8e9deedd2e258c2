using System.Numerics.Tensors;
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

    private int BlockRows => LatentRows.BlockRows(_encoder, BlockLength);

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
        private readonly LatentRows _waiting = new(encoder, blockRows);
        private readonly List<double> _shares = []; // of each waiting row in its prompt
        private readonly double[] _sums = new double[encoder.Latents];

        public override void Add(in RowBlock rows)
        {
            double share = prompts.Pooling == RowPooling.MeanOfPrompt ? 1 : 1.0 / prompts.Prompts[rows.Prompt].Positions.Length;
            _waiting.Add(rows.States);
            for (int r = 0; r < rows.Count; r++) _shares.Add(share);
            if (_waiting.IsFull) Encode();
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
            int latents = encoder.Latents;
            ReadOnlySpan<float> activations = _waiting.Encode();
            for (int r = 0; r < _shares.Count; r++)
            {
                ReadOnlySpan<float> row = activations.Slice(r * latents, latents);
                double share = _shares[r];
                for (int f = 0; f < latents; f++) _sums[f] += share * row[f];
            }

            _shares.Clear();
        }
    }
}
