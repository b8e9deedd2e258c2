using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>Reads and checks the objects that <see cref="RegressorJson"/> describes; all of them are from one file.</summary>
internal sealed class RegressorReader(string path)
{
    private const int MostFeatures = 1 << 24;

    public IRegressor ReadRegressor(RegressorRecord element, bool inPipeline = false)
    {
        (string kind, int features) = ReadHead(element, "regressor");
        return kind switch
        {
            RidgeRegression.KindName => new RidgeRegression(Numbers(element.Coefficients, "coefficients", features), Number(element.Intercept, "intercept")),
            LogisticRegression.KindName => new LogisticRegression(Numbers(element.Coefficients, "coefficients", features), Number(element.Intercept, "intercept")),
            RandomForestRegressor.KindName => new RandomForestRegressor(features, ReadTrees(element, features)),
            GradientBoostingRegressor.KindName =>
                new GradientBoostingRegressor(features, Number(element.Initial, "initial"), Number(element.Rate, "rate"), ReadTrees(element, features)),
            KernelRidgeRegression.KindName => ReadKernelRidge(element, features),
            PartialLeastSquares.KindName => ReadPartialLeastSquares(element, features),
            Pipeline.KindName => inPipeline ? throw Bad("has a pipeline inside a pipeline") : ReadPipeline(element, features),
            _ => throw Bad($"has a regressor of the unknown kind \"{InputFile.OneLine(kind)}\"; a newer emscan may have written it"),
        };
    }

    private ITransform ReadTransform(RegressorRecord element)
    {
        (string kind, int features) = ReadHead(element, "transform");
        return kind switch
        {
            Standardizer.KindName => ReadStandardizer(element, features),
            PrincipalComponents.KindName => new PrincipalComponents(ReadBasis(element, features)),
            PartialLeastSquares.KindName => ReadPartialLeastSquares(element, features),
            DriftAxisTransform.KindName => ReadDriftAxis(element, features),
            ColumnSelection.KindName => ReadSelection(element, features),
            _ => throw Bad($"has a transform of the unknown kind \"{InputFile.OneLine(kind)}\"; a newer emscan may have written it"),
        };
    }

    private Pipeline ReadPipeline(RegressorRecord element, int features)
    {
        ITransform[] transforms = [.. List(element.Transforms, "transforms").Select(ReadTransform)];
        if (element.Regressor is null) throw Bad("has a pipeline without a \"regressor\"");
        IRegressor regressor = ReadRegressor(element.Regressor, inPipeline: true);
        Pipeline pipeline;
        try
        {
            pipeline = new Pipeline(transforms, regressor);
        }
        catch (ArgumentException failure)
        {
            throw new InputFileException(path, "has a pipeline with a part that does not take what the part before it gives", failure);
        }

        return pipeline.FeatureCount == features
            ? pipeline
            : throw Bad($"has a pipeline with a \"feature_count\" of {features} whose first part takes {pipeline.FeatureCount}");
    }

    private Standardizer ReadStandardizer(RegressorRecord element, int features)
    {
        double[] scale = Numbers(element.Scale, "scale", features);
        if (!scale.All(s => s > 0)) throw Bad("has a \"scale\" that is not positive");
        return new Standardizer(Numbers(element.Mean, "mean", features), scale);
    }

    private PartialLeastSquares ReadPartialLeastSquares(RegressorRecord element, int features)
    {
        ComponentBasis basis = ReadBasis(element, features);
        return new PartialLeastSquares(basis, Number(element.TargetMean, "target_mean"), Numbers(element.Loadings, "loadings", basis.Rows.Length));
    }

    private KernelRidgeRegression ReadKernelRidge(RegressorRecord element, int features)
    {
        double[][] points = [.. List(element.Points, "points").Select(point => Numbers(point, "points", features))];
        double scale = Number(element.LengthScale, "length_scale");
        if (points.Length == 0 || !(scale > 0)) throw Bad("has a kernel ridge without points or with a \"length_scale\" that is not positive");
        return new KernelRidgeRegression(
            features, [.. points.SelectMany(p => p)], Numbers(element.Coefficients, "coefficients", points.Length), Number(element.TargetMean, "target_mean"), scale);
    }

    private DriftAxisTransform ReadDriftAxis(RegressorRecord element, int features)
    {
        string name = element.Output ?? "";
        if (Enum.GetValues<DriftAxisOutput>().Where(o => o.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)).ToArray() is not [var output])
            throw Bad($"has a drift axis with the unknown output \"{InputFile.OneLine(name)}\"");
        int traits = output == DriftAxisOutput.StepAware ? features - 1 : features;
        if (traits < 1) throw Bad("has a drift axis without loadings");
        return new DriftAxisTransform(Numbers(element.Loadings, "loadings", traits), output);
    }

    private ColumnSelection ReadSelection(RegressorRecord element, int features)
    {
        int[] columns = List(element.Columns, "columns");
        bool ascending = columns.Zip(columns.Skip(1)).All(pair => pair.First < pair.Second);
        return columns.Length > 0 && ascending && columns[0] >= 0 && columns[^1] < features ? new ColumnSelection(features, columns)
            : throw Bad($"has a column selection whose \"columns\" are not ascending numbers of {features} features");
    }

    private ComponentBasis ReadBasis(RegressorRecord element, int features)
    {
        double[] mean = Numbers(element.Mean, "mean", features);
        double[][] rows = [.. List(element.Axes, "axes").Select(axis => Numbers(axis, "axes", features))];
        return rows.Length > 0 ? new ComponentBasis(mean, rows) : throw Bad("has an empty list \"axes\"");
    }

    private RegressionTree[] ReadTrees(RegressorRecord element, int features)
    {
        RegressionTree[] trees = [.. List(element.Trees, "trees").Select((tree, number) => ReadTree(tree, number, features))];
        return trees.Length > 0 ? trees : throw Bad("has an empty list \"trees\"");
    }

    private RegressionTree ReadTree(TreeRecord tree, int number, int features)
    {
        int nodes = List(tree.Value, "value").Length;
        if (nodes == 0) throw Bad($"has a tree {number} without nodes");
        double[] value = tree.Value!, threshold = Numbers(tree.Threshold, "threshold", nodes);
        int[] feature = Numbers(tree.Feature, "feature", nodes), left = Numbers(tree.Left, "left", nodes), right = Numbers(tree.Right, "right", nodes);
        var parents = new int[nodes];
        for (int i = 0; i < nodes; i++)
        {
            if (left[i] == -1 && right[i] == -1 && feature[i] == -1) continue;
            if (feature[i] < 0 || feature[i] >= features)
                throw Bad($"has a tree {number} whose node {i} looks at feature {feature[i]} of {features}");
            // Children after parents: no walk from the root can come back.
            if (Math.Min(left[i], right[i]) <= i || Math.Max(left[i], right[i]) >= nodes)
                throw Bad($"has a tree {number} whose node {i} of {nodes} has children {left[i]} and {right[i]}; they must be later nodes");
            parents[left[i]]++;
            parents[right[i]]++;
        }

        for (int i = 1; i < nodes; i++)
        {
            if (parents[i] != 1) throw Bad($"has a tree {number} whose node {i} has {parents[i]} parents; it must have one");
        }

        return new RegressionTree(feature, threshold, left, right, value);
    }

    private (string Kind, int Features) ReadHead(RegressorRecord? element, string what)
    {
        if (element is null) throw Bad($"has a {what} that is not an object");
        string kind = element.Kind ?? throw Bad($"has a {what} without a \"kind\"");
        int features = element.FeatureCount ?? throw Bad($"has a {what} without a \"feature_count\"");
        return features is >= 1 and <= MostFeatures ? (kind, features) : throw Bad($"has a {what} with a \"feature_count\" of {features}");
    }

    private double Number(double? value, string key) => value ?? throw Bad($"has no \"{key}\" in a regressor");

    private T[] Numbers<T>(T[]? list, string key, int count)
    {
        T[] numbers = List(list, key);
        return numbers.Length == count ? numbers : throw Bad($"has {numbers.Length} numbers in a list \"{key}\" that needs {count}");
    }

    private T[] List<T>(T[]? list, string key) => list ?? throw Bad($"has no list \"{key}\" in a regressor");

    private InputFileException Bad(string problem) => new(path, problem);
}
