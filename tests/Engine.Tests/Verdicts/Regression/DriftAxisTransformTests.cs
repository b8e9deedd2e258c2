using System.Text;
using EmScan.Engine.Drift;
using EmScan.Engine.Tests.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

public sealed class DriftAxisTransformTests
{
    private static readonly double[][] Drifts =
        [[0.1, 0.02, 0.3], [-0.2, 0.1, 0.05], [0.04, -0.3, 0.2], [0.3, 0.25, -0.1], [-0.1, 0.15, 0.2]];

    public static TheoryData<string> Outputs => [.. Enum.GetNames<DriftAxisOutput>()];

    [Fact]
    public void Outputs_are_the_position_on_the_axis_its_size_and_its_size_per_step()
    {
        DriftAxis axis = Axis();
        foreach (double[] drift in Drifts)
        {
            double position = drift.Zip(axis.Loadings.ToArray(), (x, w) => x * w).Sum();
            Assert.Equal([position], Applied(axis, DriftAxisOutput.Position, drift), Tolerance.Of(1e-15));
            Assert.Equal([Math.Abs(position)], Applied(axis, DriftAxisOutput.Magnitude, drift), Tolerance.Of(1e-15));
            Assert.Equal(
                [100 * Math.Abs(position), 40, 2.5 * Math.Abs(position)], Applied(axis, DriftAxisOutput.StepAware, [.. drift, 40]), Tolerance.Of(1e-14));
        }

        Assert.Equal([0, 0, 0], Applied(axis, DriftAxisOutput.StepAware, [0, 0, 0, 0]));
    }

    [Fact]
    public void Rows_of_another_length_and_numbers_that_are_none_are_refused()
    {
        var transform = new DriftAxisTransform(Axis(), DriftAxisOutput.StepAware);
        Assert.Equal((4, 3), (transform.InputCount, transform.OutputCount));
        Assert.Throws<ArgumentException>(() => transform.Apply([1, 2, 3], new double[3]));
        Assert.Throws<ArgumentException>(() => transform.Apply([1, 2, 3, 4], new double[1]));
        Assert.Throws<EmScanException>(() => transform.Apply([1, 2, double.NaN, 4], new double[3]));
    }

    [Theory]
    [MemberData(nameof(Outputs))]
    public void Reading_gives_the_same_function_to_the_bit(string name)
    {
        DriftAxisOutput output = Enum.Parse<DriftAxisOutput>(name);
        Pipeline pipeline = Fitted(output);
        byte[] text = Encoding.UTF8.GetBytes(RegressorJsonTests.Text(pipeline));
        var read = (Pipeline)RegressorJson.Parse("memory", text);
        var transform = (DriftAxisTransform)read.Transforms[0];
        Assert.Equal(output, transform.Output);
        Assert.Equal(((DriftAxisTransform)pipeline.Transforms[0]).Loadings.ToArray(), transform.Loadings.ToArray());
        foreach (double[] drift in Drifts)
        {
            double[] row = output == DriftAxisOutput.StepAware ? [.. drift, 30] : drift;
            Assert.Equal(pipeline.Predict(row), read.Predict(row));
        }

        Assert.Equal(RegressorJsonTests.Text(pipeline), RegressorJsonTests.Text(read));
        HostileInput.EveryTruncationIsRefused(text, Parse);
        HostileInput.BitFlipsAreSurvived(text, Parse, rounds: 500, seed: 4);
    }

    [Theory]
    [InlineData("\"output\": \"position\", \"loadings\": [1, 0]", 3, "has 2 numbers in a list \"loadings\" that needs 3")]
    [InlineData("\"output\": \"stepaware\", \"loadings\": [1, 0, 0]", 3, "has 3 numbers in a list \"loadings\" that needs 2")]
    [InlineData("\"output\": \"stepaware\", \"loadings\": []", 1, "has a drift axis without loadings")]
    [InlineData("\"output\": \"2\", \"loadings\": [1]", 1, "has a drift axis with the unknown output \"2\"")]
    [InlineData("\"output\": \"7\", \"loadings\": [1]", 1, "has a drift axis with the unknown output \"7\"")]
    [InlineData("\"output\": \"sideways\", \"loadings\": [1]", 1, "has a drift axis with the unknown output \"sideways\"")]
    [InlineData("\"output\": \"position, magnitude\", \"loadings\": [1]", 1, "has a drift axis with the unknown output \"position, magnitude\"")]
    [InlineData("\"loadings\": [1]", 1, "has a drift axis with the unknown output \"\"")]
    [InlineData("\"output\": \"position\"", 1, "has no list \"loadings\" in a regressor")]
    public void Files_that_hold_none_are_named_with_what_is_wrong(string keys, int features, string problem)
    {
        string json = $$"""
            {"kind": "pipeline", "feature_count": {{features}},
             "transforms": [{"kind": "drift_axis", "feature_count": {{features}}, {{keys}} }],
             "regressor": {"kind": "ridge", "feature_count": 1, "coefficients": [1], "intercept": 0} }
            """;
        var failure = Assert.Throws<InputFileException>(() => RegressorJson.Parse("f", Encoding.UTF8.GetBytes(json)));
        Assert.Equal($"f: {problem}", failure.Message);
    }

    private static DriftAxis Axis()
    {
        var builder = new DriftAxisBuilder(Synthetic.Traits);
        foreach (double[] drift in Drifts) builder.Add(drift);
        return builder.Fit();
    }

    private static double[] Applied(DriftAxis axis, DriftAxisOutput output, double[] row)
    {
        var transform = new DriftAxisTransform(axis, output);
        double[] result = new double[transform.OutputCount];
        transform.Apply(row, result);
        return result;
    }

    private static Pipeline Fitted(DriftAxisOutput output)
    {
        var transform = new DriftAxisTransform(Axis(), output);
        FeatureMatrix x = FeatureMatrix.FromRows(
            [.. Drifts.Select((drift, i) => output == DriftAxisOutput.StepAware ? (double[])[.. drift, 10 * (i + 1)] : drift)]).Apply(transform);
        return new Pipeline([transform], RidgeRegression.Fit(x, (double[])[0.1, 0.2, 0.3, 0.1, 0.4]));
    }

    private static void Parse(string path) => RegressorJson.Parse(path, File.ReadAllBytes(path));
}
