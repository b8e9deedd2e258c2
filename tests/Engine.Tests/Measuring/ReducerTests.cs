using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
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

    /// <summary>Rows come in pieces of a prompt, as they do where one is cut; the figures are those of all rows at once, in float64.</summary>
    [Fact]
    public void Figures_of_differences_are_those_of_their_definitions()
    {
        var random = new Random(29);
        PromptSet prompts = Prompts(random, 30);
        double[] direction = Array.ConvertAll(Numbers(random, 1), v => (double)v);
        Reducer[] reducers = [new DifferenceReducer(), new AlongReducer(direction), new GroupReducer(RowGrouping.Position), new GroupReducer(RowGrouping.Token)];
        Accumulator[] accumulators = [.. reducers.Select(reducer => reducer.Start(prompts, Width))];
        var rows = new List<(int Position, int Token, double BaseNorm, double[] Change)>();
        for (int p = 0; p < prompts.Prompts.Count; p++)
        {
            CapturePrompt prompt = prompts.Prompts[p];
            int count = prompt.Positions.Length;
            float[] before = Numbers(random, count), change = Numbers(random, count), after = [.. before.Zip(change, (a, b) => a + b)];
            for (int r = 0; r < count; r++)
                rows.Add((prompt.Positions[r], prompt.Tokens[prompt.Positions[r]], Norm(before.Skip(r * Width).Take(Width)), [.. change.Skip(r * Width).Take(Width).Select(v => (double)v)]));
            foreach (Accumulator accumulator in accumulators)
            {
                accumulator.Add(new RowBlock(p, 0, 1, after.AsSpan(0, Width), before.AsSpan(0, Width), change.AsSpan(0, Width)));
                accumulator.Add(new RowBlock(p, 1, count - 1, after.AsSpan(Width), before.AsSpan(Width), change.AsSpan(Width)));
            }
        }

        CellResult difference = accumulators[0].Finish();
        double energy = rows.Sum(r => Square(r.Change));
        Assert.Equal(rows.Count, difference["rows"][0]);
        Close(rows.Average(r => r.BaseNorm), difference["base_norm"][0]);
        Close(rows.Average(r => Math.Sqrt(Square(r.Change))), difference["mean_norm"][0]);
        Close(energy / rows.Count, difference["energy"][0]);
        for (int d = 0; d < Width; d++) Assert.Equal(rows.Average(r => r.Change[d]), difference["mean"][d], 1e-6);
        Close(rows.Sum(r => Math.Pow(r.Change.Zip(direction, (x, v) => x * v).Sum(), 2)) / Square(direction) / energy, accumulators[1].Finish()["along"][0]);
        foreach ((CellResult found, Func<(int Position, int Token, double, double[]), int> key) in new[] { (accumulators[2].Finish(), r => r.Position), (accumulators[3].Finish(), (Func<(int Position, int Token, double, double[]), int>)(r => r.Token)) })
        {
            (int Id, double[][] Changes)[] groups = [.. rows.GroupBy(r => key(r)).OrderBy(g => g.Key).Select(g => (g.Key, g.Select(r => r.Change).ToArray()))];
            Assert.Equal(groups.Select(g => (double)g.Id), found["group"]);
            Assert.Equal(groups.Select(g => (double)g.Changes.Length), found["count"]);
            for (int g = 0; g < groups.Length; g++)
            {
                Close(Math.Sqrt(Square(Mean(groups[g].Changes))), found["mean_vector_norm"][g]);
                Close(groups[g].Changes.Average(x => Math.Sqrt(Square(x))), found["mean_norm"][g]);
            }

            // Sums of squares around the groups' means, around zero and around the mean of all, by their definition.
            double[] mean = Mean([.. rows.Select(r => r.Change)]);
            double within = groups.Sum(g => g.Changes.Sum(x => Square([.. x.Zip(Mean(g.Changes), (a, b) => a - b)]))), variance = rows.Sum(r => Square([.. r.Change.Zip(mean, (a, b) => a - b)]));
            Close(1 - (within / energy), found["energy_share"][0]);
            Close(1 - (within / variance), found["variance_share"][0]);
            Close(1 - (within / (rows.Count - groups.Length) / (variance / (rows.Count - 1))), found["variance_share_adjusted"][0]);
        }

        static double Norm(IEnumerable<float> row) => Math.Sqrt(row.Sum(v => (double)v * v));
        static double Square(double[] row) => row.Sum(v => v * v);
        static double[] Mean(double[][] some) => [.. Enumerable.Range(0, Width).Select(d => some.Average(row => row[d]))];

        // Projections are float32 products of at most 1e-6 of the norms; everything else is float64.
        static void Close(double expected, double actual) => Assert.Equal(expected, actual, 1e-5 * Math.Max(1e-2, Math.Abs(expected)));
    }

    /// <summary>Every prompt counts the same, however many rows it has, and a row with NaN is said by how many prompts it spoils.</summary>
    [Fact]
    public void Projections_are_means_over_the_rows_of_each_prompt()
    {
        var random = new Random(41);
        PromptSet prompts = Prompts(random, 6);
        float[] directions = Numbers(random, 2);
        Accumulator accumulator = new ProjectionReducer(directions, 2).Start(prompts, Width), broken = new ProjectionReducer(directions, 2).Start(prompts, Width);
        double[][] means = new double[6][];
        double[] norms = new double[6];
        for (int p = 0; p < 6; p++)
        {
            int count = prompts.Prompts[p].Positions.Length;
            float[] states = Numbers(random, count);
            double[][] rows = [.. Enumerable.Range(0, count).Select(r => states.Skip(r * Width).Take(Width).Select(v => (double)v).ToArray())];
            means[p] = [.. Enumerable.Range(0, Width).Select(d => rows.Average(row => row[d]))];
            norms[p] = rows.Average(row => Math.Sqrt(row.Sum(v => v * v)));
            accumulator.Add(new RowBlock(p, 0, 1, states.AsSpan(0, Width), default, default));
            accumulator.Add(new RowBlock(p, 1, count - 1, states.AsSpan(Width), default, default));
            if (p is 1 or 4) states[Width] = float.NaN;
            broken.Add(new RowBlock(p, 0, count, states, default, default));
        }

        CellResult result = accumulator.Finish();
        for (int p = 0; p < 6; p++)
        {
            Assert.Equal(norms[p], result["norms"][p], 1e-9);
            for (int k = 0; k < 2; k++) Assert.Equal(means[p].Select((v, d) => v * directions[(k * Width) + d]).Sum(), result["projections"][(p * 2) + k], 1e-4);
        }

        for (int d = 0; d < Width; d++) Assert.Equal(means.Average(mean => mean[d]), result["mean"][d], 1e-6);
        Assert.StartsWith("the hidden states of 2 of 6 prompts hold NaN", Assert.Throws<EmScanException>(broken.Finish).Message);

        // Pooled before they come, a prompt has one row, which is its mean.
        float[] pooled = Numbers(random, 1);
        Accumulator one = new ProjectionReducer(directions, 2).Start(new PromptSet("pooled", prompts.Prompts, RowPooling.MeanOfPrompt), Width);
        one.Add(new RowBlock(3, 0, 1, pooled, default, default));
        Assert.Equal(Math.Sqrt(pooled.Sum(v => (double)v * v)), one.Finish()["norms"][3], 1e-9);
    }

    /// <summary>Two poles of six prompts each, in two halves.</summary>
    [Fact]
    public void Separation_is_that_of_its_definition()
    {
        var random = new Random(43);
        bool[] positive = [.. Enumerable.Range(0, 12).Select(p => p < 6)], half = [.. Enumerable.Range(0, 12).Select(p => p % 2 == 0)];
        var prompts = new PromptSet("poles", [.. Enumerable.Range(0, 12).Select(_ => CapturePrompt.Last([1, 2]))]);
        double[] unit = Orthonormal(random, 1, Width)[0];
        float[] direction = [.. unit.Select(v => (float)v)];
        double[][] rows = [.. positive.Select(p => unit.Select(v => (double)(float)(TinyModel.Gaussian(random) + (p ? 1.5 * v : 0))).ToArray())];
        var reducer = new SeparationReducer(direction, positive, half, 5, 1);
        Accumulator left = reducer.Start(prompts, Width), right = reducer.Start(prompts, Width);
        for (int p = 0; p < 12; p++) (p % 3 == 0 ? left : right).Add(new RowBlock(p, 0, 1, [.. rows[p].Select(v => (float)v)], default, default));
        left.Merge(right);
        CellResult result = left.Finish();

        double[] along = [.. rows.Select(row => Dot(row, direction.Select(v => (double)v)))];
        double Variance(bool pole) => along.Where((_, p) => positive[p] == pole).Sum(v => Math.Pow(v - Average(pole), 2)) / 5;
        double Average(bool pole) => along.Where((_, p) => positive[p] == pole).Average();
        Assert.Equal((Average(true) - Average(false)) / Math.Sqrt((Variance(true) + Variance(false)) / 2), result["d_prime"][0], 1e-5);
        double[] difference = Difference(_ => true);
        Assert.Equal(Dot(difference, unit) / Math.Sqrt(Dot(difference, difference)), result["cosine"][0], 1e-5);
        Assert.Equal(5, result["random_d_prime"].Length);
        int right2 = 0;
        foreach (bool known in new[] { true, false })
        {
            double[] v = Difference(p => half[p] == known);
            double middle = new[] { true, false }.Average(pole => rows.Where((_, p) => half[p] == known && positive[p] == pole).Average(row => Dot(row, v)));
            right2 += Enumerable.Range(0, 12).Count(p => half[p] != known && Dot(rows[p], v) > middle == positive[p]);
        }

        Assert.Equal(right2 / 12.0, result["split_half_accuracy"][0], 1e-9);

        static double Dot(IEnumerable<double> a, IEnumerable<double> b) => a.Zip(b, (x, y) => x * y).Sum();
        double[] Difference(Func<int, bool> some) => [.. Enumerable.Range(0, Width).Select(d =>
            rows.Where((_, p) => positive[p] && some(p)).Average(row => row[d]) - rows.Where((_, p) => !positive[p] && some(p)).Average(row => row[d]))];
    }

    [Fact]
    public void Poles_that_are_the_same_are_told_apart_half_of_the_time()
    {
        var prompts = new PromptSet("poles", [.. Enumerable.Range(0, 4).Select(_ => CapturePrompt.Last([1, 2]))]);
        var reducer = new SeparationReducer([.. Enumerable.Repeat(1f, Width)], [true, true, false, false], [true, false, true, false], 0, 1);
        Accumulator accumulator = reducer.Start(prompts, Width);
        float[] first = [.. Enumerable.Repeat(1f, Width)], second = [.. Enumerable.Repeat(2f, Width)];
        for (int p = 0; p < 4; p++) accumulator.Add(new RowBlock(p, 0, 1, p % 2 == 0 ? first : second, default, default));
        Assert.Equal(0.5, accumulator.Finish()["split_half_accuracy"][0]);
        Assert.Throws<InvalidOperationException>(() => accumulator.Add(new RowBlock(0, 0, 2, new float[2 * Width], default, default)));
        Assert.Throws<ArgumentException>(() => reducer.Start(new PromptSet("fewer", [.. prompts.Prompts.Take(3)]), Width));
    }

    /// <summary>Groups of one row each explain all of it and leave nothing to adjust by.</summary>
    [Fact]
    public void As_many_groups_as_rows_have_no_adjusted_share()
    {
        var random = new Random(31);
        var prompts = new PromptSet("rows", [.. Enumerable.Range(0, 5).Select(token => CapturePrompt.Last([token]))]);
        Accumulator accumulator = new GroupReducer(RowGrouping.Token).Start(prompts, Width);
        for (int p = 0; p < 5; p++) Feed(accumulator, p, (Numbers(random, 1), Numbers(random, 1)));
        CellResult result = accumulator.Finish();
        Assert.True(result.IsFinite);
        Assert.Equal(1, result["variance_share"][0], 1e-9);
        Assert.Null(result.Find("variance_share_adjusted"));
    }

    /// <summary>More logits than are added up at a time, in two parts that are merged, against log-softmax in float64.</summary>
    [Fact]
    public void Log_likelihoods_are_those_of_the_next_tokens()
    {
        const int Vocabulary = 1300;
        var random = new Random(37);
        PromptSet prompts = PromptSet.Scored("texts", [.. Enumerable.Range(0, 4).Select(i => Enumerable.Range(0, 3 + i).Select(_ => random.Next(Vocabulary)).ToArray())], (_, token) => token != 1);
        Reducer reducer = new LogLikelihoodReducer();
        Accumulator left = reducer.Start(prompts, Width), right = reducer.Start(prompts, Width);
        double[] sums = new double[4];
        for (int p = 0; p < 4; p++)
        {
            CapturePrompt prompt = prompts.Prompts[p];
            float[] logits = [.. Enumerable.Range(0, prompt.Positions.Length * Vocabulary).Select(_ => (float)(100 + (5 * TinyModel.Gaussian(random))))];
            for (int r = 0; r < prompt.Positions.Length; r++)
            {
                double[] row = [.. logits.Skip(r * Vocabulary).Take(Vocabulary).Select(v => (double)v)];
                sums[p] += row[prompt.Tokens[prompt.Positions[r] + 1]] - row.Max() - Math.Log(row.Sum(v => Math.Exp(v - row.Max())));
                (r % 2 == 0 ? left : right).Add(new RowBlock(p, r, 1, logits.AsSpan(r * Vocabulary, Vocabulary), default, default));
            }
        }

        left.Merge(right);
        CellResult result = left.Finish();
        Assert.Equal([1, 2, 3, 4], result["count"]);
        for (int p = 0; p < 4; p++) Assert.Equal(sums[p], result["sum"][p], 1e-4); // logits near 100 are good to 4e-6, and their exponentials' sums to 1e-6
        Assert.Equal(sums.Sum() / 10, LogLikelihood.Pooled(result), 1e-4);
    }

    /// <summary>Pairs lie behind one another, the good answer first.</summary>
    [Fact]
    public void A_preference_is_the_mean_of_what_the_bad_answers_gain()
    {
        (double perToken, double sum) = LogLikelihood.Preference(new CellResult(("sum", [-2, -6, -3, -4]), ("count", [1, 3, 3, 2])));
        Assert.Equal((((-6 / 3.0) + 2) + ((-4 / 2.0) + (3 / 3.0))) / 2, perToken, 12);
        Assert.Equal((-4 - 1) / 2.0, sum, 12);
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

    [Theory]
    [InlineData(9)] // fewer rows than the width
    [InlineData(400)]
    public void Spectra_are_those_of_the_rows_centred_and_whitened_one_by_one(int rows)
    {
        // Tolerances: the second moment of many rows is right to 1e-6 of the norms.
        var random = new Random(29);
        var prompts = new PromptSet("rows", [.. Enumerable.Range(0, rows).Select(i => new CapturePrompt([1, 2, 3, 4], [i % 4]))]);
        Accumulator accumulator = new SpectrumReducer(new SpectrumOptions(true, true)).Start(prompts, Width);
        float[] offset = Numbers(random, 1), byPosition = Numbers(random, 4), mixing = Numbers(random, Width);
        double[][] change = new double[rows][], before = new double[rows][];
        for (int i = 0; i < rows; i++)
        {
            float[] noise = Numbers(random, 1), first = Numbers(random, 1);
            float[] d = [.. noise.Select((x, k) => (x / (1 + k)) + (2 * offset[k]) + byPosition[((i % 4) * Width) + k])];
            float[] h = [.. Enumerable.Range(0, Width).Select(k => first[k] + Enumerable.Range(0, Width).Sum(j => mixing[(k * Width) + j] * first[j]))];
            accumulator.Add(new RowBlock(i, 0, 1, [.. h.Zip(d, (x, y) => x + y)], h, d));
            change[i] = Array.ConvertAll(d, x => (double)x);
            before[i] = Array.ConvertAll(h, x => (double)x);
        }

        CellResult result = accumulator.Finish();
        double[][] behind = [.. change.Select((row, i) => Less(row, Mean([.. change.Where((_, j) => j % 4 == i % 4)])))];
        double[][] centred = [.. change.Select(row => Less(row, Mean(change)))];
        AssertSpectrum("uncentred", change);
        AssertSpectrum("centred", centred);
        AssertSpectrum("position_centred", behind);
        AssertDirection("first_direction", change);
        AssertDirection("position_centred.first_direction", behind);
        Assert.Equal(rows > 2 * Width, result.Find("whitened.uncentred.energy_share") != null);
        if (rows <= 2 * Width) return;

        // W from all eigenvectors of the base's covariance, as the definition says.
        double[][] away = [.. before.Select(row => Less(row, Mean(before)))];
        double[] covariance = [.. Products(away).Select(x => x / rows)];
        var eigen = new SymmetricEigen(covariance, Width);
        double ridge = 1e-3 * eigen.Values.Average();
        double[] w = [.. Enumerable.Range(0, Width * Width).Select(at => Enumerable.Range(0, Width).Sum(k => eigen.Vector(k)[at / Width] * eigen.Vector(k)[at % Width] / Math.Sqrt(eigen.Values[k] + ridge)))];
        double[][] white = [.. change.Select(row => Enumerable.Range(0, Width).Select(i => Enumerable.Range(0, Width).Sum(j => w[(i * Width) + j] * row[j])).ToArray())];
        double[][] whiteCentred = [.. white.Select(row => Less(row, Mean(white)))], whiteBehind = [.. white.Select((row, i) => Less(row, Mean([.. white.Where((_, j) => j % 4 == i % 4)])))];
        AssertSpectrum("whitened.uncentred", white);
        AssertSpectrum("whitened.centred", whiteCentred);
        double energy = Energy(white), within = Energy(whiteBehind), variance = Energy(whiteCentred);
        Assert.Equal(rows * Mean(white).Sum(x => x * x) / energy, result["whitened.energy_share_global_mean"][0], 1e-5);
        Assert.Equal(1 - (within / energy), result["whitened.position.energy_share"][0], 1e-5);
        Assert.Equal(1 - (within / variance), result["whitened.position.variance_share"][0], 1e-5);
        Assert.Equal(1 - (within / (rows - 4) / (variance / (rows - 1))), result["whitened.position.variance_share_adjusted"][0], 1e-5);

        void AssertSpectrum(string name, double[][] x)
        {
            double[] values = [.. new SymmetricEigen(Products(x), Width).Values.Select(v => Math.Max(0, v))];
            double[] shares = [.. values.Select(v => v / values.Sum())];
            for (int k = 0; k < Math.Min(shares.Length, result[$"{name}.energy_share"].Length); k++) Assert.Equal(shares[k], result[$"{name}.energy_share"][k], 1e-5);
            Assert.Equal(1 / shares.Sum(p => p * p), result[$"{name}.participation_ratio"][0], 1e-3);
            double sum = 0;
            Assert.Equal(1 + shares.TakeWhile(p => (sum += p) < 0.9).Count(), result[$"{name}.directions_90"][0]);
        }

        void AssertDirection(string name, double[][] x)
        {
            double[] first = new SymmetricEigen(Products(x), Width).Vector(0).ToArray(), mean = Mean(change);
            double sign = first.Zip(mean, (a, b) => a * b).Sum() < 0 ? -1 : 1;
            for (int k = 0; k < Width; k++) Assert.Equal(sign * first[k], result[name][k], 1e-4);
        }

        static double[] Mean(double[][] x) => [.. Enumerable.Range(0, Width).Select(k => x.Average(row => row[k]))];

        static double[] Less(double[] row, double[] mean) => [.. row.Zip(mean, (a, b) => a - b)];

        static double Energy(double[][] x) => x.Sum(row => row.Sum(v => v * v));

        static double[] Products(double[][] x) => [.. Enumerable.Range(0, Width * Width).Select(at => x.Sum(row => row[at / Width] * row[at % Width]))];
    }

    [Theory]
    [InlineData(4)] // fewer rows than the width
    [InlineData(40)]
    public void What_is_the_same_on_all_rows_has_nothing_behind_its_mean(int rows)
    {
        var random = new Random(31);
        float[] same = Numbers(random, 1);
        var prompts = new PromptSet("rows", [.. Enumerable.Range(0, rows).Select(_ => CapturePrompt.Last([1, 2]))]);
        Accumulator accumulator = new SpectrumReducer(new SpectrumOptions(true, true)).Start(prompts, Width);
        for (int i = 0; i < rows; i++) accumulator.Add(new RowBlock(i, 0, 1, same, new float[Width], same));
        CellResult result = accumulator.Finish();
        Assert.Equal(1, result["uncentred.energy_share"][0], 1e-6);
        foreach (string part in new[] { "centred.energy_share", "position_centred.energy_share", "whitened.uncentred.energy_share" }) Assert.Null(result.Find(part));
        Assert.True(result.IsFinite);
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
        foreach (string part in new[] { "projections", "norms", "mean", "rows", "base_norm", "mean_norm", "energy", "energy_share", "variance_share", "variance_share_adjusted", "group", "count", "mean_vector_norm", "along", "uncentred.energy_share", "centred.participation_ratio", "position_centred.energy_share", "first_direction", "whitened.centred.energy_share", "whitened.position.variance_share_adjusted" })
        {
            Assert.Equal(expected.Find(part) == null, actual.Find(part) == null);
            if (expected.Find(part) is { } values) Assert.All(values.Zip(actual[part]), pair => Assert.Equal(pair.First, pair.Second, tolerance * Math.Max(1, Math.Abs(pair.First)) * 100));
        }
    }
}
