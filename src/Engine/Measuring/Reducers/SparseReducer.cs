using EmScan.Engine.Formats;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Activations of a sparse autoencoder's F latents over N rows, of the base and of the variant: parts "rows" N, "base" and "variant" (F), mean
/// activation of each latent, and "active_base" and "active", the mean number of latents that are not 0.
/// </summary>
internal sealed class SparseReducer : Reducer
{
    /// <summary>Activations that are held at a time.</summary>
    private const int BlockLength = 1 << 24;

    private readonly ISparseEncoder _encoder;

    /// <summary>Makes the reducer.</summary>
    /// <param name="autoencoder">What encodes.</param>
    /// <param name="encoder">Its encoder where it is computed; outlives all accumulators.</param>
    public SparseReducer(SparseAutoencoder autoencoder, ISparseEncoder encoder)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(encoder);
        _encoder = encoder;
        Identity = $"sparse 1 {autoencoder.Digest}";
    }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override bool NeedsBase => true;

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) =>
        (2L * sizeof(double) * _encoder.Latents) + ((long)sizeof(float) * BlockRows * (_encoder.Latents + (2L * width)));

    private int BlockRows => LatentRows.BlockRows(_encoder, BlockLength);

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(_encoder, BlockRows);

    private sealed class State(ISparseEncoder encoder, int blockRows) : Accumulator
    {
        private readonly Side _base = new(encoder, blockRows);
        private readonly Side _variant = new(encoder, blockRows);
        private long _rows;

        public override void Add(in RowBlock rows)
        {
            _base.Add(rows.Base);
            _variant.Add(rows.States);
            _rows += rows.Count;
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            _base.Merge(state._base);
            _variant.Merge(state._variant);
            _rows += state._rows;
        }

        public override CellResult Finish()
        {
            (double[] before, double activeBefore) = _base.Means(_rows);
            (double[] after, double activeAfter) = _variant.Means(_rows);
            return new CellResult(
                ("rows", [_rows]), ("base", before), ("variant", after), ("active_base", [activeBefore]), ("active", [activeAfter]));
        }
    }

    /// <summary>Rows of the base or of the variant.</summary>
    private sealed class Side(ISparseEncoder encoder, int blockRows)
    {
        private readonly LatentRows _waiting = new(encoder, blockRows);
        private readonly double[] _sums = new double[encoder.Latents];
        private long _active;

        internal void Add(ReadOnlySpan<float> rows)
        {
            _waiting.Add(rows);
            if (_waiting.IsFull) Encode();
        }

        internal void Merge(Side other)
        {
            other.Encode();
            for (int f = 0; f < _sums.Length; f++) _sums[f] += other._sums[f];
            _active += other._active;
        }

        internal (double[] Means, double Active) Means(long rows)
        {
            Encode();
            return (Array.ConvertAll(_sums, sum => sum / rows), (double)_active / rows);
        }

        private void Encode()
        {
            ReadOnlySpan<float> activations = _waiting.Encode();
            if (activations.IsEmpty) return;
            KernelSets.Default.AddRows(activations, _sums);
            foreach (float activation in activations) _active += activation != 0 ? 1 : 0;
        }
    }
}
