namespace EmScan.Engine.Verdicts.Regression;

/// <summary>Grows regression trees as scikit-learn's depth-first builder with its best splitter does. One thread at a time.</summary>
/// <remarks>
/// <para>A split of rows with weights w into left and right lowers the weighted sum of squares by d^2 W / (w_L w_R), where d is the sum of
/// w (y - mean) on the left and W = w_L + w_R. Friedman's criterion is the same number times W, a constant of the node: as no gain is
/// compared between nodes, squared error and Friedman's criterion choose the same splits.</para>
/// <para>Features are looked at in an order drawn for each split; of equal gains the first feature wins, then the lowest threshold. Ties
/// are common near the smallest leaf, where two features easily cut ten rows alike: a fixed order would prefer the first features of the
/// list, by up to 2% of the test error on the tests' data. Gains that agree to 1e-12 of the node's sum of squares are equal: more than
/// rounding makes of equal ones.</para>
/// <para>As in scikit-learn: features are single precision; values within 1e-7 of each other are not separated; the threshold is the
/// midpoint; a node is a leaf at a variance of at most 2.2e-16; a split that gains nothing is made all the same, for the one below it may
/// gain; rows of weight zero do not exist, and a row counts once towards the smallest leaf whatever its weight; features that are constant
/// in a node count as drawn, but drawing goes on until one is not.</para>
/// <para>The orders are sorted once for all trees and partitioned stably at each split, so a level of a tree costs F N steps.</para>
/// </remarks>
internal sealed class TreeGrower
{
    private const float Gap = 1e-7f;
    private const double SmallestVariance = 2.220446049250313e-16;
    private const double TieShare = 1e-12;

    private readonly SortedFeatures _features;
    private readonly TreeLimits _limits;
    private readonly int[][] _orders;     // (F, N): the rows of a node are one segment of each
    private readonly (double Weight, double Deviation)[] _moments; // (N): w, w (y - mean of the node)
    private readonly byte[] _goesLeft;    // (N), 0 or 1
    private readonly int[] _scratch;      // (N)
    private readonly int[] _drawn;        // (F): all features, in the order of the last draw
    private readonly List<Node> _nodes = [];
    private Random _random = new(0);

    /// <param name="features">The rows to grow on.</param>
    /// <param name="limits">What bounds the trees.</param>
    public TreeGrower(SortedFeatures features, TreeLimits limits)
    {
        _features = features;
        _limits = limits;
        _orders = new int[features.FeatureCount][];
        for (int f = 0; f < _orders.Length; f++) _orders[f] = new int[features.RowCount];
        _moments = new (double, double)[features.RowCount];
        _goesLeft = new byte[features.RowCount];
        _scratch = new int[features.RowCount];
        _drawn = new int[features.FeatureCount];
    }

    /// <summary>Grows a tree.</summary>
    /// <param name="y">(N) targets.</param>
    /// <param name="weights">(N), none negative, at least one positive.</param>
    /// <param name="random">Draws the features of each split.</param>
    public RegressionTree Grow(ReadOnlySpan<double> y, ReadOnlySpan<double> weights, Random random)
    {
        _random = random;
        for (int f = 0; f < _drawn.Length; f++) _drawn[f] = f;
        int count = 0;
        for (int f = 0; f < _orders.Length; f++)
        {
            count = 0;
            Span<int> order = _orders[f];
            // Every row is written and the place advances for those that stay: no branch to mispredict.
            foreach (int row in _features.Order(f))
            {
                order[count] = row;
                count += weights[row] > 0 ? 1 : 0;
            }
        }

        _nodes.Clear();
        GrowNode(y, weights, 0, count, 0);
        return new RegressionTree(
            [.. _nodes.Select(n => n.Feature)],
            [.. _nodes.Select(n => n.Threshold)],
            [.. _nodes.Select(n => n.Left)],
            [.. _nodes.Select(n => n.Right)],
            [.. _nodes.Select(n => n.Value)]);
    }

    /// <summary>Grows the subtree of the rows in [start, end) of the orders, parents before children; returns its root's number.</summary>
    private int GrowNode(ReadOnlySpan<double> y, ReadOnlySpan<double> weights, int start, int end, int depth)
    {
        int node = _nodes.Count;
        ReadOnlySpan<int> rows = _orders[0].AsSpan(start..end);
        double weight = 0, sum = 0;
        foreach (int row in rows)
        {
            weight += weights[row];
            sum += weights[row] * y[row];
        }

        double mean = sum / weight, squares = 0;
        foreach (int row in rows)
        {
            double deviation = y[row] - mean;
            _moments[row] = (weights[row], weights[row] * deviation);
            squares += weights[row] * deviation * deviation;
        }

        _nodes.Add(new Node(-1, 0, -1, -1, mean));
        if (depth == _limits.MaxDepth || rows.Length < 2L * _limits.MinLeafSamples || squares / weight <= SmallestVariance) return node;
        Split best = FindSplit(start, end, weight, TieShare * squares / weight);
        if (best.Feature < 0) return node;

        bool childrenMaySplit = depth + 1 < _limits.MaxDepth
            && Math.Max(best.Middle - start, end - best.Middle) >= 2L * _limits.MinLeafSamples;
        Partition(best, start, end, childrenMaySplit ? _orders.Length : 1);
        int left = GrowNode(y, weights, start, best.Middle, depth + 1);
        int right = GrowNode(y, weights, best.Middle, end, depth + 1);
        _nodes[node] = new Node(best.Feature, best.Threshold, left, right, 0);
        return node;
    }

    private Split FindSplit(int start, int end, double weight, double tie)
    {
        var best = new Split(-1, 0, 0, double.NegativeInfinity);
        bool varies = false;
        for (int drawn = 0; drawn < _drawn.Length && (drawn < _limits.MaxFeatures || !varies); drawn++)
        {
            int at = _random.Next(drawn, _drawn.Length);
            (_drawn[drawn], _drawn[at]) = (_drawn[at], _drawn[drawn]);
            int f = _drawn[drawn];
            if (IsConstant(f, start, end)) continue;
            varies = true;
            Scan(f, start, end, weight, tie, ref best);
        }

        return best;
    }

    private bool IsConstant(int f, int start, int end)
    {
        ReadOnlySpan<float> column = _features.Column(f);
        return column[_orders[f][end - 1]] <= column[_orders[f][start]] + Gap;
    }

    /// <summary>Looks for a better split on one feature.</summary>
    private void Scan(int f, int start, int end, double weight, double tie, ref Split best)
    {
        ReadOnlySpan<float> column = _features.Column(f);
        ReadOnlySpan<int> order = _orders[f].AsSpan(start..end);
        ReadOnlySpan<(double Weight, double Deviation)> moments = _moments;
        double left = 0, sum = 0;
        int p = 0;
        for (; p < _limits.MinLeafSamples - 1; p++)
        {
            (double w, double d) = moments[order[p]];
            left += w;
            sum += d;
        }

        // From here on both sides are large enough: row p becomes the last of the left one.
        ReadOnlySpan<int> cuts = order[p..^_limits.MinLeafSamples];
        float next = column[order[p]];
        for (int i = 0; i < cuts.Length; i++)
        {
            (double w, double d) = moments[cuts[i]];
            left += w;
            sum += d;
            float value = next;
            next = column[order[p + i + 1]];
            // Compared without a division. A right side whose weight vanishes beside the left's has no gain that could be computed.
            double square = sum * sum, product = left * (weight - left);
            if (square > (best.Gain + tie) * product && product > 0 && next > value + Gap)
                best = new Split(f, ((double)value + next) / 2, start + p + i + 1, square / product);
        }
    }

    /// <summary>Puts the rows of the left child before those of the right one in the first orders; keeps the order within each.</summary>
    private void Partition(Split split, int start, int end, int orders)
    {
        int[] by = _orders[split.Feature];
        for (int p = start; p < end; p++) _goesLeft[by[p]] = p < split.Middle ? (byte)1 : (byte)0;
        for (int f = 0; f < orders; f++)
        {
            Span<int> order = _orders[f].AsSpan(start..end);
            int left = 0, right = 0;
            // Every row is written to both sides and one of them advances: no branch to mispredict.
            for (int p = 0; p < order.Length; p++)
            {
                int row = order[p], goesLeft = _goesLeft[row];
                order[left] = row;
                _scratch[right] = row;
                left += goesLeft;
                right += 1 - goesLeft;
            }

            _scratch.AsSpan(0, right).CopyTo(order[left..]);
        }
    }

    private readonly record struct Node(int Feature, double Threshold, int Left, int Right, double Value);

    /// <summary>Rows before Middle in the feature's order go left; Feature is -1 when there is no split.</summary>
    private readonly record struct Split(int Feature, double Threshold, int Middle, double Gain);
}
