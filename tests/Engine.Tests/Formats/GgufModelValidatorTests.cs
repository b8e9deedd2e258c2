using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

public sealed class GgufModelValidatorTests
{
    public static TheoryData<string> SoundVariants() =>
    [
        "plain", "per-block heads", "signed per-block heads", "no attention in a block", "two empty tokens", "no scores", "own head size",
        "padding out of range", "experts", "quantized",
    ];

    [Theory]
    [MemberData(nameof(SoundVariants))]
    public void A_sound_model_passes(string variant)
    {
        GgufBuilder model = TinyModel.Separate();
        switch (variant)
        {
            case "per-block heads": model.U32s("llama.attention.head_count", 4, 2); break;
            case "signed per-block heads":
                model.I32s("llama.attention.head_count", 4, 4).I32s("llama.attention.head_count_kv", 2,
                1); break;
            case "no attention in a block": model.U32s("llama.attention.head_count_kv", 2, 0); break;
            case "two empty tokens": model.Texts("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "a", "", ""]); break;
            case "no scores": model.Remove("tokenizer.ggml.scores").Remove("tokenizer.ggml.token_type"); break;
            case "own head size": model.U32("llama.attention.head_count", 6).U32("llama.attention.key_length", 8); break;
            case "padding out of range": model.U32("tokenizer.ggml.padding_token_id", uint.MaxValue); break;
            case "experts": model.U32("llama.expert_count", 8).U32("llama.expert_used_count", 2); break;
            case "quantized": model.Tensor("blk.0.extra.weight", [256], 12, new byte[144]); break;
        }

        using var folder = new TemporaryFolder();
        GgufModelValidator.Validate(GgufFile.Open(model.Write(folder)));
    }

    public static TheoryData<string, string> Faults() => new()
    {
        { "adapter type", "give the model it was trained on as the model" },
        { "adapter tensors", "give the model it was trained on as the model" },
        { "projector", "a multimodal projector" },
        { "clip", "a multimodal projector" },
        { "no architecture", "general.architecture" },
        { "architecture type", "general.architecture as U32" },
        { "no blocks", "does not say its llama.block_count" },
        { "zero blocks", "absurd value 0 for llama.block_count" },
        { "513 blocks", "absurd value 513 for llama.block_count" },
        { "blocks type", "llama.block_count as F32, not as U32" },
        { "no width", "does not say its llama.embedding_length" },
        { "huge width", "absurd value 4294967295 for llama.embedding_length" },
        { "no context", "does not say its llama.context_length" },
        { "no heads", "does not say its llama.attention.head_count" },
        { "zero heads", "does not say its llama.attention.head_count" },
        { "heads type", "llama.attention.head_count as F32 array" },
        { "heads length", "3 entries for llama.attention.head_count and 2 blocks" },
        { "negative heads", "absurd value -1 for llama.attention.head_count" },
        { "groups", "4 heads in block 0, which 3 key-value heads do not divide" },
        { "width per head", "embedding_length of 16, which 5 heads do not divide" },
        { "experts used", "uses 2 of 0 experts" },
        { "no experts used", "uses 0 of 8 experts" },
        { "many experts", "claims 2000 experts" },
        { "epsilon", "layer_norm_rms_epsilon = -1" },
        { "epsilon NaN", "layer_norm_rms_epsilon = NaN" },
        { "rope scaling", "unknown rope scaling \"su\"" },
        { "rope base", "rope.freq_base = 0" },
        { "rope size", "rope.dimension_count = 3" },
        { "no tokenizer", "has no vocabulary" },
        { "no tokens", "has no vocabulary" },
        { "tokens type", "tokenizer.ggml.tokens as I32, where a list of texts" },
        { "token types", "5 entries in tokenizer.ggml.token_type for 6 tokens" },
        { "scores", "2 entries in tokenizer.ggml.scores for 6 tokens" },
        { "scores type", "tokenizer.ggml.scores as I32, where a list of 32-bit floats" },
        { "merges", "without its merges" },
        { "merges type", "tokenizer.ggml.merges as I32" },
        { "charsmap", "precompiled_charsmap as Text" },
        { "bos", "bos_token_id = 6, outside its vocabulary of 6 tokens" },
        { "duplicate token", "the token \"a\" twice in its vocabulary, as 3 and 4" },
        { "no embeddings", "no token_embd.weight" },
        { "embedding width", "token_embd.weight of 6 x 8 for a vocabulary of 6 and an embedding_length of 16" },
        { "embedding rows", "token_embd.weight of 5 x 16" },
        { "half norm", "\"blk.0.attn_norm.weight\" as F16" },
        { "integer weight", "\"blk.0.attn_q.weight\" as I32, which llama.cpp cannot multiply" },
        { "double weight", "\"blk.0.attn_q.weight\" as F64" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_model_that_llama_cpp_would_choke_on_is_refused_in_one_sentence(string fault, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = Faulty(fault).Write(folder);
        Assert.True(HostileInput.Refuses(path, p => GgufModelValidator.Validate(GgufFile.Open(p))));
        var failure = Assert.Throws<InputFileException>(() => GgufModelValidator.Validate(GgufFile.Open(path)));
        Assert.Contains(expected, failure.Message);
    }

    [Fact]
    public void Bit_flips_in_a_model_header_are_survived()
    {
        byte[] valid = TinyModel.Separate().Build();
        HostileInput.BitFlipsAreSurvived(valid, p => GgufModelValidator.Validate(GgufFile.Open(p)), 4000, seed: 11, within: 2500);
    }

    private static GgufBuilder Faulty(string fault)
    {
        GgufBuilder m = TinyModel.Separate();
        const int Q = TinyModel.Width * TinyModel.Heads * TinyModel.HeadSize;
        return fault switch
        {
            "adapter type" => m.Text("general.type", "adapter"),
            "adapter tensors" => m.Remove("general.type").Tensor("blk.0.attn_q.weight.lora_a", [16, 1], new float[16]),
            "projector" => m.Text("general.type", "mmproj"),
            "clip" => m.Text("general.architecture", "clip"),
            "no architecture" => m.Remove("general.architecture"),
            "architecture type" => m.U32("general.architecture", 1),
            "no blocks" => m.Remove("llama.block_count"),
            "zero blocks" => m.U32("llama.block_count", 0),
            "513 blocks" => m.U32("llama.block_count", 513),
            "blocks type" => m.F32("llama.block_count", 2),
            "no width" => m.Remove("llama.embedding_length"),
            "huge width" => m.U32("llama.embedding_length", uint.MaxValue),
            "no context" => m.Remove("llama.context_length"),
            "no heads" => m.Remove("llama.attention.head_count"),
            "zero heads" => m.U32("llama.attention.head_count", 0),
            "heads type" => m.F32s("llama.attention.head_count", 4, 4),
            "heads length" => m.U32s("llama.attention.head_count", 4, 4, 4),
            "negative heads" => m.I32s("llama.attention.head_count", 4, -1),
            "groups" => m.U32("llama.attention.head_count_kv", 3),
            "width per head" => m.U32("llama.attention.head_count", 5).U32("llama.attention.head_count_kv", 5)
                .Remove("llama.attention.key_length"),
            "experts used" => m.U32("llama.expert_used_count", 2),
            "no experts used" => m.U32("llama.expert_count", 8).U32("llama.expert_used_count", 0),
            "many experts" => m.U32("llama.expert_count", 2000).U32("llama.expert_used_count", 2),
            "epsilon" => m.F32("llama.attention.layer_norm_rms_epsilon", -1),
            "epsilon NaN" => m.F32("llama.attention.layer_norm_rms_epsilon", float.NaN),
            "rope scaling" => m.Text("llama.rope.scaling.type", "su"),
            "rope base" => m.F32("llama.rope.freq_base", 0),
            "rope size" => m.U32("llama.rope.dimension_count", 3),
            "no tokenizer" => m.Remove("tokenizer.ggml.model"),
            "no tokens" => m.Remove("tokenizer.ggml.tokens"),
            "tokens type" => m.I32s("tokenizer.ggml.tokens", 1, 2, 3, 4, 5, 6),
            "token types" => m.I32s("tokenizer.ggml.token_type", 1, 2, 3, 4, 5),
            "scores" => m.F32s("tokenizer.ggml.scores", 1, 2),
            "scores type" => m.I32s("tokenizer.ggml.scores", 1, 2, 3, 4, 5, 6),
            "merges" => m.Text("tokenizer.ggml.model", "gpt2"),
            "merges type" => m.I32s("tokenizer.ggml.merges", 1),
            "charsmap" => m.Texts("tokenizer.ggml.precompiled_charsmap", ["x"]),
            "bos" => m.U32("tokenizer.ggml.bos_token_id", 6),
            "duplicate token" => m.Texts("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "a", "a", ""]),
            "no embeddings" => m.RemoveTensor("token_embd.weight"),
            "embedding width" => m.ReplaceTensor("token_embd.weight", [8, 6], 0, new byte[8 * 6 * 4]),
            "embedding rows" => m.ReplaceTensor("token_embd.weight", [16, 5], 0, new byte[16 * 5 * 4]),
            "half norm" => m.ReplaceTensor("blk.0.attn_norm.weight", [16], 1, new byte[32]),
            "integer weight" => m.ReplaceTensor("blk.0.attn_q.weight", [16, 32], 26, new byte[4 * Q]),
            "double weight" => m.ReplaceTensor("blk.0.attn_q.weight", [16, 32], 28, new byte[8 * Q]),
            _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "Unknown fault."),
        };
    }
}
