using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Analyses;
using EmScan.Engine.Analyses.Weights;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>Shares, masks, subspaces and transplants against full matrices in float64.</summary>
public sealed class WeightsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _tiny = new(31, "qwen2"); // its GGUF file keeps the order of rows

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Shares_masks_and_subspaces_are_those_of_the_full_matrices()
    {
        TinyAdapter first = new(_tiny, 1), second = new(_tiny, 2, rank: 3);
        JsonObject data = WeightStudy.Of(new WeightsRequest { Adapters = [Written(first, "one"), Written(second, "two")], Seed = 3 }).ToFindings(null).Data;
        (string Name, double[] Delta)[] a = [.. Changes(first)], b = [.. Changes(second)];
        JsonNode single = data["single"]!["one"]!;
        double[] all = [.. a.SelectMany(m => m.Delta)];
        Assert.Equal(all.Length, Number(single["coordinates"]));
        Assert.Equal(Norm(all), Number(single["norm"]), 1e-5);
        Assert.Equal(Holding(all, 0.9), Number(single["share_coordinates_90"]), 1e-4);
        Assert.Equal(Holding(all, 0.5), Number(single["share_coordinates_50"]), 1e-4);
        foreach ((string name, double[] delta) in a)
        {
            JsonNode module = single["modules"]![name]!;
            double[] values = Singular(first, name, delta);
            Assert.Equal(values.Length, module["singular_values"]!.AsArray().Count);
            for (int i = 0; i < values.Length; i++) Assert.Equal(values[i], Number(module["singular_values"]![i]), 1e-5 * values[0]);
            Assert.Equal(values.Sum(s => s * s) / (values[0] * values[0]), Number(module["stable_rank"]), 1e-4);
            Assert.Equal(Math.Pow(values.Sum(s => s * s), 2) / values.Sum(s => Math.Pow(s, 4)), Number(module["participation_rank"]), 1e-4);
            Assert.Equal(Holding(delta, 0.9), Number(module["share_coordinates_90"]), 2e-3);
        }

        JsonNode pair = data["pairs"]![0]!;
        double[] other = [.. b.SelectMany(m => m.Delta)];
        Assert.Equal("one . two", (string?)pair["name"]);
        Assert.Equal(all.Zip(other, (x, y) => x * y).Sum() / (Norm(all) * Norm(other)), Number(pair["cosine"]), 1e-6);
        foreach (double q in new[] { 0.01, 0.05, 0.1 })
        {
            string key = q.ToString(CultureInfo.InvariantCulture);
            (int[] inA, int[] inB) = (Mask(all, q), Mask(other, q));
            int[] common = [.. inA.Intersect(inB)];
            JsonNode jaccard = pair["jaccard"]![key]!;
            Assert.Equal(inA.Length, Number(jaccard["k"]));
            Assert.Equal((double)common.Length / inA.Union(inB).Count(), Number(jaccard["value"]), 1e-9);
            double e = (double)inA.Length * inA.Length / all.Length;
            Assert.Equal(e / ((2 * inA.Length) - e), Number(jaccard["chance"]), 1e-9);
            Assert.Equal(a.Zip(b).Average(m => (double)Mask(m.First.Delta, q).Intersect(Mask(m.Second.Delta, q)).Count() / Mask(m.First.Delta, q).Union(Mask(m.Second.Delta, q)).Count()), Number(jaccard["per_module_mean"]), 1e-9);
            if (common.Length > 0) Assert.Equal(common.Count(i => all[i] > 0 == other[i] > 0) / (double)common.Length, Number(pair["signs"]![key]), 1e-9);

            // Permuted rows and columns: by chance but for how uneven rows and columns are. Within four standard errors of draws made here.
            double[] drawn = [.. Enumerable.Range(0, 60).Select(draw => Permuted(a, b, inA, inB, new Random(draw)))];
            double mean = drawn.Average(), sd = Math.Sqrt(drawn.Sum(d => (d - mean) * (d - mean)) / 59);
            Assert.InRange(Number(jaccard["permuted_null_mean"]), mean - (4 * sd * Math.Sqrt((1 / 20.0) + (1 / 60.0))), mean + (4 * sd * Math.Sqrt((1 / 20.0) + (1 / 60.0))));
        }

        JsonNode spaces = pair["subspaces"]!;
        double columns = 0, rows = 0;
        for (int m = 0; m < a.Length; m++)
        {
            (int outputs, int inputs) = Shape(a[m].Name);
            JsonNode module = spaces["modules"]![a[m].Name]!;
            double column = Alike(Projection(a[m].Delta, outputs, inputs, true, 4), Projection(b[m].Delta, outputs, inputs, true, 3)), row = Alike(Projection(a[m].Delta, outputs, inputs, false, 4), Projection(b[m].Delta, outputs, inputs, false, 3));
            Assert.Equal(3, module["column_cosines"]!.AsArray().Count);
            Assert.Equal(column, module["column_cosines"]!.AsArray().Sum(c => Math.Pow(Number(c), 2)), 1e-4);
            Assert.Equal(row, module["row_cosines"]!.AsArray().Sum(c => Math.Pow(Number(c), 2)), 1e-4);
            columns += column / 3 / a.Length;
            rows += row / 3 / a.Length;
        }

        Assert.Equal(columns, Number(spaces["mean_column_overlap"]), 1e-4);
        Assert.Equal(rows, Number(spaces["mean_row_overlap"]), 1e-4);
        Assert.Equal(a.Average(m => 4.0 / Shape(m.Name).Outputs), Number(spaces["chance_column"]), 1e-9);
        Assert.Equal(a.Average(m => 4.0 / Shape(m.Name).Inputs), Number(spaces["chance_row"]), 1e-9);
    }

    [Fact]
    public async Task Transplants_leave_what_a_forward_pass_on_the_parts_leaves()
    {
        TinyAdapter first = new(_tiny, 1), second = new(_tiny, 2);
        using var world = new WordWorld(_tiny, traits: 1, questions: 2, evaluation: 6);
        AdapterSource one = world.Write(first, "one"), two = world.Write(second, "two");
        using AnalysisSession session = AnalysisSession.Open(world.Request with { Layer = 1 });
        JsonArray rows = (JsonArray)(await session.RunAsync(new WeightsAnalysis(new WeightsRequest { Adapters = [one, two], Draws = 2, Seed = 4 }))).Data["transplant"]!["rows"]!;
        Assert.Equal(5 + 2 + 1, rows.Count); // masks, ranks 1 and 2 of 4 (4 is all of it), and the mask of the other
        (string Name, double[] Delta)[] changes = [.. Changes(first)];
        double[] all = [.. changes.SelectMany(c => c.Delta)], other = [.. Changes(second).SelectMany(c => c.Delta)];
        double full = Drift(session.Context.Directions, changes);
        foreach ((int row, double[] of, double q) in new[] { (1, all, 0.05), (3, all, 0.25), (7, other, 0.1) })
        {
            HashSet<int> mask = [.. Mask(of, q)];
            double[] kept = [.. all.Select((v, i) => mask.Contains(i) ? v : 0)];
            Assert.Equal(Math.Pow(Norm(kept) / Norm(all), 2), Number(rows[row]!["norm_share"]), 1e-5);
            Assert.Equal(Drift(session.Context.Directions, Split(changes, kept)) / full, Number(rows[row]!["left_at_1"]), 1e-3);
        }

        // The first two singular directions of each weight: s1 u1 v1' + s2 u2 v2' = P dW, P the projection on the first two left vectors.
        double[] two4 = [.. changes.SelectMany(c => Leading(c.Delta, Shape(c.Name), 2))];
        Assert.Equal(2, Number(rows[6]!["rank"]));
        Assert.Equal(Math.Pow(Norm(two4) / Norm(all), 2), Number(rows[6]!["norm_share"]), 1e-5);
        Assert.Equal(Drift(session.Context.Directions, Split(changes, two4)) / full, Number(rows[6]!["left_at_1"]), 1e-3);
        foreach (JsonNode? row in rows.Take(5)) Assert.Equal(2, Number(row!["random_mask_draws"]));
    }

    [Fact]
    public void Adapters_of_the_same_seed_are_said_to_be()
    {
        // The same A, and B of another training.
        TinyAdapter first = new(_tiny, 1), second = new(_tiny, 1) { Damage = (name, values) => { if (name.Contains("lora_B", StringComparison.Ordinal)) for (int i = 0; i < values.Length; i++) values[i] = MathF.Sin(i); } };
        Findings findings = WeightStudy.Of(new WeightsRequest { Adapters = [Written(first, "one"), Written(second, "two")] }).ToFindings(null);
        Assert.Contains(findings.Notes, note => note.Code == "same-initialisation");
        Assert.Equal(1, Number(findings.Data["pairs"]![0]!["subspaces"]!["mean_row_overlap"]), 1e-5);
        Findings others = WeightStudy.Of(new WeightsRequest { Adapters = [Written(first, "one"), Written(new TinyAdapter(_tiny, 9), "three")] }).ToFindings(null);
        Assert.DoesNotContain(others.Notes, note => note.Code == "same-initialisation");
    }

    [Theory]
    [InlineData("qwen2")]
    [InlineData("llama")]
    public void A_converted_adapter_is_the_same_where_the_conversion_keeps_rows_and_refused_where_it_does_not(string architecture)
    {
        var model = new TinyModel(31, architecture);
        model.WriteGguf(_folder["model.gguf"]);
        AdapterSource peft = new(new TinyAdapter(model, 1, projections: ["q_proj", "o_proj", "down_proj"]).Write(_folder["peft"]));
        LoraGgufWriter.Write(_folder["converted.gguf"], AdapterReader.Open(peft.Path, GgufFile.Open(_folder["model.gguf"])));
        AdapterSource converted = new(_folder["converted.gguf"]);
        if (architecture == "llama")
        {
            InputFileException refused = Assert.Throws<InputFileException>(() => WeightStudy.Of(new WeightsRequest { Adapters = [peft, converted] }));
            Assert.Contains("has its rows in another order", refused.Message, StringComparison.Ordinal);
            return;
        }

        JsonObject data = WeightStudy.Of(new WeightsRequest { Adapters = [peft, converted] }).ToFindings(null).Data;
        Assert.Equal(data["single"]!["peft"]!["norm"]!.ToJsonString(), data["single"]!["converted.gguf"]!["norm"]!.ToJsonString());
        Assert.Equal(["blk.0.down", "blk.0.o", "blk.0.q"], data["single"]!["converted.gguf"]!["modules"]!.AsObject().Take(3).Select(m => m.Key));
        Assert.Equal(1, Number(data["pairs"]![0]!["cosine"]), 1e-9);
        Assert.Equal(1, Number(data["pairs"]![0]!["jaccard"]!["0.05"]!["value"]));
        Assert.Equal(1, Number(data["pairs"]![0]!["signs"]!["0.05"]));
    }

    [Theory]
    [InlineData(null, 0.4446)] // 0.9 = erfc(t / sqrt 2) + 2 t phi(t) at t = 0.7644, and P(|z| > t) = 0.4446
    [InlineData(8, 0.4150)]
    [InlineData(1, 0.2561)]
    public void Random_matrices_hold_their_norm_in_the_share_that_draws_say(int? rank, double expected)
    {
        var random = new Random(1);
        const int Side = 600;
        double[] values = new double[Side * Side];
        double[][] a = Factor(), b = Factor();
        for (int i = 0; i < values.Length; i++)
            values[i] = rank == null ? TinyModel.Gaussian(random) : a[i / Side].Zip(b[i % Side], (x, y) => x * y).Sum();
        Assert.Equal(expected, GaussianEnergyShare.Of(0.9, rank), 1e-4);

        // Rows of a product vary together: 600 of them leave an error near 0.004.
        Assert.Equal(Holding(values, 0.9), GaussianEnergyShare.Of(0.9, rank), rank == null ? 2e-3 : 1.5e-2);

        double[][] Factor() => [.. Enumerable.Range(0, Side).Select(_ => Enumerable.Range(0, rank ?? 1).Select(_ => TinyModel.Gaussian(random)).ToArray())];
    }

    [Fact]
    public void Names_leave_out_what_all_have_in_common_and_the_last_step()
    {
        string Path(string run, int step) => System.IO.Path.Combine("root", run, "seed_42", $"checkpoint-{step}");
        AdapterSource[] adapters = [new(Path("medical", 120)), new(Path("sums", 120)), new(Path("sums", 20))];
        Dictionary<string, (string Name, string Run, string Step)> names = AdapterNames.Short(adapters);
        Assert.Equal(["medical", "sums", "sums/checkpoint-20"], adapters.Select(a => names[a.Path].Name));
        Assert.Equal(["medical", "sums", "sums"], adapters.Select(a => names[a.Path].Run));
    }

    private AdapterSource Written(TinyAdapter adapter, string name) => new(adapter.Write(_folder[name]));

    // In the order of the study: by block, q before v.
    private static IEnumerable<(string Name, double[] Delta)> Changes(TinyAdapter adapter) =>
        adapter.Deltas().Select(d => ($"blk.{d.Module.Split('.')[2]}.{d.Module.Split('.')[^1][0]}", d.Delta)).OrderBy(d => d.Item1, StringComparer.Ordinal);

    private (int Outputs, int Inputs) Shape(string name) => _tiny.ShapeOf(_tiny.LayerModule(int.Parse(name.Split('.')[1], CultureInfo.InvariantCulture), $"{name.Split('.')[2]}_proj"));

    private double[] Singular(TinyAdapter adapter, string name, double[] delta)
    {
        (int outputs, int inputs) = Shape(name);
        double[] gram = Gram(delta, outputs, inputs);
        return [.. new SymmetricEigen(gram, outputs).Values.Take(adapter.Rank).Select(v => Math.Sqrt(Math.Max(0, v)))];
    }

    // M M', (rows, rows).
    private static double[] Gram(double[] matrix, int rows, int columns)
    {
        double[] gram = new double[rows * rows];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < rows; j++)
            {
                for (int c = 0; c < columns; c++) gram[(i * rows) + j] += matrix[(i * columns) + c] * matrix[(j * columns) + c];
            }
        }

        return gram;
    }

    private static double[] Transpose(double[] matrix, int rows, int columns) => [.. Enumerable.Range(0, columns).SelectMany(c => Enumerable.Range(0, rows).Select(r => matrix[(r * columns) + c]))];

    // The projection on the column (or row) space of a matrix of a known rank.
    private static double[] Projection(double[] matrix, int rows, int columns, bool columnSpace, int rank)
    {
        if (!columnSpace) return Projection(Transpose(matrix, rows, columns), columns, rows, true, rank);
        var eigen = new SymmetricEigen(Gram(matrix, rows, columns), rows);
        double[] projection = new double[rows * rows];
        for (int r = 0; r < rank; r++)
        {
            ReadOnlySpan<double> v = eigen.Vector(r);
            for (int i = 0; i < rows; i++)
            {
                for (int j = 0; j < rows; j++) projection[(i * rows) + j] += v[i] * v[j];
            }
        }

        return projection;
    }

    // trace(P Q): the sum of the squared cosines.
    private static double Alike(double[] p, double[] q) => p.Zip(q, (x, y) => x * y).Sum();

    private static double[] Leading(double[] matrix, (int Rows, int Columns) shape, int rank)
    {
        double[] p = Projection(matrix, shape.Rows, shape.Columns, true, rank), part = new double[matrix.Length];
        for (int i = 0; i < shape.Rows; i++)
        {
            for (int j = 0; j < shape.Rows; j++)
            {
                for (int c = 0; c < shape.Columns; c++) part[(i * shape.Columns) + c] += p[(i * shape.Rows) + j] * matrix[(j * shape.Columns) + c];
            }
        }

        return part;
    }

    private double Permuted((string Name, double[] Delta)[] a, (string Name, double[] Delta)[] b, int[] inA, int[] inB, Random random)
    {
        HashSet<int> first = [.. inA], second = [.. inB];
        int common = 0, start = 0;
        foreach ((string name, _) in a)
        {
            (int outputs, int inputs) = Shape(name);
            int[] rows = [.. Enumerable.Range(0, outputs)], columns = [.. Enumerable.Range(0, inputs)];
            random.Shuffle(rows);
            random.Shuffle(columns);
            for (int o = 0; o < outputs; o++)
            {
                for (int i = 0; i < inputs; i++)
                {
                    if (first.Contains(start + (o * inputs) + i) && second.Contains(start + (rows[o] * inputs) + columns[i])) common++;
                }
            }

            start += outputs * inputs;
        }

        _ = b;
        return (double)common / ((2 * inA.Length) - common);
    }

    private static int[] Mask(double[] values, double share) =>
        [.. Enumerable.Range(0, values.Length).OrderByDescending(i => Math.Abs(values[i])).Take((int)Math.Ceiling(share * values.Length))];

    private static double Holding(double[] values, double energy)
    {
        double[] squares = [.. values.Select(v => v * v).OrderDescending()];
        double sum = 0, total = squares.Sum();
        for (int i = 0; i < squares.Length; i++)
        {
            sum += squares[i];
            if (sum >= energy * total) return (i + 1.0) / squares.Length;
        }

        return 1;
    }

    private IEnumerable<(string Name, double[] Delta)> Split((string Name, double[] Delta)[] like, double[] values)
    {
        int start = 0;
        foreach ((string name, double[] delta) in like)
        {
            yield return (name, values[start..(start + delta.Length)]);
            start += delta.Length;
        }
    }

    // Of one trait at layer 1, up to n0: <|bos|><|user|>word<|end|><|assistant|>.
    private double Drift(DirectionSet directions, IEnumerable<(string Name, double[] Delta)> changes)
    {
        TinyForward before = new(_tiny), after = new(_tiny, changes.Select(c => (_tiny.LayerModule(int.Parse(c.Name.Split('.')[1], CultureInfo.InvariantCulture), $"{c.Name.Split('.')[2]}_proj"), c.Delta)));
        float[] direction = directions.Direction(1, 0).ToArray();
        return Enumerable.Range(13, 6).Average(word =>
        {
            int[] prompt = [1, 3, word, 5, 4];
            return after.Run(prompt).Hidden[1][^1].Zip(before.Run(prompt).Hidden[1][^1], (x, y) => x - y).Zip(direction, (x, v) => x * v).Sum();
        });
    }

    private static double Norm(double[] values) => Math.Sqrt(values.Sum(v => v * v));

    private static double Number(JsonNode? node) => node!.GetValueKind() == JsonValueKind.Number ? double.Parse(node.ToJsonString(), CultureInfo.InvariantCulture) : double.NaN;
}
