using System.Text.Json;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Detection.Regression;

/// <summary>Reads and checks the objects that <see cref="RegressorJson"/> describes; all of them are from one file.</summary>
internal sealed class RegressorReader(string path)
{
    private const int MostFeatures = 1 << 24;

    public IRegressor ReadRegressor(JsonElement element, bool inPipeline = false)
    {
        (string kind, int features) = ReadHead(element, "regressor");
        return kind switch
        {
            RidgeRegression.KindName => new RidgeRegression(Numbers(element, "coefficients", features), Number(element, "intercept")),
            LogisticRegression.KindName => new LogisticRegression(Numbers(element, "coefficients", features), Number(element, "intercept")),
            RandomForestRegressor.KindName => new RandomForestRegressor(features, ReadTrees(element, features)),
            GradientBoostingRegressor.KindName =>
                new GradientBoostingRegressor(features, Number(element, "initial"), Number(element, "rate"), ReadTrees(element, features)),
            KernelRidgeRegression.KindName => ReadKernelRidge(element, features),
            PartialLeastSquares.KindName => ReadPartialLeastSquares(element, features),
            Pipeline.KindName => inPipeline ? throw Bad("has a pipeline inside a pipeline") : ReadPipeline(element, features),
            _ => throw Bad($"has a regressor of the unknown kind \"{InputFile.OneLine(kind)}\"; a newer emscan may have written it"),
        };
    }

    private ITransform ReadTransform(JsonElement element)
    {
        (string kind, int features) = ReadHead(element, "transform");
        return kind switch
        {
            Standardizer.KindName => ReadStandardizer(element, features),
            PrincipalComponents.KindName => new PrincipalComponents(ReadAxes(element, features)),
            PartialLeastSquares.KindName => ReadPartialLeastSquares(element, features),
            DriftAxisTransform.KindName => ReadDriftAxis(element, features),
            _ => throw Bad($"has a transform of the unknown kind \"{InputFile.OneLine(kind)}\"; a newer emscan may have written it"),
        };
    }

    private Pipeline ReadPipeline(JsonElement element, int features)
    {
        ITransform[] transforms = [.. Items(element, "transforms").EnumerateArray().Select(ReadTransform)];
        if (!element.TryGetProperty("regressor", out JsonElement last)) throw Bad("has a pipeline without a \"regressor\"");
        IRegressor regressor = ReadRegressor(last, inPipeline: true);
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

    private Standardizer ReadStandardizer(JsonElement element, int features)
    {
        double[] scale = Numbers(element, "scale", features);
        if (!scale.All(s => s > 0)) throw Bad("has a \"scale\" that is not positive");
        return new Standardizer(Numbers(element, "mean", features), scale);
    }

    private PartialLeastSquares ReadPartialLeastSquares(JsonElement element, int features)
    {
        Axes axes = ReadAxes(element, features);
        return new PartialLeastSquares(axes, Number(element, "target_mean"), Numbers(element, "loadings", axes.Rows.Length));
    }

    private KernelRidgeRegression ReadKernelRidge(JsonElement element, int features)
    {
        double[][] points = [.. Items(element, "points").EnumerateArray().Select(point => Numbers(point, "points", features, ToSingle))];
        double scale = Number(element, "length_scale");
        if (points.Length == 0 || !(scale > 0)) throw Bad("has a kernel ridge without points or with a \"length_scale\" that is not positive");
        return new KernelRidgeRegression(
            features, [.. points.SelectMany(p => p)], Numbers(element, "coefficients", points.Length), Number(element, "target_mean"), scale);
    }

    private DriftAxisTransform ReadDriftAxis(JsonElement element, int features)
    {
        string name = JsonInput.Text(path, element, "output") ?? "";
        if (Enum.GetValues<DriftAxisOutput>().Where(o => o.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)).ToArray() is not [var output])
            throw Bad($"has a drift axis with the unknown output \"{InputFile.OneLine(name)}\"");
        int traits = output == DriftAxisOutput.StepAware ? features - 1 : features;
        if (traits < 1) throw Bad("has a drift axis without loadings");
        return new DriftAxisTransform(Numbers(element, "loadings", traits), output);
    }

    private Axes ReadAxes(JsonElement element, int features)
    {
        double[] mean = Numbers(element, "mean", features);
        double[][] rows = [.. Items(element, "axes").EnumerateArray().Select(axis => Numbers(axis, "axes", features, ToNumber))];
        return rows.Length > 0 ? new Axes(mean, rows) : throw Bad("has an empty list \"axes\"");
    }

    private RegressionTree[] ReadTrees(JsonElement element, int features)
    {
        RegressionTree[] trees = [.. Items(element, "trees").EnumerateArray().Select((tree, number) => ReadTree(tree, number, features))];
        return trees.Length > 0 ? trees : throw Bad("has an empty list \"trees\"");
    }

    private RegressionTree ReadTree(JsonElement tree, int number, int features)
    {
        if (tree.ValueKind != JsonValueKind.Object) throw Bad($"has a tree {number} that is not an object");
        int nodes = Items(tree, "value").GetArrayLength();
        if (nodes == 0) throw Bad($"has a tree {number} without nodes");
        double[] value = Numbers(tree, "value", nodes), threshold = Numbers(tree, "threshold", nodes);
        int[] feature = Integers(tree, "feature", nodes), left = Integers(tree, "left", nodes), right = Integers(tree, "right", nodes);
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

    private (string Kind, int Features) ReadHead(JsonElement element, string what)
    {
        if (element.ValueKind != JsonValueKind.Object) throw Bad($"has a {what} that is not an object");
        string kind = JsonInput.Text(path, element, "kind") ?? throw Bad($"has a {what} without a \"kind\"");
        int features = JsonInput.Int32(path, element, "feature_count") ?? throw Bad($"has a {what} without a \"feature_count\"");
        return features is >= 1 and <= MostFeatures ? (kind, features) : throw Bad($"has a {what} with a \"feature_count\" of {features}");
    }

    private double Number(JsonElement element, string key) =>
        JsonInput.Number(path, element, key) ?? throw Bad($"has no \"{key}\" in a regressor");

    private double[] Numbers(JsonElement element, string key, int count) => Numbers(Items(element, key), key, count, ToNumber);

    private int[] Integers(JsonElement element, string key, int count) => Numbers(Items(element, key), key, count, ToInteger);

    private T[] Numbers<T>(JsonElement list, string key, int count, Func<JsonElement, T?> convert) where T : struct
    {
        int length = list.ValueKind == JsonValueKind.Array ? list.GetArrayLength() : throw Bad($"has a \"{key}\" that is not a list");
        if (length != count) throw Bad($"has {length} numbers in a list \"{key}\" that needs {count}");
        return [.. list.EnumerateArray().Select(item => convert(item) ?? throw Bad($"has a \"{key}\" with an entry that is no number"))];
    }

    private JsonElement Items(JsonElement element, string key) =>
        element.TryGetProperty(key, out JsonElement list) && list.ValueKind == JsonValueKind.Array
            ? list
            : throw Bad($"has no list \"{key}\" in a regressor");

    private static double? ToNumber(JsonElement item) =>
        item.ValueKind == JsonValueKind.Number && item.TryGetDouble(out double number) && double.IsFinite(number) ? number : null;

    /// <summary>A number of single precision: its shortest text is another double than it is itself.</summary>
    private static double? ToSingle(JsonElement item) =>
        item.ValueKind == JsonValueKind.Number && item.TryGetSingle(out float number) && float.IsFinite(number) ? number : null;

    private static int? ToInteger(JsonElement item) =>
        item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number) ? number : null;

    private InputFileException Bad(string problem) => new(path, problem);
}
