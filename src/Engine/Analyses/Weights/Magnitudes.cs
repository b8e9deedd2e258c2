namespace EmScan.Engine.Analyses.Weights;

/// <summary>
/// How many coordinates have which magnitude, and how much squared norm they hold, in bins of a thousandth: what shares and the borders of masks are
/// read off, in memory that does not grow with the number of coordinates.
/// </summary>
internal sealed class Magnitudes
{
    // Float32 magnitudes order as their bits do. The upper 18 of 31 make the bins.
    private const int LowBits = 13;
    private const int Bins = 1 << 18;

    private readonly long[] _counts = new long[Bins];
    private readonly double[] _squares = new double[Bins];

    /// <summary>Coordinates, N.</summary>
    internal long Count { get; private set; }

    /// <summary>Sum of their squares.</summary>
    internal double Squares { get; private set; }

    internal static uint Bits(float value) => BitConverter.SingleToUInt32Bits(value) & 0x7FFFFFFF;

    internal void Add(ReadOnlySpan<float> row)
    {
        foreach (float value in row)
        {
            uint bin = Bits(value) >> LowBits;
            _counts[bin]++;
            _squares[bin] += (double)value * value;
        }

        Count += row.Length;
    }

    internal void Add(Magnitudes other)
    {
        for (int bin = 0; bin < Bins; bin++)
        {
            _counts[bin] += other._counts[bin];
            _squares[bin] += other._squares[bin];
        }

        Count += other.Count;
        Squares += other.Squares;
    }

    /// <summary>To be called when all rows were added.</summary>
    internal void Close() => Squares = _squares.Sum();

    /// <summary>Least share of the coordinates that holds a share of the squared norm; NaN when all are zero.</summary>
    internal double ShareHolding(double energy)
    {
        if (!(Squares > 0)) return double.NaN;
        double left = energy * Squares;
        long taken = 0;
        for (int bin = Bins - 1; ; bin--)
        {
            if (_counts[bin] == 0 && bin > 0) continue;
            if (_squares[bin] >= left || bin == 0) return (taken + Math.Min(_counts[bin], Math.Ceiling(left / _squares[bin] * _counts[bin]))) / Count;
            left -= _squares[bin];
            taken += _counts[bin];
        }
    }

    /// <summary>Share of the squared norm that the largest coordinates hold.</summary>
    internal double EnergyOf(long kept)
    {
        double energy = 0;
        for (int bin = Bins - 1; bin >= 0 && kept > 0; bin--)
        {
            long some = Math.Min(kept, _counts[bin]);
            if (some > 0) energy += _squares[bin] * some / _counts[bin];
            kept -= some;
        }

        return energy / Squares;
    }

    /// <summary>The bin of the k-th largest coordinate, and how many lie above that bin.</summary>
    internal (uint Bin, long Above) BinOf(long kept)
    {
        long above = 0;
        for (uint bin = Bins - 1; ; bin--)
        {
            if (above + _counts[bin] >= kept || bin == 0) return (bin, above);
            above += _counts[bin];
        }
    }

    /// <summary>The border of a mask, found by a second look at the coordinates of its bin.</summary>
    internal sealed class Search
    {
        private readonly uint _bin;
        private readonly long _above;
        private readonly long[] _counts = new long[1 << LowBits];

        internal Search(Magnitudes magnitudes, long kept)
        {
            Kept = kept;
            (_bin, _above) = magnitudes.BinOf(kept);
        }

        internal long Kept { get; }

        internal void Add(ReadOnlySpan<float> row)
        {
            foreach (float value in row)
            {
                uint bits = Bits(value);
                if (bits >> LowBits == _bin) _counts[bits & ((1 << LowBits) - 1)]++;
            }
        }

        /// <summary>Adds what another search for the same border has seen.</summary>
        internal void Add(Search other)
        {
            for (int low = 0; low < _counts.Length; low++) _counts[low] += other._counts[low];
        }

        internal MaskBorder Border()
        {
            long above = _above;
            for (int low = _counts.Length - 1; ; low--)
            {
                if (above + _counts[low] >= Kept || low == 0) return new MaskBorder(Kept, (_bin << LowBits) | (uint)low, Kept - above);
                above += _counts[low];
            }
        }
    }
}

/// <summary>The border of a mask of the largest coordinates.</summary>
/// <param name="Kept">Coordinates in the mask.</param>
/// <param name="Bits">The smallest magnitude in it, as bits.</param>
/// <param name="Ties">How many coordinates of just that magnitude are in it; the earlier ones.</param>
internal readonly record struct MaskBorder(long Kept, uint Bits, long Ties);

/// <summary>Says of one coordinate after the other whether it is in a mask.</summary>
internal struct MaskCursor(MaskBorder border)
{
    private long _ties = border.Ties;

    internal bool Takes(uint bits)
    {
        if (bits > border.Bits) return true;
        if (bits < border.Bits || _ties <= 0) return false;
        _ties--;
        return true;
    }
}
