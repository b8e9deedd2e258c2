using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Kernels;

namespace EmScan.Engine.Tests.Measuring;

public sealed class ReducerTests
{
    private const int Width = 12;

    public static TheoryData<string> Reducers => ["projections", "difference", "position", "token", "along", "spectrum", "few rows", "latents"];

    [Theory]
    [MemberData(nameof(Reducers))]
    public void Merging_two_halves_is_one_pass(string name)
    {
        var random = new Random(17);
        PromptSet prompts = Prompts(random, name == "few rows" ? 2 : 40);
        Reducer reducer = Named(name, random);
        (float[] States, float[] Base)[] rows = [.. prompts.Prompts.Select(p => (Numbers(random, p.Positions.Length), Numbers(random, p.Positions.Length)))];
        Accumulator whole = reducer.Start(prompts, Width), left = reducer.Start(prompts, Width), right = reducer.Start(prompts, Width);
        for (int p = 0; p < rows.Length; p++)
        {
            Feed(whole, p, rows[p]);
            Feed(p % 3 == 0 ? left : right, p, rows[p]);
        }

        left.Merge(right);
        AssertClose(whole.Finish(), left.Finish(), 1e-6);
    }

    [Theory]
    [InlineData(8, 1.0)] // fewer rows than the width: the rows are kept
    [InlineData(300, 1.0)] // more: the second moment is
    public void Spectra_of_rows_of_known_singular_values_are_those(int rows, double scale)
    {
        // X = U S V' with orthonormal U and V: squares 9, 4, 1, .25 are all there is.
        var random = new Random(5);
        double[] singular = [3, 2, 1, 0.5];
        double[][] u = Orthonormal(random, 4, rows), v = Orthonormal(random, 4, Width);
        var prompts = new PromptSet("rows", [.. Enumerable.Range(0, rows).Select(_ => CapturePrompt.Last([1, 2, 3]))]);
        Accumulator accumulator = new SpectrumReducer(new SpectrumOptions(false, false)).Start(prompts, Width);
        double[] mean = new double[Width];
        for (int i = 0; i < rows; i++)
        {
            double[] row = [.. Enumerable.Range(0, Width).Select(d => scale * Enumerable.Range(0, 4).Sum(k => u[k][i] * singular[k] * v[k][d]))];
            for (int d = 0; d < Width; d++) mean[d] += row[d] / rows;
            Feed(accumulator, i, (Array.ConvertAll(row, x => (float)x), new float[Width]));
        }

        CellResult result = accumulator.Finish();
        double[] squares = [.. singular.Select(s => s * s)], shares = [.. squares.Select(s => s / squares.Sum())];
        for (int k = 0; k < 4; k++) Assert.Equal(shares[k], result["uncentred.energy_share"][k], 1e-5);
        Assert.Equal(1 / shares.Sum(s => s * s), result["uncentred.participation_ratio"][0], 1e-5);
        Assert.Equal(2, result["uncentred.directions_90"][0]); // 0.632 + 0.281
        double sign = mean.Zip(v[0], (a, b) => a * b).Sum() < 0 ? -1 : 1;
        for (int d = 0; d < Width; d++) Assert.Equal(sign * v[0][d], result["first_direction"][d], 1e-4);
    }

    [Fact]
    public void Whitening_by_the_base_makes_directions_of_equal_relative_size_equal()
    {
        // The base varies by 10, 1 and 0.1 along three axes, and so does the change: whitened it is as large along each.
        var random = new Random(6);
        double[] sizes = [10, 1, 0.1];
        const int Rows = 4000;
        var prompts = new PromptSet("rows", [.. Enumerable.Range(0, Rows).Select(_ => CapturePrompt.Last([1, 2, 3]))]);
        Accumulator accumulator = new SpectrumReducer(new SpectrumOptions(false, true)).Start(prompts, 3);
        for (int i = 0; i < Rows; i++)
        {
            float[] before = [.. sizes.Select(s => (float)(s * TinyModel.Gaussian(random)))], change = [.. sizes.Select(s => (float)(s * TinyModel.Gaussian(random)))];
            accumulator.Add(new RowBlock(i, 0, 1, [.. before.Zip(change, (x, y) => x + y)], before, change));
        }

        CellResult result = accumulator.Finish();
        Assert.Equal(1, result["uncentred.directions_90"][0]);

        // Variances over ridge: 1e-3 of the mean variance, 33.7, is 0.034: it leaves the first two axes whole and takes most of the third.
        double[] white = [.. sizes.Select(s => s * s / ((s * s) + (1e-3 * sizes.Average(x => x * x))))];
        for (int k = 0; k < 3; k++) Assert.Equal(white.OrderDescending().ElementAt(k) / white.Sum(), result["whitened.uncentred.energy_share"][k], 0.05);
    }

    [Fact]
    public void What_does_not_change_has_no_shares()
    {
        var prompts = new PromptSet("rows", [CapturePrompt.Last([1]), CapturePrompt.Last([2])]);
        foreach (Reducer reducer in new Reducer[] { new SpectrumReducer(new SpectrumOptions(true, true)), new GroupReducer(RowGrouping.Token), new AlongReducer(Enumerable.Repeat(1.0, Width).ToArray()) })
        {
            Accumulator accumulator = reducer.Start(prompts, Width);
            for (int p = 0; p < 2; p++) accumulator.Add(new RowBlock(p, 0, 1, new float[Width], new float[Width], new float[Width]));
            CellResult result = accumulator.Finish();
            foreach (string part in new[] { "energy_share", "variance_share", "uncentred.energy_share", "along" }) Assert.Null(result.Find(part));
            Assert.True(result.IsFinite);
        }
    }

    [Theory]
    [InlineData(7, false)]
    [InlineData(7, true)]
    [InlineData(9000, false)] // more than one block of rows
    public void Mean_activations_are_means_over_prompts_of_means_over_their_rows(int latents, bool pooled)
    {
        var random = new Random(23);
        PromptSet all = Prompts(random, latents > 1000 ? 300 : 30), prompts = new("rows", all.Prompts, pooled ? RowPooling.MeanOfPrompt : RowPooling.EachPosition);
        (Reducer reducer, float[] matrix, float[] bias) = Latents(random, latents);
        Accumulator accumulator = reducer.Start(prompts, Width);
        int[] looked = [.. Enumerable.Range(0, latents).Where(f => f < 5 || f % 1000 == 0)];
        double[] expected = new double[looked.Length];
        for (int p = 0; p < prompts.Prompts.Count; p++)
        {
            int rows = pooled ? 1 : prompts.Prompts[p].Positions.Length;
            float[] states = Numbers(random, rows);
            for (int r = 0; r < rows; r++)
            {
                for (int i = 0; i < looked.Length; i++)
                {
                    double z = bias[looked[i]];
                    for (int d = 0; d < Width; d++) z += (double)states[(r * Width) + d] * matrix[(d * latents) + looked[i]];
                    expected[i] += Math.Max(0, z) / rows / prompts.Prompts.Count;
                }

                // A row at a time, as they come where a prompt is cut.
                accumulator.Add(new RowBlock(p, r, 1, states.AsSpan(r * Width, Width), default, default));
            }
        }

        double[] means = accumulator.Finish()["mean"];
        Assert.Equal(latents, means.Length);
        Assert.Contains(expected, mean => mean > 0.1);
        for (int i = 0; i < looked.Length; i++) Assert.Equal(expected[i], means[looked[i]], 1e-5);
    }

    private static (Reducer Reducer, float[] Matrix, float[] Bias) Latents(Random random, int latents)
    {
        float[] matrix = Numbers(random, latents), bias = Numbers(random, latents)[..latents];
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["cfg.json"], """{"hook_name": "blocks.0.hook_resid_post", "apply_b_dec_to_input": false}""");
        SafetensorsWriter.Write(folder["sae_weights.safetensors"], [("W_enc", [Width, latents], matrix), ("b_enc", [latents], bias)], new Dictionary<string, string>());
        var autoencoder = SparseAutoencoder.Read(folder.Root);
        return (new LatentMeanReducer(autoencoder, new CpuKernelDevice().Keep(autoencoder.Encoder)), matrix, bias);
    }

    private static Reducer Named(string name, Random random) => name switch
    {
        "projections" => new ProjectionReducer(Numbers(random, 3), 3),
        "difference" => new DifferenceReducer(),
        "position" => new GroupReducer(RowGrouping.Position),
        "token" => new GroupReducer(RowGrouping.Token),
        "latents" => Latents(random, 7).Reducer,
        "along" => new AlongReducer(Array.ConvertAll(Numbers(random, 1), v => (double)v)),
        _ => new SpectrumReducer(new SpectrumOptions(true, true)),
    };

    private static PromptSet Prompts(Random random, int count) =>
        PromptSet.All("prompts", Enumerable.Range(0, count).Select(_ => Enumerable.Range(0, random.Next(2, 6)).Select(_ => random.Next(5)).ToArray()));

    private static float[] Numbers(Random random, int rows) => [.. Enumerable.Range(0, rows * Width).Select(i => (float)(TinyModel.Gaussian(random) + (i % Width == 0 ? 2 : 0)))];

    private static void Feed(Accumulator accumulator, int prompt, (float[] States, float[] Base) rows) =>
        accumulator.Add(new RowBlock(prompt, 0, rows.States.Length / Width, rows.States, rows.Base, [.. rows.States.Zip(rows.Base, (a, b) => a - b)]));

    private static double[][] Orthonormal(Random random, int count, int length)
    {
        var vectors = new List<double[]>();
        while (vectors.Count < count)
        {
            double[] vector = [.. Enumerable.Range(0, length).Select(_ => TinyModel.Gaussian(random))];
            foreach (double[] other in vectors)
            {
                double dot = vector.Zip(other, (a, b) => a * b).Sum();
                for (int i = 0; i < length; i++) vector[i] -= dot * other[i];
            }

            double norm = Math.Sqrt(vector.Sum(x => x * x));
            vectors.Add([.. vector.Select(x => x / norm)]);
        }

        return [.. vectors];
    }

    private static void AssertClose(CellResult expected, CellResult actual, double tolerance)
    {
        foreach (string part in new[] { "projections", "norms", "mean", "rows", "mean_norm", "energy", "energy_share", "variance_share_adjusted", "group", "count", "mean_vector_norm", "along", "uncentred.energy_share", "centred.participation_ratio", "position_centred.energy_share", "first_direction", "whitened.centred.energy_share", "whitened.position.variance_share_adjusted" })
        {
            Assert.Equal(expected.Find(part) == null, actual.Find(part) == null);
            if (expected.Find(part) is { } values) Assert.All(values.Zip(actual[part]), pair => Assert.Equal(pair.First, pair.Second, tolerance * Math.Max(1, Math.Abs(pair.First)) * 100));
        }
    }
}
