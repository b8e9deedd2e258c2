using System.Text.Json;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

/// <summary>The transforms against scikit-learn.</summary>
public sealed class ReductionTests
{
    private const double Tolerance = 1e-6;

    private static readonly JsonElement[] Cases = Fixtures.Read("reductions.json");

    public static TheoryData<int, string> StandardizerCases => Fixtures.Cases("reductions.json", "standardizer");

    public static TheoryData<int, string> PrincipalCases => Fixtures.Cases("reductions.json", "principal_components");

    public static TheoryData<int, string> SquaresCases => Fixtures.Cases("reductions.json", "partial_least_squares");

    [Theory]
    [MemberData(nameof(StandardizerCases))]
    public void Standardised_features_agree_with_scikit_learn(int index, string name)
    {
        _ = name;
        FeatureMatrix x = Cases[index].Matrix("x");
        Fixtures.Close([.. Cases[index].Rows("result").SelectMany(row => row)], x.Apply(Standardizer.Fit(x)).Values.ToArray(), 1e-9);
    }

    [Theory]
    [MemberData(nameof(PrincipalCases))]
    public void Principal_components_agree_with_scikit_learn_up_to_sign(int index, string name)
    {
        _ = name;
        FeatureMatrix x = Cases[index].Matrix("x");
        PrincipalComponents fitted = PrincipalComponents.Fit(x, Cases[index].GetProperty("n").GetInt32());
        CloseUpToSign(Cases[index].Rows("result"), x.Apply(fitted));
        for (int m = 0; m < fitted.OutputCount; m++)
        {
            double[] component = fitted.Component(m).ToArray();
            Assert.Equal(1, component.Sum(v => v * v), 1e-12);
            Assert.Equal(component.Max(Math.Abs), component.Max(), 1e-8);
        }
    }

    [Theory]
    [MemberData(nameof(SquaresCases))]
    public void Partial_least_squares_agree_with_scikit_learn(int index, string name)
    {
        _ = name;
        FeatureMatrix x = Cases[index].Matrix("x");
        PartialLeastSquares fitted = PartialLeastSquares.Fit(x, Cases[index].Numbers("y"), Cases[index].GetProperty("n").GetInt32());
        CloseUpToSign(Cases[index].Rows("result"), x.Apply(fitted));
        Fixtures.Close(Cases[index].Numbers("predictions"), fitted.PredictAll(x), Tolerance);
    }

    [Theory]
    [InlineData(30, 8)]
    [InlineData(8, 300)]
    public void Principal_components_reconstruct_as_much_as_their_variance_says(int rows, int features)
    {
        (FeatureMatrix x, _) = Fixtures.Random(rows, features, seed: 5);
        int all = Math.Min(rows - 1, features);
        PrincipalComponents fitted = PrincipalComponents.Fit(x, all);
        double total = Enumerable.Range(0, rows * features)
            .Sum(k => Math.Pow(x.Values[k] - fitted.Mean[k % features], 2));
        double[] variances =
            [.. Enumerable.Range(0, all).Select(m => Enumerable.Range(0, rows).Sum(i => Math.Pow(x.Apply(fitted).Row(i)[m], 2)))];
        Assert.Equal(total, variances.Sum(), total * 1e-10);
        Assert.Equal(variances.OrderDescending(), variances);
        for (int a = 0; a < all; a++)
        {
            for (int b = 0; b < a; b++)
                Assert.Equal(0, fitted.Component(a).ToArray().Zip(fitted.Component(b).ToArray(), (u, v) => u * v).Sum(), 1e-9);
        }
    }

    [Fact]
    public void The_sign_of_a_component_does_not_depend_on_rounding_when_entries_tie()
    {
        // The first direction is (1, -1) / sqrt(2): which entry is the larger one is chance.
        for (int seed = 0; seed < 20; seed++)
        {
            var random = new Random(seed);
            FeatureMatrix x = FeatureMatrix.FromRows([.. Enumerable.Range(0, 30).Select(_ =>
            {
                double t = random.NextDouble();
                return (double[])[t, 0.1 - t];
            })]);
            Assert.True(PrincipalComponents.Fit(x, 1).Component(0)[0] > 0);
        }
    }

    [Fact]
    public void More_components_than_the_rows_have_get_a_sentence()
    {
        FeatureMatrix flat = FeatureMatrix.FromRows([.. Enumerable.Range(0, 10).Select(i => (double[])[i, 2 * i, 3 - i])]);
        double[] y = [.. Enumerable.Range(0, 10).Select(i => (double)i * i)];
        Assert.Equal(
            "2 principal components were asked for; the dimension in which the 10 rows vary is 1.",
            Assert.Throws<EmScanException>(() => PrincipalComponents.Fit(flat, 2)).Message);
        Assert.Equal(
            "2 components were asked for, but 1 explain all of the target that the features can explain.",
            Assert.Throws<EmScanException>(() => PartialLeastSquares.Fit(flat, y, 2)).Message);
        Assert.Equal(
            "7 components were asked for; 5 rows of 3 features have at most 3.",
            Assert.Throws<EmScanException>(() => PrincipalComponents.Fit(flat.SelectRows([0, 1, 2, 3, 4]), 7)).Message);
        Assert.Throws<EmScanException>(() => PrincipalComponents.Fit(flat.SelectRows([3, 3, 3]), 1));
        Assert.Throws<EmScanException>(() => PartialLeastSquares.Fit(flat.SelectRows([3, 3, 3]), (double[])[1, 2, 3], 1));
        Assert.Throws<EmScanException>(() => PrincipalComponents.Fit(flat.SelectRows([0]), 1));
        Assert.Throws<ArgumentException>(() => PrincipalComponents.Fit(flat, 0));
    }

    [Fact]
    public void A_pipeline_is_its_parts_one_after_another()
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(40, 6, seed: 8);
        Standardizer standardizer = Standardizer.Fit(x);
        FeatureMatrix standard = x.Apply(standardizer);
        PrincipalComponents components = PrincipalComponents.Fit(standard, 3);
        FeatureMatrix scores = standard.Apply(components);
        RidgeRegression ridge = RidgeRegression.Fit(scores, y);
        var inner = new Pipeline([components], ridge);
        var pipeline = new Pipeline([standardizer], inner);
        Assert.Equal(6, pipeline.FeatureCount);
        Assert.Equal([standardizer, components], pipeline.Transforms);
        Assert.Same(ridge, pipeline.Regressor);
        Assert.Equal(ridge.PredictAll(scores), pipeline.PredictAll(x));
        Assert.Throws<ArgumentException>(() => new Pipeline([components, standardizer], ridge));
        Assert.Throws<ArgumentException>(() => new Pipeline([standardizer], ridge));
        Assert.Throws<ArgumentException>(() => standardizer.Apply(x.Row(0), new double[5]));
        Assert.Throws<ArgumentException>(() => components.Apply(x.Row(0), new double[4]));
    }

    private static void CloseUpToSign(double[][] expected, FeatureMatrix actual)
    {
        double size = expected.SelectMany(row => row).Max(Math.Abs);
        for (int m = 0; m < actual.FeatureCount; m++)
        {
            double product = expected.Select((row, i) => row[m] * actual.Row(i)[m]).Sum();
            for (int i = 0; i < actual.RowCount; i++)
                Assert.Equal(expected[i][m], Math.Sign(product) * actual.Row(i)[m], Tolerance * Math.Max(1, size));
        }
    }
}
