namespace EmScan.Engine.Verdicts.Regression;

/// <summary>The checks that regressors and transforms share, with one wording.</summary>
internal static class Guard
{
    /// <summary>Refuses a row that a fitted function cannot take.</summary>
    public static void Row(ReadOnlySpan<double> row, int featureCount)
    {
        if (row.Length != featureCount)
            throw new ArgumentException($"The row has {row.Length} features; {featureCount} were fitted.", nameof(row));
        for (int f = 0; f < row.Length; f++)
        {
            if (!FeatureMatrix.IsUsable(row[f]))
                throw new EmScanException($"Feature {f} (counted from 0) is {row[f]}; features must be finite numbers within 1e38.");
        }
    }

    /// <summary>Refuses a result of another length than the transform gives.</summary>
    public static void Result(Span<double> result, int outputCount)
    {
        if (result.Length != outputCount)
            throw new ArgumentException($"The result has {result.Length} places for {outputCount} features.", nameof(result));
    }

    /// <summary>Refuses targets that nothing can be learnt from.</summary>
    /// <exception cref="ArgumentException">There is not one target a row.</exception>
    /// <exception cref="EmScanException">There are fewer than two rows, a target is not a usable number, or all are the same.</exception>
    public static void Targets(FeatureMatrix x, ReadOnlySpan<double> y)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (y.Length != x.RowCount) throw new ArgumentException($"There are {y.Length} targets for {x.RowCount} rows.", nameof(y));
        if (x.RowCount < 2) throw new EmScanException("There is only one row to fit on; at least two are needed.");
        for (int i = 0; i < y.Length; i++)
        {
            if (!FeatureMatrix.IsUsable(y[i]))
                throw new EmScanException($"The target of row {i} (counted from 0) is {y[i]}; targets must be finite numbers within 1e38.");
        }

        if (!y.ContainsAnyExcept(y[0]))
            throw new EmScanException($"All {y.Length} targets are {y[0]}; a regressor can only be fitted to targets that differ.");
    }

    /// <summary>Refuses an option that is not a positive finite number.</summary>
    public static void Positive(double value, string name)
    {
        if (!(value > 0 && double.IsFinite(value))) throw new ArgumentException($"{name} is {value}; it must be a positive number.", name);
    }

    /// <summary>Refuses an option that is not a share in (0, 1].</summary>
    public static void Share(double value, string name)
    {
        if (!(value is > 0 and <= 1)) throw new ArgumentException($"{name} is {value}; it must be above 0 and at most 1.", name);
    }

    /// <summary>Refuses an option below 1.</summary>
    public static void AtLeastOne(int value, string name)
    {
        if (value < 1) throw new ArgumentException($"{name} is {value}; it must be at least 1.", name);
    }

    /// <summary>Refuses a number of components that centred rows cannot have.</summary>
    public static void Components(FeatureMatrix x, int components)
    {
        ArgumentNullException.ThrowIfNull(x);
        AtLeastOne(components, nameof(components));
        int most = Math.Min(x.RowCount - 1, x.FeatureCount);
        if (components > most)
        {
            throw new EmScanException(
                $"{components} components were asked for; {x.RowCount} rows of {x.FeatureCount} features have at most {most}.");
        }
    }
}
