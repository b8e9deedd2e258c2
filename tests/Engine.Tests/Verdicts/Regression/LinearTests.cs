using System.Text.Json;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

/// <summary>Ridge and logistic regression against scikit-learn, and against what defines their minimisers.</summary>
public sealed class LinearTests
{
    private const double Tolerance = 1e-6;

    private static readonly JsonElement[] Cases = Fixtures.Read("linear.json");

    public static TheoryData<int, string> RidgeCases => Fixtures.Cases("linear.json", "ridge");

    public static TheoryData<int, string> LogisticCases => Fixtures.Cases("linear.json", "logistic");

    [Theory]
    [MemberData(nameof(RidgeCases))]
    public void Ridge_agrees_with_scikit_learn(int index, string name)
    {
        _ = name;
        JsonElement fixture = Cases[index];
        FeatureMatrix x = fixture.Matrix("x");
        RidgeRegression ridge = RidgeRegression.Fit(x, fixture.Numbers("y"), fixture.GetProperty("alpha").GetDouble());
        Fixtures.Close(fixture.Numbers("coefficients"), ridge.Coefficients.ToArray(), Tolerance);
        Assert.Equal(fixture.GetProperty("intercept").GetDouble(), ridge.Intercept, Tolerance);
        Fixtures.Close(fixture.Numbers("predictions"), ridge.PredictAll(x), Tolerance);
    }

    [Theory]
    [MemberData(nameof(LogisticCases))]
    public void Logistic_regression_agrees_with_scikit_learn(int index, string name)
    {
        _ = name;
        JsonElement fixture = Cases[index];
        FeatureMatrix x = fixture.Matrix("x");
        bool[] y = [.. fixture.Numbers("y").Select(v => v > 0)];
        LogisticRegression logistic = LogisticRegression.Fit(x, y, fixture.GetProperty("c").GetDouble());
        Fixtures.Close(fixture.Numbers("coefficients"), logistic.Coefficients.ToArray(), Tolerance);
        Assert.Equal(fixture.GetProperty("intercept").GetDouble(), logistic.Intercept, Tolerance);
        Fixtures.Close(fixture.Numbers("predictions"), logistic.PredictAll(x), Tolerance);
    }

    [Theory]
    [InlineData(50, 6, 1)]
    [InlineData(10, 60, 1e-4)]
    [InlineData(300, 40, 1e4)]
    public void The_gradient_of_ridge_vanishes(int rows, int features, double alpha)
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(rows, features, seed: rows);
        RidgeRegression ridge = RidgeRegression.Fit(x, y, alpha);
        double[] residuals = [.. y.Zip(ridge.PredictAll(x), (a, b) => a - b)];
        Assert.Equal(0, residuals.Sum(), 1e-10);
        for (int f = 0; f < features; f++)
        {
            double product = residuals.Select((r, i) => r * x.Row(i)[f]).Sum();
            Assert.Equal(alpha * ridge.Coefficients[f], product, 1e-9);
        }
    }

    [Theory]
    [InlineData(50, 6, 1, 0.1)]
    [InlineData(50, 6, 1000, 0)]
    [InlineData(12, 60, 1, 0.1)]
    [InlineData(600, 3, 1, 2)]
    public void The_gradient_of_logistic_regression_vanishes(int rows, int features, double c, double noise)
    {
        (FeatureMatrix x, double[] values) = Fixtures.Random(rows, features, seed: rows, noise);
        bool[] y = [.. values.Select(v => v > 0.3)];
        LogisticRegression logistic = LogisticRegression.Fit(x, y, c);
        double[] residuals = [.. logistic.PredictAll(x).Select((p, i) => (y[i] ? 1 : 0) - p)];
        Assert.Equal(0, c * residuals.Sum(), 1e-10);
        for (int f = 0; f < features; f++)
        {
            double product = residuals.Select((r, i) => r * x.Row(i)[f]).Sum();
            Assert.Equal(0, logistic.Coefficients[f] - (c * product), 1e-10);
        }
    }

    [Fact]
    public void A_separable_set_far_from_the_origin_converges()
    {
        // Margins of a few hundred standard deviations: without the penalty there would be no minimiser, and probabilities saturate.
        bool[] y = [.. Enumerable.Range(0, 40).Select(i => i >= 20)];
        FeatureMatrix x = FeatureMatrix.FromRows([.. y.Select((positive, i) => (double[])[(positive ? 1.001e6 : 1e6) + i, i % 3])]);
        LogisticRegression logistic = LogisticRegression.Fit(x, y, 1e6);
        Assert.All(logistic.PredictAll(x).Zip(y), pair => Assert.Equal(pair.Second, pair.First > 0.5));
    }

    [Fact]
    public void Dependent_features_with_hardly_any_penalty_end_at_the_limit_of_rounding()
    {
        const double C = 5e5;
        (FeatureMatrix noise, double[] values) = Fixtures.Random(50, 6, seed: 2, noise: 2);
        bool[] y = [.. values.Select(v => v > 0)];
        FeatureMatrix x = FeatureMatrix.FromRows([.. Enumerable.Range(0, 50).Select(i =>
        {
            double[] row = noise.Row(i).ToArray();
            return (double[])[1e4 + row[0], 1e4 + row[0], 3 * row[1], row[1] + (1e-7 * row[2]), .. row[3..]];
        })]);
        LogisticRegression fitted = LogisticRegression.Fit(x, y, C);
        double[] solution = [.. fitted.Coefficients, fitted.Intercept];
        double least = Objective(solution);
        for (int k = 0; k < solution.Length; k++)
        {
            foreach (double factor in new[] { 0.999, 1.001 })
                Assert.True(Objective([.. solution.Select((v, j) => j == k ? v * factor : v)]) > least);
        }

        double Objective(double[] parameters)
        {
            var candidate = new LogisticRegression(parameters[..^1], parameters[^1]);
            double loss = Enumerable.Range(0, 50).Sum(i => -Math.Log(y[i] ? candidate.Predict(x.Row(i)) : 1 - candidate.Predict(x.Row(i))));
            return (0.5 * parameters[..^1].Sum(w => w * w)) + (C * loss);
        }
    }

    [Fact]
    public void Data_that_nothing_can_be_learnt_from_gets_a_sentence()
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(5, 2, seed: 1);
        Assert.Equal(
            "All 5 targets are 0.25; a regressor can only be fitted to targets that differ.",
            Assert.Throws<EmScanException>(() => RidgeRegression.Fit(x, (double[])[0.25, 0.25, 0.25, 0.25, 0.25])).Message);
        Assert.Equal(
            "The target of row 1 (counted from 0) is NaN; targets must be finite numbers within 1e38.",
            Assert.Throws<EmScanException>(() => RidgeRegression.Fit(x, (double[])[1, double.NaN, 2, 3, 4])).Message);
        Assert.Equal(
            "There is only one row to fit on; at least two are needed.",
            Assert.Throws<EmScanException>(() => RidgeRegression.Fit(x.SelectRows([0]), (double[])[1])).Message);
        Assert.Equal(
            "All 5 labels are the same; a logistic regression needs rows of both classes.",
            Assert.Throws<EmScanException>(() => LogisticRegression.Fit(x, new bool[5])).Message);
        Assert.Throws<ArgumentException>(() => RidgeRegression.Fit(x, y, 0));
        Assert.Throws<ArgumentException>(() => RidgeRegression.Fit(x, y.AsSpan(1)));
        Assert.Throws<ArgumentException>(() => LogisticRegression.Fit(x, new bool[5], double.NaN));
        Assert.Throws<ArgumentException>(() => LogisticRegression.Fit(x, new bool[4]));
    }

    [Fact]
    public void A_row_to_predict_must_be_complete_and_finite()
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(20, 2, seed: 1);
        bool[] labels = [.. y.Select(v => v > 0)];
        var grown = new RandomForestOptions { Trees = 2 };
        IRegressor[] all =
        [
            RidgeRegression.Fit(x, y), LogisticRegression.Fit(x, labels), RandomForestRegressor.Fit(x, y, grown),
            GradientBoostingRegressor.Fit(x, y), PartialLeastSquares.Fit(x, y, 1),
        ];
        Assert.All(all, regressor =>
        {
            Assert.Throws<ArgumentException>(() => regressor.Predict((double[])[1]));
            Assert.Equal(
                "Feature 1 (counted from 0) is NaN; features must be finite numbers within 1e38.",
                Assert.Throws<EmScanException>(() => regressor.Predict((double[])[1, double.NaN])).Message);
        });
    }
}
