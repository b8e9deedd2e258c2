using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

public sealed class LoraGgufTests : IDisposable
{
    private const int W = TinyModel.Width;
    private const int F = TinyModel.FeedForward;
    private const string Up = "blk.1.ffn_up.weight";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_is_written_is_read_back_bit_for_bit()
    {
        LoraAdapter adapter = Sample();
        string path = _folder["lora.gguf"];
        LoraGgufWriter.Write(path, adapter);
        LoraAdapter back = AdapterReader.Open(path, Model());
        Assert.Equal(("llama", 4f), (back.Architecture, back.Alpha));
        Assert.Equal(adapter.Tensors.Select(t => (t.Name, t.Rank)), back.Tensors.Select(t => (t.Name, t.Rank)));
        foreach ((LoraTensor expected, LoraTensor actual) in adapter.Tensors.Zip(back.Tensors))
        {
            Assert.Equal(expected.A, actual.A);
            Assert.Equal(expected.B, actual.B);
        }
    }

    [Fact]
    public void The_file_has_the_keys_and_shapes_that_llama_cpp_expects()
    {
        string path = _folder["lora.gguf"];
        LoraGgufWriter.Write(path, Sample());
        var file = GgufFile.Open(path);
        Assert.Equal(3u, file.Version);
        Assert.Equal("adapter", file.GetText("general.type"));
        Assert.Equal("llama", file.GetText("general.architecture"));
        Assert.Equal("lora", file.GetText("adapter.type"));
        Assert.Equal(GgufValueType.F32, file.Metadata["adapter.lora.alpha"].ElementType);
        Assert.Equal([W, 2], file.Tensors[Up + ".lora_a"].Ne);
        Assert.Equal([2, F], file.Tensors[Up + ".lora_b"].Ne);

        // The embeddings' A is gathered by row: ne = [R, vocabulary].
        Assert.Equal([3, TinyModel.Vocabulary], file.Tensors["token_embd.weight.lora_a"].Ne);
        Assert.Equal([3, W], file.Tensors["token_embd.weight.lora_b"].Ne);
        float[] a = Sample().Tensors[1].A;
        float[] stored = file.ReadFloat32(file.Tensors["token_embd.weight.lora_a"]);
        for (int token = 0; token < TinyModel.Vocabulary; token++)
            for (int k = 0; k < 3; k++) Assert.Equal(a[k * TinyModel.Vocabulary + token], stored[token * 3 + k]);
    }

    [Fact]
    public void A_stream_receives_the_same_bytes_as_a_file()
    {
        using var stream = new MemoryStream();
        LoraGgufWriter.Write(stream, Sample());
        LoraGgufWriter.Write(_folder["x"], Sample());
        Assert.Equal(File.ReadAllBytes(_folder["x"]), stream.ToArray());
    }

    [Fact]
    public void An_alpha_of_zero_is_llama_cpps_factor_of_one()
    {
        float[] a = [.. Enumerable.Range(0, 2 * W).Select(i => i * 0.01f)];
        float[] b = [.. Enumerable.Range(0, 2 * F).Select(i => 1 - i * 0.02f)];
        LoraAdapter adapter = AdapterReader.Open(Builder(a, b).F32("adapter.lora.alpha", 0).Write(_folder, "lora.gguf"), Model());
        Matrices.Close(Matrices.Product(b, a, F, 2, W, 1), Matrices.Delta(adapter, Up));
    }

    [Fact]
    public void Half_precision_adapters_are_read()
    {
        GgufBuilder builder = Builder(new float[2 * W], new float[2 * F]).ReplaceTensor(Up + ".lora_a", [W, 2], 1, new byte[4 * W])
            .ReplaceTensor(Up + ".lora_b", [2, F], 30, new byte[4 * F]);
        Assert.Single(AdapterReader.Open(builder.Write(_folder, "lora.gguf"), Model()).Tensors);
    }

    public static TheoryData<string, string> Faults() => new()
    {
        { "model", "type \"model\", not an adapter" },
        { "kind", "adapter of type \"ia3\"" },
        { "architecture", "architecture \"qwen2\" but the model model.gguf is \"llama\"" },
        { "activated", "Activated LoRA" },
        { "no alpha", "does not say its adapter.lora.alpha" },
        { "alpha type", "not a 32-bit float" },
        { "alpha NaN", "adapter.lora.alpha = NaN" },
        { "norm", "\"blk.1.attn_norm.weight\" is neither" },
        { "unknown weight", "changes blk.9.ffn_up.weight, which the model does not have" },
        { "no b", ".lora_a\" has no lora_b" },
        { "no a", ".lora_b\" has no lora_a" },
        { "rank", "rank 2 but its lora_b has rank 3" },
        { "inputs", "24 x 17 where model.gguf has 24 x 16" },
        { "outputs", "25 x 16 where model.gguf has 24 x 16" },
        { "vector", "not a pair of matrices" },
        { "integers", "of type I8" },
        { "not a number", "lora_b\" holds values that are NaN" },
        { "empty", "holds no LoRA tensors" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Faults_are_refused_in_one_sentence(string fault, string expected)
    {
        string path = Faulty(fault).Write(_folder, "lora.gguf");
        GgufFile model = Model();
        Assert.True(HostileInput.Refuses(path, p => AdapterReader.Open(p, model)));
        Assert.Contains(expected, Assert.Throws<InputFileException>(() => AdapterReader.Open(path, model)).Message);
    }

    [Fact]
    public void A_weight_that_the_model_does_not_have_is_left_out_where_it_is_not_changed()
    {
        LoraAdapter expected = Sample();
        string path = _folder["lora.gguf"];
        LoraGgufWriter.Write(path, new LoraAdapter("x", "llama", 4, [.. expected.Tensors, new LoraTensor("blk.9.attn_q.weight", 2, new float[2 * W], new float[2 * F], "x")]));
        Assert.Equal(expected.Tensors.Select(t => t.Name), AdapterReader.Open(path, Model()).Tensors.Select(t => t.Name));
        LoraGgufWriter.Write(path, new LoraAdapter("x", "llama", 4, [new LoraTensor("blk.9.attn_q.weight", 2, new float[2 * W], new float[2 * F], "x")]));
        GgufFile model = Model();
        Assert.Contains($"changes only weights that {Path.GetFileName(model.Path)} does not have", Assert.Throws<InputFileException>(() => AdapterReader.Open(path, model)).Message);
    }

    [Fact]
    public void Embeddings_shared_with_the_output_are_refused_because_llama_cpp_would_abort()
    {
        string path = _folder["lora.gguf"];
        LoraGgufWriter.Write(path, Sample());
        var tied = GgufFile.Open(TinyModel.Separate().RemoveTensor("output.weight").Write(_folder));
        Assert.Contains("shares with its output", Assert.Throws<InputFileException>(() => AdapterReader.Open(path, tied)).Message);
    }

    [Fact]
    public void Truncations_and_bit_flips_are_survived()
    {
        using var stream = new MemoryStream();
        LoraGgufWriter.Write(stream, new LoraAdapter("x", "llama", 4, [Sample().Tensors[0]]));
        byte[] valid = stream.ToArray();
        GgufFile model = Model();
        HostileInput.EveryTruncationIsRefused(valid[..^16], Read); // the last tensor's padding is not needed
        HostileInput.BitFlipsAreSurvived(valid, Read, 3000, seed: 9);

        void Read(string path) => AdapterReader.Open(path, model);
    }

    [Fact]
    public void The_norm_is_that_of_the_product()
    {
        LoraAdapter adapter = Sample();
        (IReadOnlyDictionary<string, double> byTensor, double total) = adapter.FrobeniusNorms();
        double sum = 0;
        foreach (LoraTensor tensor in adapter.Tensors)
        {
            double expected = Matrices.Frobenius(Matrices.Delta(adapter, tensor.Name));
            Assert.Equal(expected, byTensor[tensor.Name], 1e-12 * expected);
            sum += expected * expected;
        }

        Assert.Equal(Math.Sqrt(sum), total, 1e-12 * total);
    }

    [Fact]
    public void The_fingerprint_follows_the_content_and_not_the_place()
    {
        string one = new PeftFolder(1).Module("model.layers.0.mlp.up_proj", W, F).Write(_folder, "one");
        string same = new PeftFolder(1).Module("model.layers.0.mlp.up_proj", W, F).Write(_folder, "same");
        string other = new PeftFolder(2).Module("model.layers.0.mlp.up_proj", W, F).Write(_folder, "other");
        string config = new PeftFolder(1).Module("model.layers.0.mlp.up_proj", W, F).Set("lora_alpha", 9).Write(_folder, "config");
        string fingerprint = AdapterFingerprint.Compute(one);
        Assert.Matches("^[0-9a-f]{64}$", fingerprint);
        Assert.Equal(fingerprint, AdapterFingerprint.Compute(same));
        Assert.Equal(fingerprint, AdapterFingerprint.Compute(Path.Combine(one, "adapter_model.safetensors")));
        Assert.NotEqual(fingerprint, AdapterFingerprint.Compute(other));
        Assert.NotEqual(fingerprint, AdapterFingerprint.Compute(config));

        LoraGgufWriter.Write(_folder["a.gguf"], Sample());
        LoraGgufWriter.Write(_folder["b.gguf"], Sample());
        Assert.Equal(AdapterFingerprint.Compute(_folder["a.gguf"]), AdapterFingerprint.Compute(_folder["b.gguf"]));
        Assert.Throws<InputFileException>(() => AdapterFingerprint.Compute(_folder["none.gguf"]));
        Assert.Throws<InputFileException>(() => AdapterFingerprint.Compute(_folder.Root));
    }

    [Fact]
    public void An_adapter_with_an_alpha_of_zero_cannot_be_made() =>
        Assert.Throws<ArgumentException>(() => new LoraAdapter("x", "llama", 0, Sample().Tensors));

    private GgufFile Model() => GgufFile.Open(TinyModel.Separate().Write(_folder));

    private static LoraAdapter Sample()
    {
        var random = new Random(4);
        return new LoraAdapter("sample", "llama", 4,
        [
            new LoraTensor(Up, 2, Values(2 * W), Values(2 * F), "up"),
            new LoraTensor("token_embd.weight", 3, Values(3 * TinyModel.Vocabulary), Values(3 * W), "embed"),
            new LoraTensor("blk.0.attn_output.weight", 1, Values(TinyModel.Heads * TinyModel.HeadSize), Values(W), "o"),
        ]);

        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }

    private static GgufBuilder Builder(float[] a, float[] b) => new GgufBuilder()
        .Text("general.type", "adapter").Text("general.architecture", "llama").Text("adapter.type", "lora").F32("adapter.lora.alpha", 4)
        .Tensor(Up + ".lora_a", [W, 2], a).Tensor(Up + ".lora_b", [2, F], b);

    private static GgufBuilder Faulty(string fault)
    {
        float[] bad = new float[2 * F];
        bad[3] = float.NaN;
        GgufBuilder lora = Builder(new float[2 * W], new float[2 * F]);
        return fault switch
        {
            "model" => lora.Remove("general.type"),
            "kind" => lora.Text("adapter.type", "ia3"),
            "architecture" => lora.Text("general.architecture", "qwen2"),
            "activated" => lora.U32s("adapter.alora.invocation_tokens", 1),
            "no alpha" => lora.Remove("adapter.lora.alpha"),
            "alpha type" => lora.U32("adapter.lora.alpha", 4),
            "alpha NaN" => lora.F32("adapter.lora.alpha", float.NaN),
            "norm" => lora.Tensor("blk.1.attn_norm.weight", [W], new float[W]),
            "unknown weight" => lora.Tensor("blk.9.ffn_up.weight.lora_a", [W, 2], new float[2 * W])
                .Tensor("blk.9.ffn_up.weight.lora_b", [2, F], [.. Enumerable.Repeat(0.5f, 2 * F)]),
            "no b" => lora.RemoveTensor(Up + ".lora_b"),
            "no a" => lora.RemoveTensor(Up + ".lora_a"),
            "rank" => lora.ReplaceTensor(Up + ".lora_b", [3, F], 0, new byte[12 * F]),
            "inputs" => lora.ReplaceTensor(Up + ".lora_a", [W + 1, 2], 0, new byte[8 * (W + 1)]),
            "outputs" => lora.ReplaceTensor(Up + ".lora_b", [2, F + 1], 0, new byte[8 * (F + 1)]),
            "vector" => lora.Tensor("blk.1.attn_norm.weight.lora_a", [W, 1], new float[W])
                .Tensor("blk.1.attn_norm.weight.lora_b", [1, 1], new float[1]),
            "integers" => lora.ReplaceTensor(Up + ".lora_a", [W, 2], 24, new byte[2 * W]),
            "not a number" => lora.ReplaceTensor(Up + ".lora_b", [2, F], 0, GgufBuilder.Floats(bad)),
            "empty" => lora.RemoveTensor(Up + ".lora_a").RemoveTensor(Up + ".lora_b"),
            _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "Unknown fault."),
        };
    }
}
