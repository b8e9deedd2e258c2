using System.Text.Json;
using EmScan.Engine.Drift;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Tests.Drift;

/// <summary>
/// The drift axis and its controls against numpy (Reference/drift_axis.py: SVD of the centred data in float64). The axis is computed from
/// float32 rows, which moves shares and cosines by some 1e-7; what does not go through those rows is held to 1e-9.
/// </summary>
public sealed class DriftAxisReferenceTests
{
    private const double Share = 1e-6;
    private const double Loading = 1e-5;

    private static readonly JsonElement Root =
        JsonDocument.Parse(File.ReadAllText(Repository.File("tests/Engine.Tests/Drift/Reference/drift_axis.json"))).RootElement;

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, Root.GetProperty("synthetic").GetArrayLength())];

    public static TheoryData<int> Organisms => [.. Enumerable.Range(0, Root.GetProperty("organisms").GetArrayLength())];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Shares_loadings_and_controls_equal_numpy_on_synthetic_drifts(int index)
    {
        JsonElement expected = Root.GetProperty("synthetic")[index];
        string[] traits = [.. expected.GetProperty("traits").EnumerateArray().Select(t => t.GetString()!)];
        string[] groups = [.. expected.GetProperty("groups").EnumerateArray().Select(t => t.GetString()!)];
        double[][] drifts = Rows(expected.GetProperty("drifts"));
        float[] directions = [.. Rows(expected.GetProperty("directions")).SelectMany(row => row.Select(v => (float)v))];
        DriftAxis axis = CompareAxis(expected, traits, drifts, groups);
        CompareWhitened(expected, axis, directions);
        CompareNull(expected, axis);

        NativeAxis native = NativeAxis.Compute(axis, Rows(expected.GetProperty("changes")), directions);
        JsonElement reference = expected.GetProperty("native");
        Assert.Equal(reference.GetProperty("share").GetDouble(), native.Share, 1e-9);
        Assert.Equal(reference.GetProperty("participation").GetDouble(), native.ParticipationRatio, 1e-9);
        Assert.Equal(reference.GetProperty("visible").GetDouble(), native.VisibleShare, 1e-9);
        Assert.NotNull(native.Cosine);
        Assert.Equal(reference.GetProperty("cosine").GetDouble(), native.Cosine.Value, Loading);
    }

    [Theory]
    [MemberData(nameof(Organisms))]
    public void Shares_loadings_and_controls_equal_numpy_on_the_shipped_organisms(int index)
    {
        JsonElement expected = Root.GetProperty("organisms")[index];
        string folder = $"models/{expected.GetProperty("base").GetString()}/parity";
        var fixture = new OrganismDrifts(Repository.File($"{folder}/trajectories.jsonl"));
        Assert.Equal(expected.GetProperty("runs").GetInt32(), fixture.Drifts.Length);
        DriftAxis axis = CompareAxis(expected, fixture.Traits, fixture.Drifts, fixture.Groups);
        DirectionSet directions = DirectionSet.Load(Repository.File($"{folder}/directions.safetensors"));
        CompareWhitened(expected, axis, directions.Direction(fixture.Layer).ToArray());
        CompareNull(expected, axis);
    }

    private static DriftAxis CompareAxis(JsonElement expected, string[] traits, double[][] drifts, string[] groups)
    {
        var byGroup = new SortedDictionary<string, DriftAxisBuilder>(StringComparer.Ordinal);
        for (int i = 0; i < drifts.Length; i++)
        {
            if (!byGroup.TryGetValue(groups[i], out DriftAxisBuilder? builder))
                byGroup.Add(groups[i], builder = new DriftAxisBuilder(traits));
            builder.Add(drifts[i]);
        }

        LeaveOneGroupOut control = LeaveOneGroupOut.Compute([.. byGroup]);
        DriftAxis axis = control.Axis;
        JsonElement reference = expected.GetProperty("axis");
        double[] shares = Row(reference.GetProperty("shares"));
        AssertClose(Row(reference.GetProperty("mean")), axis.Mean, Share);
        AssertClose(shares, axis.Shares, Share);
        Assert.Equal(reference.GetProperty("participation").GetDouble(), axis.ParticipationRatio, 10 * Share);
        Assert.Equal(1, Row(reference.GetProperty("variances"))[0] / axis.Variances[0], Share);
        double[][] components = Rows(reference.GetProperty("components"));

        // Components without variance may turn among themselves.
        for (int i = 0; i < traits.Length && shares[i] > 1e-3; i++)
        {
            // The error of a loading grows with the total variance over the gap to the neighbouring components.
            double gap = Math.Min(i > 0 ? shares[i - 1] - shares[i] : 1, i + 1 < shares.Length ? shares[i] - shares[i + 1] : 1);
            AssertClose(components[i], axis.Component(i), Share / gap);
        }

        double projection = components[0].Zip(drifts[0], (u, x) => u * x).Sum();
        Assert.Equal(projection, axis.Project(drifts[0]), Loading);
        Assert.Equal(Math.Abs(projection), axis.Magnitude(drifts[0]), Loading);
        foreach (LeftOutGroup group in control.Groups)
        {
            Assert.NotNull(group.Cosine);
            Assert.Equal(expected.GetProperty("leave_one_out").GetProperty(group.Group).GetDouble(), group.Cosine.Value, Loading);
            Assert.Equal(groups.Count(g => g == group.Group), group.Runs);
        }

        Assert.Equal(control.Groups.Min(g => g.Cosine), control.LowestCosine);
        Assert.Equal(control.Groups.Average(g => g.Cosine), control.MeanCosine);
        return axis;
    }

    private static void CompareWhitened(JsonElement expected, DriftAxis axis, float[] directions)
    {
        WhitenedAxis whitened = WhitenedAxis.Compute(axis, directions);
        JsonElement reference = expected.GetProperty("whitened");

        // Whitening amplifies directions that the traits hardly see, and their rounding.
        Assert.Equal(reference.GetProperty("share").GetDouble(), whitened.Axis.Shares[0], 10 * Share);
        Assert.Equal(reference.GetProperty("cosine").GetDouble(), whitened.Cosine, Loading);
    }

    /// <summary>1000 draws here against 20000 in numpy: within four standard errors of either.</summary>
    private static void CompareNull(JsonElement expected, DriftAxis axis)
    {
        JsonElement reference = expected.GetProperty("isotropic");
        IsotropicNull drawn = IsotropicNull.Compute(axis, Row(reference.GetProperty("norms")), seed: 5);
        double mean = reference.GetProperty("mean").GetDouble(), spread = reference.GetProperty("share95").GetDouble() - mean;
        double p = reference.GetProperty("p").GetDouble();
        Assert.Equal(mean, drawn.MeanShare, 4 * spread / 1.645 / Math.Sqrt(1000));

        // The 95th percentile of a normal sample varies 2.1 times as much as its mean.
        Assert.Equal(mean + spread, drawn.Share95, 4 * 2.1 * spread / 1.645 / Math.Sqrt(1000));
        Assert.Equal(p, drawn.PValue, (4 * Math.Sqrt(p * (1 - p) / 1000)) + (2.0 / 1001));
        Assert.Equal(drawn, IsotropicNull.Compute(axis, Row(reference.GetProperty("norms")), seed: 5));
        Assert.NotEqual(drawn, IsotropicNull.Compute(axis, Row(reference.GetProperty("norms")), seed: 6));
    }

    private static void AssertClose(double[] expected, ReadOnlySpan<double> actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], tolerance);
    }

    private static double[] Row(JsonElement row) => [.. row.EnumerateArray().Select(v => v.GetDouble())];

    private static double[][] Rows(JsonElement rows) => [.. rows.EnumerateArray().Select(Row)];
}
