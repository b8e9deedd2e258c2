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
    private const double Rounding = 1e-12; // of the sum of squares of all rows

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

        long moments = SecondMoment.Bytes(prompts.Rows, width) * (Whitens(prompts, width) ? 2 : 1);
        return moments + (sizeof(double) * width * positions);
    }

    /// <inheritdoc/>
    public override long FinishBytes(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return SecondMoment.SpectrumBytes(prompts.Rows, width) * (Whitens(prompts, width) ? 2 : 1);
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
            if (reducer._options.ByPosition) _positions = new GroupSums();
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
            RowSpectra spectra = _difference.Spectra(_positions);
            double total = spectra.Uncentred.Total;
            Describe(parts, "uncentred", spectra.Uncentred, Shares, total);
            parts.Add(("first_direction", Agreeing(spectra.First, mean)));
            Describe(parts, "centred", spectra.Centred, Shares, total);
            if (spectra.BehindGroups is { } behind && Describe(parts, "position_centred", behind, Shares, total))
                parts.Add(("position_centred.first_direction", Agreeing(spectra.FirstBehindGroups!, mean)));
            if (_base != null) Whitened(parts, mean);
            return new CellResult([.. parts]);
        }

        private static double[] Agreeing(double[] direction, double[] mean) =>
            TensorPrimitives.Dot<double>(direction, mean) < 0 ? Array.ConvertAll(direction, v => -v) : direction;

        // d W has the second moment W S W and group means M W: nothing of the rows is needed. With C + ridge = L L' its eigenvalues are those of
        // L^-1 S L^-T, since W^2 = (L L')^-1, and the norm of W x is that of L^-1 x.
        private void Whitened(List<(string, double[])> parts, double[] mean)
        {
            int n = _width;
            long rows = _difference.Rows;
            double[] matrix = _base!.Covariance();
            double trace = 0;
            for (int i = 0; i < n; i++) trace += matrix[(i * n) + i];
            for (int i = 0; i < n; i++) matrix[(i * n) + i] += Ridge * trace / n;
            if (TriangularFactor.TryFactor(matrix, n) is not { } whitening) return; // the base is the same on all rows
            double[] products = _difference.Uncentred(), whiteMean = [.. mean];
            whitening.Divide(whiteMean, 1);
            whitening.Divide(products, n);
            Transpose(products, n);
            whitening.Divide(products, n);
            double energy = 0, ofMean = rows * TensorPrimitives.SumOfSquares<double>(whiteMean);
            for (int i = 0; i < n; i++) energy += products[(i * n) + i];
            parts.Add(("whitened.energy_share_global_mean", [ofMean / energy]));
            var eigen = new SymmetricEigenvalues(products, n, whiteMean);
            Describe(parts, "whitened.uncentred", new Spectrum(eigen.Values), WhitenedShares, energy);
            Describe(parts, "whitened.centred", new Spectrum(ofMean > 0 ? eigen.Less(ofMean) : eigen.Values), WhitenedShares, energy);
            if (_positions == null) return;
            (int Id, GroupSums.Group Group)[] groups = _positions.InOrder();
            double[] means = new double[checked(n * groups.Length)]; // (D, groups), each scaled by the root of its count
            for (int g = 0; g < groups.Length; g++)
            {
                double[] sum = groups[g].Group.Sum;
                for (int i = 0; i < n; i++) means[(i * groups.Length) + g] = sum[i] / Math.Sqrt(groups[g].Group.Count);
            }

            whitening.Divide(means, groups.Length);
            double between = TensorPrimitives.SumOfSquares<double>(means), within = Math.Max(0, energy - between), variance = energy - ofMean;
            parts.Add(("whitened.position.groups", [groups.Length]));
            parts.Add(("whitened.position.energy_share", [1 - (within / energy)]));
            if (variance <= 0) return;
            parts.Add(("whitened.position.variance_share", [1 - (within / variance)]));
            if (rows > groups.Length) parts.Add(("whitened.position.variance_share_adjusted", [1 - (within / (rows - groups.Length) / (variance / (rows - 1)))]));
        }

        private static void Transpose(double[] matrix, int n)
        {
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < i; j++) (matrix[(i * n) + j], matrix[(j * n) + i]) = (matrix[(j * n) + i], matrix[(i * n) + j]);
            }
        }

        // Whether there is anything but the rounding of what was taken off.
        private static bool Describe(List<(string, double[])> parts, string name, Spectrum spectrum, int shares, double whole)
        {
            if (spectrum.Total <= Rounding * whole) return false;
            parts.Add(($"{name}.energy_share", spectrum.Shares(shares)));
            parts.Add(($"{name}.participation_ratio", [spectrum.ParticipationRatio]));
            parts.Add(($"{name}.directions_90", [spectrum.DirectionsFor(0.9)]));
            return true;
        }
    }
}
