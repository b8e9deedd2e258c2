using System.Buffers.Binary;
using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Formats;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

/// <summary>The lens against the formulas in float64, and on the shipped organisms against the logits that PyTorch gave.</summary>
public sealed class LensTests : IDisposable
{
    private const int Width = 64, Vocabulary = 777;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("llama", false)]
    [InlineData("gemma2", false)]
    [InlineData("command-r", true)]
    [InlineData("granite", false)]
    [InlineData("phi2", true)]
    [InlineData("olmo", true)]
    public void Logits_are_those_of_the_formulas(string architecture, bool centred)
    {
        World world = new(architecture, centred, tied: architecture is "gemma2" or "command-r", _folder);
        using Lens lens = Lens.Open(world.File, threads: 2);
        Assert.Equal((Width, Vocabulary), (lens.Dimension, lens.VocabularySize));
        Assert.Equal(architecture is "gemma2" or "command-r" ? "token_embd.weight" : "output.weight", lens.HeadTensor);
        float[] vectors = Normal(new Random(3), 5 * Width, 2);
        foreach (LensInput input in Enum.GetValues<LensInput>())
        {
            double[] got = lens.Logits(vectors, input), expected = world.Logits(vectors, input);
            double scale = expected.Max(Math.Abs);
            for (int i = 0; i < got.Length; i++) Assert.InRange(got[i] - expected[i], -1e-6 * scale, 1e-6 * scale);
        }

        var normalized = new float[vectors.Length];
        lens.Normalize(vectors, normalized);
        double[] norm = world.Normalized(vectors, LensInput.State);
        for (int i = 0; i < norm.Length; i++) Assert.InRange(normalized[i] - norm[i], -1e-6, 1e-6);
    }

    [Fact]
    public void Readings_are_those_of_the_logits()
    {
        World world = new("llama", centred: false, tied: false, _folder);
        using Lens lens = Lens.Open(world.File, threads: 2);
        const int rows = 7;
        float[] vectors = Normal(new Random(4), rows * Width, 3);
        int[] group = [776, 5, 300, 5], targets = [0, 776, 95, 96, 97, 400, 12];
        var request = new LensRequest { Top = 10, Bottom = 4, Group = group, Targets = targets };
        IReadOnlyList<LensReading> readings = lens.Read(vectors, request);
        double[] all = world.Logits(vectors, LensInput.State);
        Assert.Equal(rows, readings.Count);
        for (int t = 0; t < rows; t++)
        {
            double[] logits = all[(t * Vocabulary)..((t + 1) * Vocabulary)];
            double[] exponentials = [.. logits.Select(Math.Exp)];
            double sum = exponentials.Sum();
            int[] order = [.. Enumerable.Range(0, Vocabulary).OrderByDescending(i => logits[i])];
            (IReadOnlyList<TokenLogit>, int[])[] ends = [(readings[t].Top, order[..10]), (readings[t].Bottom, [.. order[^4..].Reverse()])];
            foreach ((IReadOnlyList<TokenLogit> got, int[] due) in ends)
            {
                Assert.Equal(due, got.Select(token => token.Token));
                Assert.Equal(due.Select(i => logits[i]), got.Select(token => token.Logit), Tolerance.Of(1e-5));
            }

            Assert.Equal(Math.Log(sum), readings[t].LogSumExp, 1e-5);
            Assert.Equal(group.Distinct().Sum(i => exponentials[i]) / sum, readings[t].GroupProbability, 1e-6);
            Assert.Equal(logits[targets[t]] - Math.Log(sum), readings[t].TargetLogProbability!.Value, 1e-5);
        }
    }

    [Fact]
    public void A_vector_has_the_same_bits_alone_and_on_any_number_of_threads()
    {
        World world = new("llama", centred: false, tied: true, _folder);
        using Lens one = Lens.Open(world.File, threads: 1), three = Lens.Open(world.File, threads: 3);
        float[] vectors = Normal(new Random(5), 60 * Width, 3);
        var request = new LensRequest { Top = 3, Bottom = 1, Group = [1, 2, 3] };
        IReadOnlyList<LensReading> batch = one.Read(vectors, request), threaded = three.Read(vectors, request);
        for (int t = 0; t < 60; t++)
        {
            LensReading alone = Assert.Single(three.Read(vectors.AsSpan(t * Width, Width), request));
            foreach (LensReading other in (LensReading[])[threaded[t], alone])
            {
                Assert.Equal(batch[t].Top, other.Top);
                Assert.Equal(batch[t].Bottom, other.Bottom);
                Assert.Equal((batch[t].LogSumExp, batch[t].GroupProbability), (other.LogSumExp, other.GroupProbability));
            }
        }
    }

    [Fact]
    public void More_vectors_than_pass_at_a_time_are_read_in_turn()
    {
        World world = new("llama", centred: false, tied: true, _folder);
        using Lens lens = Lens.Open(world.File);
        float[] vectors = Normal(new Random(6), (Lens.MostRows + 3) * Width, 1);
        IReadOnlyList<LensReading> readings = lens.Read(vectors, new LensRequest { Top = 1 });
        Assert.Equal(Lens.MostRows + 3, readings.Count);
        LensReading last = Assert.Single(lens.Read(vectors.AsSpan(^Width..), new LensRequest { Top = 1 }));
        Assert.Equal(last.Top, readings[^1].Top);
        Assert.Empty(lens.Read([], new LensRequest { Top = 1 }));
    }

    [Fact]
    public void A_vector_that_is_not_a_number_gives_no_tokens_and_touches_no_other()
    {
        World world = new("llama", centred: false, tied: true, _folder);
        using Lens lens = Lens.Open(world.File);
        float[] vectors = Normal(new Random(7), 2 * Width, 1);
        LensReading clean = lens.Read(vectors, new LensRequest { Top = 2 })[1];
        vectors[3] = float.NaN;
        IReadOnlyList<LensReading> readings = lens.Read(vectors, new LensRequest { Top = 2, Bottom = 2 });
        Assert.Empty(readings[0].Top);
        Assert.Empty(readings[0].Bottom);
        Assert.Equal(double.NaN, readings[0].LogSumExp);
        Assert.Equal(clean.Top, readings[1].Top);
        Assert.Equal(clean.LogSumExp, readings[1].LogSumExp);
    }

    [Theory]
    [InlineData("architecture", "architecture \"whatever\", whose final norm")]
    [InlineData("cap", "llama.final_logit_softcapping = 30")]
    [InlineData("scale", "llama.logit_scale = 2")]
    [InlineData("no scale", "does not say its command-r.logit_scale")]
    [InlineData("two norms", "has both")]
    [InlineData("no norm", "has no output_norm.weight")]
    [InlineData("type", "tensor \"output.weight\" is of type IQ3_XXS")]
    public void What_is_not_known_is_refused_by_name(string fault, string expected)
    {
        string architecture = fault switch { "architecture" => "whatever", "no scale" => "command-r", _ => "llama" };
        var builder = new GgufBuilder().Text("general.architecture", architecture)
            .F32($"{architecture}.attention.layer_norm_rms_epsilon", 1e-5f)
            .Tensor("token_embd.weight", [256, 2], new float[512]);
        if (fault != "no norm") builder.Tensor("output_norm.weight", [256], new float[256]);
        if (fault == "cap") builder.F32("llama.final_logit_softcapping", 30);
        if (fault == "scale") builder.F32("llama.logit_scale", 2);
        if (fault == "two norms") builder.F32("llama.attention.layer_norm_epsilon", 1e-5f);
        if (fault == "type") builder.Tensor("output.weight", [256, 2], 18, new byte[196]);
        GgufFile file = GgufFile.Open(builder.Write(_folder));
        Assert.Contains(expected, Assert.Throws<InputFileException>(() => Lens.Open(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_shapes_and_tokens_are_refused()
    {
        World world = new("llama", centred: false, tied: true, _folder);
        using Lens lens = Lens.Open(world.File);
        Assert.Throws<ArgumentException>("vectors", () => lens.Logits(new float[Width + 1]));
        Assert.Throws<ArgumentException>("request", () => lens.Read(new float[Width], new LensRequest { Group = [Vocabulary] }));
        Assert.Throws<ArgumentException>("request", () => lens.Read(new float[Width], new LensRequest { Targets = new[] { 1, 2 } }));
        Assert.Throws<ArgumentException>("normalized", () => lens.Normalize(new float[Width], new float[1]));
    }

    [Theory]
    [InlineData("llama", "models/demo/model.gguf")]
    [InlineData("qwen2", "models/qwen2/model-f32.gguf")]
    [InlineData("qwen3", "models/qwen3/model-f32.gguf")]
    public void Last_states_of_the_organisms_give_the_logits_of_PyTorch(string name, string path)
    {
        using GgufModel model = GgufModel.Load(Repository.File(path));
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using Lens lens = Lens.Open(GgufFile.Open(Repository.File(path)));
        using JsonDocument fixtures = JsonDocument.Parse(File.ReadAllText(Repository.File($"models/{name}/parity/fixtures.json")));
        JsonElement[] ofBase = [.. fixtures.RootElement.EnumerateArray().Where(f => f.GetProperty("adapter").GetString() is null)];
        Assert.NotEmpty(ofBase);
        var sink = new CollectingSink(model.HiddenSize);
        int layer = model.LayerCount - 1;
        int[][] ids = [.. ofBase.Select(f => f.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray())];
        source.Capture([.. ids.Select(CapturePrompt.Last)], [layer], sink);
        foreach (((int prompt, int _, int _), float[] state) in sink.Rows)
        {
            double[] expected = [.. ofBase[prompt].GetProperty("logits").EnumerateArray().Select(v => v.GetDouble())];

            // The fixtures are rounded to 5 decimals; PyTorch's own float32 logits are good to about 1e-5.
            Assert.Equal(expected, lens.Logits(state), Tolerance.Of(1e-4));
            LensReading reading = Assert.Single(lens.Read(state, new LensRequest { Top = 10 }));
            Assert.Equal(expected.OrderDescending().Take(10), reading.Top.Select(token => token.Logit), Tolerance.Of(1e-4));
            Assert.Equal(Math.Log(expected.Sum(Math.Exp)), reading.LogSumExp, 1e-4);
        }
    }

    private static float[] Normal(Random random, int length, double scale) =>
        [.. Enumerable.Range(0, length).Select(_ =>
            (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];

    /// <summary>A model's head, Q8_0 or F16, with all that its architecture has, and what it computes by the formulas.</summary>
    private sealed class World
    {
        private const double Epsilon = 0.01, Scale = 0.3, Cap = 7;
        private readonly string _architecture;
        private readonly bool _centred;
        private readonly double[] _matrix = new double[Vocabulary * Width];
        private readonly float[] _weight;
        private readonly float[]? _normBias;
        private readonly float[]? _bias;

        public World(string architecture, bool centred, bool tied, TemporaryFolder folder)
        {
            (_architecture, _centred) = (architecture, centred);
            Random random = new(architecture.Length);
            _weight = [.. Normal(random, Width, architecture == "olmo" ? 0 : 0.2).Select(value => value + 1)];
            var builder = new GgufBuilder().Text("general.architecture", architecture)
                .F32($"{architecture}.attention.layer_norm_{(centred ? "" : "rms_")}epsilon", (float)Epsilon);
            if (architecture is "command-r" or "granite") builder.F32($"{architecture}.logit_scale", (float)Scale);
            if (architecture == "gemma2") builder.F32("gemma2.final_logit_softcapping", (float)Cap);
            if (architecture != "olmo") builder.Tensor("output_norm.weight", [Width], _weight);
            if (architecture == "phi2")
            {
                _normBias = Normal(random, Width, 0.5);
                _bias = Normal(random, Vocabulary, 0.5);
                builder.Tensor("output_norm.bias", [Width], _normBias).Tensor("output.bias", [Vocabulary], _bias);
            }

            byte[] halves = new byte[2 * _matrix.Length], quants = new byte[_matrix.Length / 32 * 34];
            for (int i = 0; i < _matrix.Length; i++)
            {
                if (tied)
                {
                    Half value = (Half)(random.NextDouble() - 0.5);
                    BinaryPrimitives.WriteHalfLittleEndian(halves.AsSpan(2 * i), value);
                    _matrix[i] = (double)value;
                    continue;
                }

                Half factor = (Half)(0.004 + i / 32 * 1e-6);
                sbyte quant = (sbyte)random.Next(-127, 128);
                BinaryPrimitives.WriteHalfLittleEndian(quants.AsSpan(i / 32 * 34), factor);
                quants[(i / 32 * 34) + 2 + (i % 32)] = (byte)quant;
                _matrix[i] = (double)factor * quant;
            }

            // A tied model has its matrix as embeddings; any other has embeddings that must not be taken.
            builder.Tensor("token_embd.weight", [Width, Vocabulary], 1, halves);
            if (!tied) builder.Tensor("output.weight", [Width, Vocabulary], 8, quants);
            File = GgufFile.Open(builder.Write(folder, $"{architecture}.gguf"));
        }

        public GgufFile File { get; }

        public double[] Normalized(float[] vectors, LensInput input)
        {
            var result = new double[vectors.Length];
            for (int t = 0; t < vectors.Length / Width; t++)
            {
                double[] v = [.. vectors[(t * Width)..((t + 1) * Width)].Select(value => (double)value)];
                double mean = _centred && input != LensInput.AsIs ? v.Average() : 0;
                double deviation = Math.Sqrt(v.Average(value => (value - mean) * (value - mean)) + (float)Epsilon);
                for (int d = 0; d < Width; d++)
                {
                    result[(t * Width) + d] = input == LensInput.AsIs ? v[d]
                        : (_weight[d] * (v[d] - mean) / deviation) + (input == LensInput.State && _normBias is not null ? _normBias[d] : 0);
                }
            }

            return result;
        }

        public double[] Logits(float[] vectors, LensInput input)
        {
            double[] normalized = Normalized(vectors, input);
            var result = new double[vectors.Length / Width * Vocabulary];
            for (int i = 0; i < result.Length; i++)
            {
                (int t, int token) = Math.DivRem(i, Vocabulary);
                double logit = 0;
                for (int d = 0; d < Width; d++) logit += normalized[(t * Width) + d] * _matrix[(token * Width) + d];
                if (input == LensInput.State && _bias is not null) logit += _bias[token];
                if (_architecture == "command-r") logit *= (float)Scale;
                if (_architecture == "granite") logit /= (float)Scale;
                result[i] = input == LensInput.State && _architecture == "gemma2" ? Cap * Math.Tanh(logit / Cap) : logit;
            }

            return result;
        }
    }
}
