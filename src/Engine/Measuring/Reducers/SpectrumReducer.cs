using System.Numerics.Tensors;
using EmScan.Engine.Numerics;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>Which spectra are wanted besides the uncentred and the centred one.</summary>
/// <param name="ByPosition">Also that of d less its mean at the same position.</param>
/// <param name="Whitened">Also those of d W, W = (C + 1e-3 mean(eigenvalues of C) I)^(-1/2), C the covariance (1 / N) of the base's rows; only where there are more than 2 D rows.</param>
internal readonly record struct SpectrumOptions(bool ByPosition, bool Whitened);

/// <summary>
/// How many dimensions the change d = h - h_base of N rows has. For each of "uncentred", "centred", "position_centred" and, behind
/// "whitened.", the same again without the last: NAME.energy_share (the top shares p_k = s_k^2 / sum s^2 of the singular values s),
/// NAME.participation_ratio 1 / sum p^2, NAME.directions_90 (least k with cumulative p >= 0.9). And "first_direction" (D), the first right
/// singular vector of the uncentred rows, and "position_centred.first_direction" (D), both signed to agree with the mean;
/// "whitened.energy_share_global_mean" and "whitened.position." with groups,
/// energy_share, variance_share, variance_share_adjusted as in <see cref="GroupReducer"/>. Parts that cannot be formed are left out.
/// </summary>
/// <remarks>
/// Streams the D x D second moment where there are more rows than D, and keeps the rows where there are fewer. Definitions:
/// docs/diff.md; the whitening is that of a Mahalanobis distance with a ridge.
/// </remarks>
internal sealed class SpectrumReducer : Reducer
{
    private const int Shares = 16;
    private const int WhitenedShares = 8;
    private const double Ridge = 1e-3;

    private readonly SpectrumOptions _options;
    private readonly IKernelDevice _device;

    /// <summary>Makes the reducer.</summary>
    /// <param name="options">Which spectra.</param>
    /// <param name="device">Where second moments are computed, not owned; null for the processor.</param>
    public SpectrumReducer(SpectrumOptions options, IKernelDevice? device = null)
    {
        _options = options;
        _device = device ?? new CpuKernelDevice();
        Identity = $"difference spectrum 2{(options.ByPosition ? " by position" : "")}{(options.Whitened ? " whitened" : "")}";
    }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override bool NeedsBase => true;

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        long positions = _options.ByPosition ? prompts.Prompts.Max(p => (long)p.Tokens.Length) : 0;

        // While a spectrum is computed there are four square matrices more.
        long moments = SecondMoment.Bytes(prompts.Rows, width) * (Whitens(prompts, width) ? 2 : 1);
        return moments + (sizeof(double) * width * positions);
    }

    // With fewer rows the covariance of the base is mostly its ridge.
    private bool Whitens(PromptSet prompts, int width) => _options.Whitened && prompts.Rows > 2L * width;

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(this, prompts, width);

    private sealed class State : Accumulator, IDisposable
    {
        private readonly PromptSet _prompts;
        private readonly int _width;
        private readonly SecondMoment _difference;
        private readonly SecondMoment? _base;
        private readonly GroupSums? _positions;
        private readonly double[] _sum;
        private double _energy;

        internal State(SpectrumReducer reducer, PromptSet prompts, int width)
        {
            _prompts = prompts;
            _width = width;
            _difference = SecondMoment.For(prompts.Rows, width, reducer._device);
            if (reducer.Whitens(prompts, width)) _base = SecondMoment.For(prompts.Rows, width, reducer._device);
            if (reducer._options.ByPosition) _positions = new GroupSums(width);
            _sum = new double[width];
        }

        public override void Add(in RowBlock rows)
        {
            ReadOnlySpan<int> positions = _prompts.Prompts[rows.Prompt].Positions.AsSpan(rows.Slot, rows.Count);
            _difference.Add(rows.Difference, positions);
            _base?.Add(rows.Base, positions);
            KernelSets.Default.AddRows(rows.Difference, _sum);
            Span<double> value = stackalloc double[1];
            for (int r = 0; r < rows.Count; r++)
            {
                ReadOnlySpan<float> row = rows.Difference.Slice(r * _width, _width);
                KernelSets.Default.RowNorms(row, _width, value);
                _energy += value[0] * value[0];
                _positions?.Add(positions[r], row, value[0]);
            }
        }

        public void Dispose()
        {
            _difference.Dispose();
            _base?.Dispose();
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            _difference.Merge(state._difference);
            _base?.Merge(state._base!);
            _positions?.Merge(state._positions!);
            TensorPrimitives.Add(_sum, state._sum, _sum);
            _energy += state._energy;
        }

        public override CellResult Finish()
        {
            long rows = _difference.Rows;
            var parts = new List<(string, double[])>();
            if (_energy == 0) return new CellResult([.. parts]);
            double[] mean = Array.ConvertAll(_sum, s => s / rows);
            Describe(parts, "uncentred", _difference.Spectrum(Centring.None, null, out double[] first), Shares);
            parts.Add(("first_direction", Agreeing(first, mean)));
            Describe(parts, "centred", _difference.Spectrum(Centring.Mean, null, out _), Shares);
            if (_positions != null)
            {
                Spectrum centred = _difference.Spectrum(Centring.Groups, _positions, out double[] behind);
                Describe(parts, "position_centred", centred, Shares);
                if (centred.Total > 0) parts.Add(("position_centred.first_direction", Agreeing(behind, mean)));
            }

            if (_base != null) Whitened(parts, mean);
            return new CellResult([.. parts]);
        }

        private static double[] Agreeing(double[] direction, double[] mean) =>
            TensorPrimitives.Dot<double>(direction, mean) < 0 ? Array.ConvertAll(direction, v => -v) : direction;

        // d W has the second moment W S W, and its group means are M W: nothing of the rows is needed.
        private void Whitened(List<(string, double[])> parts, double[] mean)
        {
            int n = _width;
            long rows = _difference.Rows;
            double[] whitening = Matrix.InverseRoot(_base!.Covariance(), n, Ridge);
            double[] uncentred = Matrix.Sandwich(whitening, _difference.Uncentred(), n);
            double[] whiteMean = Matrix.Multiply(whitening, mean);
            double energy = 0;
            for (int i = 0; i < n; i++) energy += uncentred[(i * n) + i];
            parts.Add(("whitened.energy_share_global_mean", [rows * TensorPrimitives.SumOfSquares<double>(whiteMean) / energy]));
            Describe(parts, "whitened.uncentred", new Spectrum([.. uncentred], n), WhitenedShares);
            double[] centred = uncentred; // from here on the matrix is that of the centred rows
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < n; j++) centred[(i * n) + j] -= rows * whiteMean[i] * whiteMean[j];
            }

            Describe(parts, "whitened.centred", new Spectrum(centred, n), WhitenedShares);
            if (_positions == null) return;
            (int Id, GroupSums.Group Group)[] groups = _positions.InOrder();
            double between = groups.Sum(g => TensorPrimitives.SumOfSquares<double>(Matrix.Multiply(whitening, g.Group.Sum)) / g.Group.Count);
            double within = Math.Max(0, energy - between), variance = energy - (rows * TensorPrimitives.SumOfSquares<double>(whiteMean));
            parts.Add(("whitened.position.groups", [groups.Length]));
            parts.Add(("whitened.position.energy_share", [1 - (within / energy)]));
            if (variance <= 0) return;
            parts.Add(("whitened.position.variance_share", [1 - (within / variance)]));
            if (rows > groups.Length) parts.Add(("whitened.position.variance_share_adjusted", [1 - (within / (rows - groups.Length) / (variance / (rows - 1)))]));
        }

        private static void Describe(List<(string, double[])> parts, string name, Spectrum spectrum, int shares)
        {
            if (spectrum.Total <= 0) return;
            parts.Add(($"{name}.energy_share", spectrum.Shares(shares)));
            parts.Add(($"{name}.participation_ratio", [spectrum.ParticipationRatio]));
            parts.Add(($"{name}.directions_90", [spectrum.DirectionsFor(0.9)]));
        }
    }
}
