using System.Text;
using System.Text.Json;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

/// <summary>Kernel ridge regression against scikit-learn, and against what defines it.</summary>
public sealed class KernelRidgeTests
{
    private static readonly JsonElement[] Cases = Fixtures.Read("kernel.json");

    public static TheoryData<int, string> KernelCases => Fixtures.Cases("kernel.json", "kernel_ridge");

    [Theory]
    [MemberData(nameof(KernelCases))]
    public void Kernel_ridge_agrees_with_scikit_learn(int index, string name)
    {
        _ = name;
        JsonElement fixture = Cases[index];
        var fitted = KernelRidgeRegression.Fit(
            fixture.Matrix("x"), fixture.Numbers("y"), fixture.GetProperty("scale").GetDouble(), fixture.GetProperty("alpha").GetDouble());
        Fixtures.Close(fixture.Numbers("coefficients"), fitted.Coefficients.ToArray(), 1e-6);
        Fixtures.Close(fixture.Numbers("predictions"), fitted.PredictAll(fixture.Matrix("test")), 1e-6);
    }

    [Fact]
    public void The_residuals_are_alpha_times_the_coefficients()
    {
        // (G + alpha I) c = y - mean(y), read at the training rows, which single precision holds exactly here.
        (FeatureMatrix random, double[] y) = Fixtures.Random(80, 6, seed: 3);
        var x = new FeatureMatrix(80, 6, (double[])[.. random.Values.ToArray().Select(v => (double)(float)v)]);
        var fitted = KernelRidgeRegression.Fit(x, y, 2, 0.05);
        double[] predicted = fitted.PredictAll(x);
        for (int i = 0; i < y.Length; i++) Assert.Equal(0.05 * fitted.Coefficients[i], y[i] - predicted[i], 1e-10);
    }

    [Fact]
    public void Far_from_every_training_row_it_predicts_their_mean()
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(30, 2, seed: 5);
        Assert.Equal(y.Average(), KernelRidgeRegression.Fit(x, y).Predict((double[])[1e30, -1e38]), 1e-12);
    }

    [Theory]
    [InlineData(0.8)]
    [InlineData(0.0)]
    [InlineData(0.3)]
    public void Related_functions_are_the_solution_of_their_joint_system(double relation)
    {
        // (G o R + alpha I) c = y - mean of the row's own function, R the relation, read at the training rows of the first function; a row of the
        // first function repeated shows what is predicted there. Training rows hold in single precision.
        (FeatureMatrix random, double[] y) = Fixtures.Random(60, 4, seed: 11);
        var x = new FeatureMatrix(60, 4, (double[])[.. random.Values.ToArray().Select(v => (double)(float)v)]);
        int[] functions = [.. Enumerable.Range(0, 60).Select(i => i < 10 ? 0 : i < 40 ? 1 : 2)];
        var fitted = KernelRidgeRegression.FitRelated(x, y, functions, relation, 2, 0.1);
        double own = (y[..10].Sum() + (8 * y[10..].Average())) / 18;
        Assert.Equal(own, fitted.TargetMean, 1e-12);
        for (int i = 0; i < 10; i++) Assert.Equal(0.1 * fitted.Coefficients[i], y[i] - fitted.Predict(x.Row(i)), 1e-10);

        // What another function's rows would be predicted by, seen from it.
        if (relation > 0)
        {
            double[] means = [own, y[10..40].Average(), y[40..].Average()];
            for (int i = 10; i < 60; i++)
            {
                double sum = means[functions[i]];
                for (int j = 0; j < 60; j++)
                {
                    double coefficient = functions[j] == 0 ? fitted.Coefficients[j] : fitted.Coefficients[j] / relation;
                    double distance = Enumerable.Range(0, 4).Sum(f => Math.Pow(x.Row(i)[f] - x.Row(j)[f], 2));
                    sum += coefficient * (functions[j] == functions[i] ? 1 : relation) * Math.Exp(-distance / (2 * 4));
                }

                Assert.Equal(0.1 * fitted.Coefficients[i] / relation, y[i] - sum, 1e-10);
            }
        }
        else
        {
            Assert.All(fitted.Coefficients[10..].ToArray(), c => Assert.Equal(0, c));
        }
    }

    [Fact]
    public void Functions_that_are_the_same_are_one_but_for_their_means()
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(40, 3, seed: 12);
        double[] level = [.. y.Select((v, i) => i < 20 ? v - y[..20].Average() : v - y[20..].Average())];
        var together = KernelRidgeRegression.Fit(x, level);
        var related = KernelRidgeRegression.FitRelated(x, level, [.. Enumerable.Range(0, 40).Select(i => i / 20)], 1);
        for (int i = 0; i < 40; i++) Assert.Equal(together.Predict(x.Row(i)), related.Predict(x.Row(i)), 1e-10);
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.FitRelated(x, y, new int[40], 0.5));
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.FitRelated(x, y, [.. Enumerable.Repeat(1, 40)], 0.5));
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.FitRelated(x, y, [.. Enumerable.Range(0, 40).Select(i => i / 20)], 1.5));
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.FitRelated(x, y, [0, 1], 0.5));
    }

    [Fact]
    public void What_it_cannot_be_fitted_to_gets_a_sentence()
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(16_001, 2, seed: 1);
        Assert.Contains("16001 checkpoints are too many", Assert.Throws<EmScanException>(() => KernelRidgeRegression.Fit(x, y)).Message);
        FeatureMatrix few = x.SelectRows([0, 1]);
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.Fit(few, (double[])[1, 2], lengthScale: 0));
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.Fit(few, (double[])[1, 2], alpha: -1));
        Assert.Throws<ArgumentException>(() => KernelRidgeRegression.Fit(few, (double[])[1, 2, 3]));
        Assert.Contains("All 2 targets are 1", Assert.Throws<EmScanException>(() => KernelRidgeRegression.Fit(few, (double[])[1, 1])).Message);
        Assert.Contains("is NaN", Assert.Throws<EmScanException>(() => KernelRidgeRegression.Fit(few, (double[])[1, 2]).Predict((double[])[0, double.NaN])).Message);
    }

    [Theory]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 1, "coefficients": [], "points": []}""",
        "has a kernel ridge without points or with a \"length_scale\" that is not positive")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 0, "coefficients": [1], "points": [[1]]}""",
        "has a kernel ridge without points or with a \"length_scale\" that is not positive")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": -1, "coefficients": [1], "points": [[1]]}""",
        "has a kernel ridge without points or with a \"length_scale\" that is not positive")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "coefficients": [1], "points": [[1]]}""",
        "has no \"length_scale\" in a regressor")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "length_scale": 1, "coefficients": [1], "points": [[1]]}""",
        "has no \"target_mean\" in a regressor")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 1, "coefficients": [1, 2], "points": [[1]]}""",
        "has 2 numbers in a list \"coefficients\" that needs 1")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 2, "target_mean": 0, "length_scale": 1, "coefficients": [1], "points": [[1]]}""",
        "has 1 numbers in a list \"points\" that needs 2")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 1, "coefficients": [1], "points": [1]}""",
        "has a \"points\" that is not a list")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 1, "coefficients": [1], "points": [["1"]]}""",
        "has a \"points\" with an entry that is no number")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 1, "coefficients": [1], "points": [[1e60]]}""",
        "has a \"points\" with an entry that is no number")]
    [InlineData("""{"kind": "kernel_ridge", "feature_count": 1, "target_mean": 0, "length_scale": 1, "coefficients": [1], "points": 3}""",
        "has no list \"points\" in a regressor")]
    public void Files_that_hold_none_are_named_with_what_is_wrong(string json, string problem)
    {
        var failure = Assert.Throws<InputFileException>(() => RegressorJson.Parse("calibration.json", Encoding.UTF8.GetBytes(json)));
        Assert.Equal($"calibration.json: {problem}", failure.Message);
    }
}
