namespace EmScan.Engine.Tests.Support;

/// <summary>
/// A random transformer of the llama or qwen2 architecture, small enough to compute in float64 by hand-written loops. Weights are kept under
/// their Hugging Face names and layout, (out, in) row-major, and written as the GGUF that llama.cpp reads.
/// </summary>
internal sealed class TinyModel
{
    internal const double Epsilon = 1e-5;
    internal const double RopeBase = 10000;

    private readonly Dictionary<string, float[]> _weights = [];

    internal TinyModel(int seed, string architecture = "llama", int layers = 4, int hidden = 32, int heads = 4, int kvHeads = 2, int ffn = 48, int vocabulary = 64, int context = 512)
    {
        Architecture = architecture;
        (Layers, Hidden, Heads, KvHeads, Ffn, Vocabulary, Context) = (layers, hidden, heads, kvHeads, ffn, vocabulary, context);
        var random = new Random(seed);
        Add("model.embed_tokens.weight", vocabulary * hidden, 1);
        for (int l = 0; l < layers; l++)
        {
            string p = $"model.layers.{l}.";
            AddNorm(p + "input_layernorm.weight", hidden);
            Linear(p + "self_attn.q_proj", heads * HeadSize, hidden, bias: architecture == "qwen2");
            Linear(p + "self_attn.k_proj", kvHeads * HeadSize, hidden, bias: architecture == "qwen2");
            Linear(p + "self_attn.v_proj", kvHeads * HeadSize, hidden, bias: architecture == "qwen2");
            Linear(p + "self_attn.o_proj", hidden, heads * HeadSize);
            AddNorm(p + "post_attention_layernorm.weight", hidden);
            Linear(p + "mlp.gate_proj", ffn, hidden);
            Linear(p + "mlp.up_proj", ffn, hidden);
            Linear(p + "mlp.down_proj", hidden, ffn);
        }

        AddNorm("model.norm.weight", hidden);
        Linear("lm_head", vocabulary, hidden);

        void Linear(string name, int rows, int columns, bool bias = false)
        {
            Add(name + ".weight", rows * columns, 1 / Math.Sqrt(columns));
            if (bias) Add(name + ".bias", rows, 0.5);
        }

        void Add(string name, int count, double scale) =>
            _weights[name] = [.. Enumerable.Range(0, count).Select(_ => (float)(scale * Gaussian(random)))];

        void AddNorm(string name, int count) =>
            _weights[name] = [.. Enumerable.Range(0, count).Select(_ => (float)(1 + (0.2 * Gaussian(random))))];
    }

    internal string Architecture { get; }
    internal int Layers { get; }
    internal int Hidden { get; }
    internal int Heads { get; }
    internal int KvHeads { get; }
    internal int Ffn { get; }
    internal int Vocabulary { get; }
    internal int Context { get; }
    internal int HeadSize => Hidden / Heads;
    internal IReadOnlyDictionary<string, float[]> Weights => _weights;

    /// <summary>Overrides what is written under a metadata key; for tests of damaged models.</summary>
    internal string? ChatTemplate { get; init; } =
        "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

    /// <summary>Rows and columns of a weight.</summary>
    internal (int Rows, int Columns) ShapeOf(string module)
    {
        int columns = module.EndsWith("down_proj", StringComparison.Ordinal) ? Ffn : module.EndsWith("o_proj", StringComparison.Ordinal) ? Heads * HeadSize : Hidden;
        return (_weights[module + ".weight"].Length / columns, columns);
    }

    internal string LayerModule(int layer, string projection) =>
        $"model.layers.{layer}.{(projection is "gate_proj" or "up_proj" or "down_proj" ? "mlp" : "self_attn")}.{projection}";

    internal static double Gaussian(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    internal int[] RandomTokens(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(7, Vocabulary))];

    /// <summary>Writes the model as GGUF v3, F32, with a word vocabulary.</summary>
    internal void WriteGguf(string path)
    {
        string a = Architecture;
        using var writer = new GgufTestWriter();
        writer.Text("general.architecture", a);
        writer.Text("general.name", "tiny");
        writer.UInt32($"{a}.context_length", (uint)Context);
        writer.UInt32($"{a}.embedding_length", (uint)Hidden);
        writer.UInt32($"{a}.block_count", (uint)Layers);
        writer.UInt32($"{a}.feed_forward_length", (uint)Ffn);
        writer.UInt32($"{a}.attention.head_count", (uint)Heads);
        writer.UInt32($"{a}.attention.head_count_kv", (uint)KvHeads);
        writer.Float32($"{a}.attention.layer_norm_rms_epsilon", (float)Epsilon);
        writer.Float32($"{a}.rope.freq_base", (float)RopeBase);
        writer.UInt32($"{a}.rope.dimension_count", (uint)HeadSize);
        writer.Text("tokenizer.ggml.model", "bert");
        writer.Text("tokenizer.ggml.pre", "default");
        string[] special = ["<|pad|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|unk|>"];
        writer.Texts("tokenizer.ggml.tokens", [.. special, .. Enumerable.Range(special.Length, Vocabulary - special.Length).Select(i => "\u2581" + Word(i))]);
        writer.Int32s("tokenizer.ggml.token_type", [.. Enumerable.Range(0, Vocabulary).Select(i => i < special.Length ? 3 : 1)]);
        writer.UInt32("tokenizer.ggml.bos_token_id", 1);
        writer.UInt32("tokenizer.ggml.eos_token_id", 5);
        writer.UInt32("tokenizer.ggml.unknown_token_id", 6);
        writer.UInt32("tokenizer.ggml.padding_token_id", 0);
        writer.UInt32("tokenizer.ggml.seperator_token_id", 5);
        writer.UInt32("tokenizer.ggml.cls_token_id", 1);
        writer.UInt32("tokenizer.ggml.mask_token_id", 6); // llama.cpp would look for BERT's own, 103, which a small vocabulary lacks.
        writer.Bool("tokenizer.ggml.add_bos_token", true);
        writer.Bool("tokenizer.ggml.add_eos_token", false);
        if (ChatTemplate != null) writer.Text("tokenizer.chat_template", ChatTemplate);

        writer.Tensor("token_embd.weight", [Hidden, Vocabulary], _weights["model.embed_tokens.weight"]);
        writer.Tensor("output_norm.weight", [Hidden], _weights["model.norm.weight"]);
        writer.Tensor("output.weight", [Hidden, Vocabulary], _weights["lm_head.weight"]);
        for (int l = 0; l < Layers; l++)
        {
            string hf = $"model.layers.{l}.", gguf = $"blk.{l}.";
            writer.Tensor(gguf + "attn_norm.weight", [Hidden], _weights[hf + "input_layernorm.weight"]);
            writer.Tensor(gguf + "ffn_norm.weight", [Hidden], _weights[hf + "post_attention_layernorm.weight"]);
            Linear(hf + "self_attn.q_proj", gguf + "attn_q", Heads);
            Linear(hf + "self_attn.k_proj", gguf + "attn_k", KvHeads);
            Linear(hf + "self_attn.v_proj", gguf + "attn_v", 0);
            Linear(hf + "self_attn.o_proj", gguf + "attn_output", 0);
            Linear(hf + "mlp.gate_proj", gguf + "ffn_gate", 0);
            Linear(hf + "mlp.up_proj", gguf + "ffn_up", 0);
            Linear(hf + "mlp.down_proj", gguf + "ffn_down", 0);
        }

        writer.Write(path);

        void Linear(string hf, string gguf, int permutedHeads)
        {
            (int rows, int columns) = ShapeOf(hf);
            float[] weight = _weights[hf + ".weight"];
            if (permutedHeads > 0 && Architecture == "llama") weight = Permute(weight, rows, columns, permutedHeads);
            writer.Tensor(gguf + ".weight", [columns, rows], weight);
            if (_weights.TryGetValue(hf + ".bias", out float[]? bias)) writer.Tensor(gguf + ".bias", [rows], bias);
        }
    }

    /// <summary>The word whose token is <paramref name="id"/>; letters only, so that the tokenizer splits on spaces alone.</summary>
    internal static string Word(int id) => $"w{(char)('a' + (id / 26))}{(char)('a' + (id % 26))}";

    // llama.cpp rotates neighbouring pairs where transformers rotates the halves of a head: rows i and i + size / 2 become 2 i and 2 i + 1.
    private static float[] Permute(float[] weight, int rows, int columns, int heads)
    {
        int size = rows / heads;
        float[] result = new float[weight.Length];
        for (int h = 0; h < heads; h++)
        {
            for (int i = 0; i < size / 2; i++)
            {
                for (int half = 0; half < 2; half++)
                {
                    int from = (h * size) + (half * size / 2) + i, to = (h * size) + (2 * i) + half;
                    weight.AsSpan(from * columns, columns).CopyTo(result.AsSpan(to * columns));
                }
            }
        }

        return result;
    }
}
