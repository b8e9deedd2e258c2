using System.Buffers;
using System.Text;
using System.Text.Json;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Detection.Regression;

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
/// pipeline               transforms, regressor                      one after another
/// </code>
/// <para>A tree is an object of five lists with one entry a node, node 0 the root, children after their parents. Node i is a leaf when
/// left[i] is -1 (then right[i] and feature[i] are -1 too), and gives value[i]. Otherwise go to left[i] when x[feature[i]], rounded to
/// single precision, is at most threshold[i], else to right[i]. Numbers are written so that reading gives the same bits.</para>
/// </remarks>
public static class RegressorJson
{
    /// <summary>Writes a regressor as the writer's next value: with an indented writer, one tree or one list a line.</summary>
    /// <exception cref="ArgumentException">A part is of a kind that has no JSON form.</exception>
    public static void Write(Utf8JsonWriter json, IRegressor regressor)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(regressor);
        json.WriteStartObject();
        json.WriteString("kind", regressor.Kind);
        json.WriteNumber("feature_count", regressor.FeatureCount);
        switch (regressor)
        {
            case LinearRegressor linear:
                WriteLinear(json, linear.Coefficients, linear.Intercept);
                break;
            case RandomForestRegressor forest:
                WriteLines(json, "trees", forest.Trees, WriteTree);
                break;
            case GradientBoostingRegressor boosting:
                json.WriteNumber("initial", boosting.Initial);
                json.WriteNumber("rate", boosting.Rate);
                WriteLines(json, "trees", boosting.Trees, WriteTree);
                break;
            case KernelRidgeRegression kernel:
                WriteKernel(json, kernel);
                break;
            case PartialLeastSquares squares:
                WriteSquares(json, squares);
                break;
            case Pipeline pipeline:
                json.WriteStartArray("transforms");
                foreach (ITransform transform in pipeline.Transforms) Write(json, transform);
                json.WriteEndArray();
                json.WritePropertyName("regressor");
                Write(json, pipeline.Regressor);
                break;
            default:
                throw new ArgumentException($"A {regressor.Kind} ({regressor.GetType().Name}) has no JSON form.", nameof(regressor));
        }

        json.WriteEndObject();
    }

    /// <summary>Reads what <see cref="Write(Utf8JsonWriter, IRegressor)"/> wrote; other keys are ignored.</summary>
    /// <param name="path">The file that the bytes are from, for messages.</param>
    /// <param name="utf8">A JSON object.</param>
    /// <exception cref="InputFileException">It is not JSON, has another form, or numbers that no fitted regressor has.</exception>
    public static IRegressor Parse(string path, byte[] utf8)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(utf8);
        return JsonInput.Parse(path, utf8, root => Read(path, root));
    }

    /// <summary>Reads a part of a file; to be called from <see cref="JsonInput.Parse"/>, which knows what texts may throw.</summary>
    /// <exception cref="InputFileException">It has another form, or numbers that no fitted regressor has.</exception>
    internal static IRegressor Read(string path, JsonElement element) => new RegressorReader(path).ReadRegressor(element);

    private static void Write(Utf8JsonWriter json, ITransform transform)
    {
        json.WriteStartObject();
        json.WriteString("kind", transform.Kind);
        json.WriteNumber("feature_count", transform.InputCount);
        switch (transform)
        {
            case Standardizer standardizer:
                JsonLines.Write(json, "mean", standardizer.Mean);
                JsonLines.Write(json, "scale", standardizer.Scale);
                break;
            case PrincipalComponents components:
                WriteAxes(json, components.Axes);
                break;
            case DriftAxisTransform axis:
                json.WriteString("output", axis.Output.ToString().ToLowerInvariant());
                JsonLines.Write(json, "loadings", axis.Loadings);
                break;
            case PartialLeastSquares squares:
                WriteSquares(json, squares);
                break;
            default:
                throw new ArgumentException($"A {transform.Kind} ({transform.GetType().Name}) has no JSON form.", nameof(transform));
        }

        json.WriteEndObject();
    }

    private static void WriteLinear(Utf8JsonWriter json, ReadOnlySpan<double> coefficients, double intercept)
    {
        JsonLines.Write(json, "coefficients", coefficients);
        json.WriteNumber("intercept", intercept);
    }

    private static void WriteKernel(Utf8JsonWriter json, KernelRidgeRegression kernel)
    {
        json.WriteNumber("target_mean", kernel.TargetMean);
        json.WriteNumber("length_scale", kernel.LengthScale);
        JsonLines.Write(json, "coefficients", kernel.Coefficients);
        json.WriteStartArray("points");
        for (int i = 0; i < kernel.Coefficients.Length; i++) JsonLines.WriteSingles(json, kernel.Points.Slice(i * kernel.FeatureCount, kernel.FeatureCount));
        json.WriteEndArray();
    }

    private static void WriteSquares(Utf8JsonWriter json, PartialLeastSquares squares)
    {
        WriteAxes(json, squares.Axes);
        json.WriteNumber("target_mean", squares.TargetMean);
        JsonLines.Write(json, "loadings", squares.Loadings);
    }

    private static void WriteAxes(Utf8JsonWriter json, Axes axes)
    {
        JsonLines.Write(json, "mean", axes.Mean);
        WriteLines(json, "axes", axes.Rows, (line, axis) => WriteNumbers(line, axis));
    }

    private static void WriteTree(Utf8JsonWriter json, RegressionTree tree)
    {
        json.WriteStartObject();
        WriteNumbers(json, "feature", tree.Features);
        WriteNumbers(json, "threshold", tree.Thresholds);
        WriteNumbers(json, "left", tree.Left);
        WriteNumbers(json, "right", tree.Right);
        WriteNumbers(json, "value", tree.Values);
        json.WriteEndObject();
    }

    /// <summary>Writes a list of numbers in one line, whatever the writer's options.</summary>

    /// <summary>Writes a list whose items are a line each when the writer indents: it would give every number a line.</summary>
    private static void WriteLines<T>(Utf8JsonWriter json, string key, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
    {
        JsonWriterOptions options = json.Options;
        int size = options.Indented ? options.IndentSize : 0;
        string margin = (options.Indented ? options.NewLine : "") + new string(options.IndentCharacter, size * json.CurrentDepth);
        string indent = new(options.IndentCharacter, size);
        var buffer = new ArrayBufferWriter<byte>();
        for (int i = 0; i < items.Count; i++)
        {
            Encoding.UTF8.GetBytes($"{(i == 0 ? '[' : ',')}{margin}{indent}", buffer);
            using var line = new Utf8JsonWriter(buffer);
            write(line, items[i]);
        }

        Encoding.UTF8.GetBytes($"{margin}]", buffer);
        json.WritePropertyName(key);
        json.WriteRawValue(buffer.WrittenSpan, skipInputValidation: true);
    }

    private static void WriteNumbers(Utf8JsonWriter json, string key, ReadOnlySpan<int> values)
    {
        json.WriteStartArray(key);
        foreach (int value in values) json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string key, ReadOnlySpan<double> values)
    {
        json.WritePropertyName(key);
        WriteNumbers(json, values);
    }

    private static void WriteNumbers(Utf8JsonWriter json, ReadOnlySpan<double> values)
    {
        json.WriteStartArray();
        foreach (double value in values) json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}
