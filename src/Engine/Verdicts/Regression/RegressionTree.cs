namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// A binary tree of thresholds with a value at each leaf. At an inner node a row goes left when its feature, rounded to single precision,
/// is at most the threshold: scikit-learn's rule. Immutable, thread safe.
/// </summary>
/// <remarks>All lists have one entry a node. Node 0 is the root; a child comes after its parent. Leaves have -1 for feature, left and
/// right and 0 for the threshold; inner nodes have 0 for the value.</remarks>
internal sealed class RegressionTree
{
    private readonly int[] _features;
    private readonly double[] _thresholds;
    private readonly int[] _left;
    private readonly int[] _right;
    private readonly double[] _values;

    internal RegressionTree(int[] features, double[] thresholds, int[] left, int[] right, double[] values)
    {
        _features = features;
        _thresholds = thresholds;
        _left = left;
        _right = right;
        _values = values;
    }

    /// <summary>Number of nodes, at least 1.</summary>
    public int NodeCount => _features.Length;

    /// <summary>The feature that an inner node looks at, counted from 0.</summary>
    public ReadOnlySpan<int> Features => _features;

    /// <summary>The largest feature value that goes left.</summary>
    public ReadOnlySpan<double> Thresholds => _thresholds;

    /// <summary>The left child.</summary>
    public ReadOnlySpan<int> Left => _left;

    /// <summary>The right child.</summary>
    public ReadOnlySpan<int> Right => _right;

    /// <summary>The value of a leaf.</summary>
    public ReadOnlySpan<double> Values => _values;

    /// <summary>The value of the leaf that a checked row falls into.</summary>
    internal double Predict(ReadOnlySpan<double> row)
    {
        int node = 0;
        while (_left[node] >= 0) node = (float)row[_features[node]] <= _thresholds[node] ? _left[node] : _right[node];
        return _values[node];
    }
}
