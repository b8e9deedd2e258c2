using System.Text.Json;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>Writes and reads regressors and pipelines as JSON objects that a person can read and another program can load.</summary>
/// <remarks>
/// <para>The value of "kind" says which keys follow; every object also has "feature_count", the F of its input.</para>
/// <code>
/// ridge                  coefficients (F), intercept                w.x + b
/// logistic               coefficients (F), intercept                1 / (1 + exp(-(w.x + b)))
/// random_forest          trees                                      mean of the trees
/// kernel_ridge           points (N of F), coefficients (N),         target_mean + sum_i c_i exp(-|x - x_i|^2 / (2 s^2)),
///                        target_mean, length_scale                  s = length_scale
/// gradient_boosting      initial, rate, trees                       initial + rate * sum of the trees
/// partial_least_squares  mean (F), axes (M of F), target_mean,      scores s = axes (x - mean), as a transform the result;
///                        loadings (M)                               target_mean + loadings . s
/// principal_components   mean (F), axes (M of F)                    axes (x - mean)
/// drift_axis             loadings, output                           x . loadings ("position"), its magnitude, or for "stepaware",
///                                                                   the last feature being the step: 100 |..|, step, 100 |..| / step
/// standardizer           mean (F), scale (F)                        (x - mean) / scale
/// column_selection       columns (M), ascending, from 0             (x[columns[0]], x[columns[1]], ...)
/// pipeline               transforms, regressor                      one after another
/// </code>
/// <para>A tree is an object of five lists with one entry a node, node 0 the root, children after their parents. Node i is a leaf when
/// left[i] is -1 (then right[i] and feature[i] are -1 too), and gives value[i]. Otherwise go to left[i] when x[feature[i]], rounded to
/// single precision, is at most threshold[i], else to right[i]. Numbers are written so that reading gives the same bits; an unknown key is refused.</para>
/// </remarks>
internal static class RegressorJson
{
    /// <summary>Writes a regressor as the writer's next value: with an indented writer, one tree or one list a line.</summary>
    /// <exception cref="ArgumentException">A part is of a kind that has no JSON form.</exception>
    public static void Write(Utf8JsonWriter json, IRegressor regressor)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(regressor);
        JsonSerializer.Serialize(json, ToRecord(regressor), VerdictsJsonContext.Default.RegressorRecord);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The file that the bytes are from, for messages.</param>
    /// <param name="utf8">A JSON object.</param>
    /// <exception cref="InputFileException">It is not JSON, has another form, or numbers that no fitted regressor has.</exception>
    public static IRegressor Parse(string path, byte[] utf8)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(utf8);
        return FromRecord(path, JsonRecords.Read(path, utf8, VerdictsJsonContext.Default.RegressorRecord));
    }

    /// <summary>Takes over a part of a file.</summary>
    /// <exception cref="InputFileException">It has another form, or numbers that no fitted regressor has.</exception>
    internal static IRegressor FromRecord(string path, RegressorRecord record) => new RegressorReader(path).ReadRegressor(record);

    internal static RegressorRecord ToRecord(IRegressor regressor)
    {
        var head = new RegressorRecord { Kind = regressor.Kind, FeatureCount = regressor.FeatureCount };
        return regressor switch
        {
            LinearRegressor linear => head with { Coefficients = linear.Coefficients.ToArray(), Intercept = linear.Intercept },
            RandomForestRegressor forest => head with { Trees = Trees(forest.Trees) },
            GradientBoostingRegressor boosting => head with { Initial = boosting.Initial, Rate = boosting.Rate, Trees = Trees(boosting.Trees) },
            KernelRidgeRegression kernel => head with
            {
                TargetMean = kernel.TargetMean,
                LengthScale = kernel.LengthScale,
                Coefficients = kernel.Coefficients.ToArray(),
                Points = Rows(kernel.Points, kernel.FeatureCount),
            },
            PartialLeastSquares squares => Squares(head, squares),
            Pipeline pipeline => head with { Transforms = [.. pipeline.Transforms.Select(ToRecord)], Regressor = ToRecord(pipeline.Regressor) },
            _ => throw new ArgumentException($"A {regressor.Kind} ({regressor.GetType().Name}) has no JSON form.", nameof(regressor)),
        };
    }

    private static RegressorRecord ToRecord(ITransform transform)
    {
        var head = new RegressorRecord { Kind = transform.Kind, FeatureCount = transform.InputCount };
        return transform switch
        {
            Standardizer standardizer => head with { Mean = standardizer.Mean.ToArray(), Scale = standardizer.Scale.ToArray() },
            PrincipalComponents components => head with { Mean = components.Basis.Mean, Axes = components.Basis.Rows },
            ColumnSelection selection => head with { Columns = selection.Columns.ToArray() },
            DriftAxisTransform axis => head with { Output = axis.Output.ToString().ToLowerInvariant(), Loadings = axis.Loadings.ToArray() },
            PartialLeastSquares squares => Squares(head, squares),
            _ => throw new ArgumentException($"A {transform.Kind} ({transform.GetType().Name}) has no JSON form.", nameof(transform)),
        };
    }

    private static RegressorRecord Squares(RegressorRecord head, PartialLeastSquares squares) => head with
    {
        Mean = squares.Basis.Mean,
        Axes = squares.Basis.Rows,
        TargetMean = squares.TargetMean,
        Loadings = squares.Loadings.ToArray(),
    };

    private static TreeRecord[] Trees(IEnumerable<RegressionTree> trees) =>
        [.. trees.Select(t => new TreeRecord(t.Features.ToArray(), t.Thresholds.ToArray(), t.Left.ToArray(), t.Right.ToArray(), t.Values.ToArray()))];

    private static double[][] Rows(ReadOnlySpan<double> values, int width)
    {
        var rows = new double[values.Length / width][];
        for (int i = 0; i < rows.Length; i++) rows[i] = values.Slice(i * width, width).ToArray();
        return rows;
    }
}
