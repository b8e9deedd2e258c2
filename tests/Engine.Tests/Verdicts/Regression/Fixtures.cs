using System.Text.Json;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

/// <summary>The inputs and results of scikit-learn that Reference/make_fixtures.py wrote, and random data.</summary>
internal static class Fixtures
{
    public static JsonElement[] Read(string file)
    {
        using JsonDocument document = JsonDocument.Parse(
            File.ReadAllBytes(Repository.File($"tests/Engine.Tests/Verdicts/Regression/Reference/{file}")));
        return [.. document.RootElement.EnumerateArray().Select(element => element.Clone())];
    }

    /// <summary>The cases of one kind: their places in the file and their names.</summary>
    public static TheoryData<int, string> Cases(string file, string kind)
    {
        var cases = new TheoryData<int, string>();
        JsonElement[] all = Read(file);
        for (int i = 0; i < all.Length; i++)
        {
            if (all[i].GetProperty("kind").GetString() == kind) cases.Add(i, all[i].GetProperty("name").GetString()!);
        }

        return cases;
    }

    public static double[] Numbers(this JsonElement element, string key) =>
        [.. element.GetProperty(key).EnumerateArray().Select(v => v.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? (v.GetBoolean() ? 1 : 0)
            : v.GetDouble())];

    public static int[] Integers(this JsonElement element, string key) =>
        [.. element.GetProperty(key).EnumerateArray().Select(v => v.GetInt32())];

    public static double[][] Rows(this JsonElement element, string key) =>
        [.. element.GetProperty(key).EnumerateArray().Select(row => row.EnumerateArray().Select(v => v.GetDouble()).ToArray())];

    public static FeatureMatrix Matrix(this JsonElement element, string key) => FeatureMatrix.FromRows(element.Rows(key));

    public static double[] PredictAll(this IRegressor regressor, FeatureMatrix x) =>
        [.. Enumerable.Range(0, x.RowCount).Select(i => regressor.Predict(x.Row(i)))];

    /// <summary>Independent normal features and targets that depend on the first two.</summary>
    public static (FeatureMatrix X, double[] Y) Random(int rows, int features, int seed, double noise = 0.1)
    {
        var random = new Random(seed);
        double[] values = [.. Enumerable.Range(0, rows * features).Select(_ => TinyModel.Gaussian(random))];
        var x = new FeatureMatrix(rows, features, values);
        return (x, [.. Enumerable.Range(0, rows).Select(i => Math.Sin(x.Row(i)[0]) + (0.5 * x.Row(i)[1]) + Noise())]);

        double Noise() => noise * TinyModel.Gaussian(random);
    }

    /// <summary>Equal within a tolerance relative to the size of the expected numbers, but at least absolute.</summary>
    public static void Close(double[] expected, double[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance * Math.Max(1, Math.Abs(expected[i])));
    }
}
