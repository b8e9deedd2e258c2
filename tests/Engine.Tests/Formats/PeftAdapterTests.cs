using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

public sealed class PeftAdapterTests : IDisposable
{
    private const int W = TinyModel.Width;
    private const int Q = TinyModel.Heads * TinyModel.HeadSize;
    private const int K = TinyModel.Groups * TinyModel.HeadSize;
    private const int F = TinyModel.FeedForward;
    private const string Block = "model.layers.1.";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_uniform_adapter_keeps_its_values_bit_for_bit()
    {
        PeftFolder peft = AllModules();
        LoraAdapter adapter = Open(peft, TinyModel.Separate("qwen2"));
        Assert.Equal("qwen2", adapter.Architecture);
        Assert.Equal(8f, adapter.Alpha);
        Assert.Equal(7, adapter.Tensors.Count);
        foreach ((string module, string name) in Pairs())
        {
            LoraTensor tensor = Assert.Single(adapter.Tensors, t => t.Name == name);
            Assert.Equal(peft.A(module), tensor.A);
            Assert.Equal(peft.B(module), tensor.B);
            Assert.Contains(module, tensor.Source);
        }
    }

    [Theory]
    [InlineData("llama", "q_proj", Q, TinyModel.Heads)]
    [InlineData("llama", "k_proj", K, TinyModel.Groups)]
    [InlineData("granite", "q_proj", Q, TinyModel.Heads)]
    [InlineData("smollm3", "k_proj", K, TinyModel.Groups)]
    [InlineData("olmo", "q_proj", Q, TinyModel.Heads)]
    public void Rotary_rows_are_where_the_two_definitions_of_rope_meet(string architecture, string module, int rows, int heads)
    {
        // Hugging Face rotates (i, i + size/2) of a head, ggml's NORM rotates (2i, 2i + 1): frequency i must act on the same two rows.
        var peft = new PeftFolder().Module($"{Block}self_attn.{module}", W, rows);
        LoraAdapter adapter = Open(peft, TinyModel.Separate(architecture));
        float[] original = peft.B($"{Block}self_attn.{module}");
        float[] permuted = Assert.Single(adapter.Tensors).B;
        int size = rows / heads;
        for (int head = 0; head < heads; head++)
        {
            for (int frequency = 0; frequency < size / 2; frequency++)
            {
                Assert.Equal(Row(original, head * size + frequency), Row(permuted, head * size + 2 * frequency));
                Assert.Equal(Row(original, head * size + frequency + size / 2), Row(permuted, head * size + 2 * frequency + 1));
            }
        }

        Assert.Equal(peft.A($"{Block}self_attn.{module}"), adapter.Tensors[0].A);
    }

    [Fact]
    public void The_other_modules_of_a_llama_are_not_permuted()
    {
        PeftFolder peft = AllModules();
        LoraAdapter adapter = Open(peft, TinyModel.Separate());
        foreach ((string module, string name) in Pairs())
        {
            bool same = peft.B(module).SequenceEqual(Assert.Single(adapter.Tensors, t => t.Name == name).B);
            Assert.Equal(name is not ("blk.1.attn_q.weight" or "blk.1.attn_k.weight"), same);
        }
    }

    [Fact]
    public void Heads_may_differ_between_blocks()
    {
        var peft = new PeftFolder().Module("model.layers.1.self_attn.q_proj", W, Q);
        GgufBuilder model = TinyModel.Separate().U32s("llama.attention.head_count", 4, 2).U32s("llama.attention.head_count_kv", 2, 2);
        float[] permuted = Assert.Single(Open(peft, model).Tensors).B;
        // Two heads of 16: the partner of row 0 is row 8, and becomes its neighbour.
        Assert.Equal(Row(peft.B("model.layers.1.self_attn.q_proj"), 8), Row(permuted, 1));
    }

    [Fact]
    public void Patterns_and_rank_stabilisation_give_the_same_delta_as_float64()
    {
        PeftFolder peft = new PeftFolder()
            .Module("model.layers.0.self_attn.v_proj", W, K, rank: 2)
            .Module("model.layers.0.self_attn.o_proj", Q, W, rank: 4)
            .Module("model.layers.0.mlp.up_proj", W, F, rank: 2)
            .Module("model.layers.1.mlp.up_proj", W, F, rank: 3)
            .Module("model.layers.0.mlp.down_proj", F, W, rank: 5)
            .Set("rank_pattern", new JsonObject { ["o_proj"] = 4, ["layers.1.mlp.up_proj"] = 3, ["mlp.(down|xyz)_proj"] = 5 })
            .Set("alpha_pattern", new JsonObject { ["^model.layers.0.mlp.up_proj"] = 3, ["up_proj"] = 1.5, ["down_proj"] = 0 });
        foreach (bool stabilised in (bool[])[false, true])
        {
            LoraAdapter adapter = Open(peft.Set("use_rslora", stabilised), TinyModel.Separate("qwen3"));
            Check("model.layers.0.self_attn.v_proj", "blk.0.attn_v.weight", 8, 2);
            Check("model.layers.0.self_attn.o_proj", "blk.0.attn_output.weight", 8, 4);
            Check("model.layers.0.mlp.up_proj", "blk.0.ffn_up.weight", 3, 2);
            Check("model.layers.1.mlp.up_proj", "blk.1.ffn_up.weight", 1.5, 3);
            Check("model.layers.0.mlp.down_proj", "blk.0.ffn_down.weight", 0, 5);

            void Check(string module, string name, double alpha, int rank) =>
                Matrices.Close(peft.Delta(module, alpha / (stabilised ? Math.Sqrt(rank) : rank)), Matrices.Delta(adapter, name));
        }
    }

    [Fact]
    public void Rank_stabilisation_alone_leaves_B_untouched()
    {
        PeftFolder peft = AllModules().Set("use_rslora", true);
        LoraAdapter adapter = Open(peft, TinyModel.Separate("gemma2"));
        Assert.Equal((float)(8 * Math.Sqrt(2)), adapter.Alpha);
        foreach ((string module, string name) in Pairs()) Assert.Equal(peft.B(module),
            Assert.Single(adapter.Tensors, t => t.Name == name).B);
    }

    [Fact]
    public void An_alpha_of_zero_means_no_effect_and_not_a_factor_of_one()
    {
        var peft = new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Set("lora_alpha", 0);
        LoraAdapter adapter = Open(peft, TinyModel.Separate());
        Assert.NotEqual(0f, adapter.Alpha);
        Assert.All(Assert.Single(adapter.Tensors).B, value => Assert.Equal(0f, value));
    }

    [Theory]
    [InlineData("base_model.model.", ".weight")]
    [InlineData("base_model.model.", ".default.weight")]
    [InlineData("base_model.model.", ".my-adapter.weight")]
    [InlineData("", ".weight")]
    [InlineData("module.base_model.model.", ".weight")]
    [InlineData("_orig_mod.base_model.model.", ".weight")]
    [InlineData("base_model.model._orig_mod.", ".weight")]
    [InlineData("_fsdp_wrapped_module.base_model.model.", ".weight")]
    [InlineData("base_model.model.", "")]
    public void Prefixes_and_adapter_names_left_by_trainers_are_understood(string prefix, string suffix)
    {
        var peft = new PeftFolder().Module($"{Block}mlp.up_proj", W, F, prefix: prefix, suffix: suffix);
        Assert.Equal("blk.1.ffn_up.weight", Assert.Single(Open(peft, TinyModel.Separate()).Tensors).Name);
    }

    [Theory]
    [InlineData("layers.1.mlp.up_proj")]
    [InlineData("model.model.layers.1.mlp.up_proj")]
    [InlineData("model.language_model.layers.1.mlp.up_proj")]
    [InlineData("language_model.model.layers.1.mlp.up_proj")]
    [InlineData("model.layers.1._checkpoint_wrapped_module.mlp.up_proj")]
    public void Containers_around_the_blocks_are_understood(string module)
    {
        var peft = new PeftFolder().Module(module, W, F);
        Assert.Equal("blk.1.ffn_up.weight", Assert.Single(Open(peft, TinyModel.Separate("gemma3")).Tensors).Name);
    }

    [Fact]
    public void A_fused_projection_goes_into_a_fused_weight_unchanged()
    {
        PeftFolder peft = new PeftFolder()
            .Module("model.layers.0.self_attn.qkv_proj", W, Q + 2 * K).Module("model.layers.0.mlp.gate_up_proj", W, 2 * F)
            .Set("target_modules", "all-linear");
        LoraAdapter adapter = Open(peft, TinyModel.Fused("phi3", gated: true));
        Assert.Equal(["blk.0.attn_qkv.weight", "blk.0.ffn_up.weight"], adapter.Tensors.Select(t => t.Name));
        Assert.Equal(peft.B("model.layers.0.self_attn.qkv_proj"), adapter.Tensors[0].B);
        Assert.Equal(peft.B("model.layers.0.mlp.gate_up_proj"), adapter.Tensors[1].B);
    }

    [Fact]
    public void Separate_projections_are_stacked_block_diagonally_into_a_fused_weight()
    {
        PeftFolder peft = new PeftFolder()
            .Module("model.layers.0.self_attn.q_proj", W, Q, rank: 2).Module("model.layers.0.self_attn.v_proj", W, K, rank: 3)
            .Module("model.layers.0.mlp.up_proj", W, F, rank: 2)
            .Set("rank_pattern", new JsonObject { ["v_proj"] = 3 });
        LoraAdapter adapter = Open(peft, TinyModel.Fused("phi3", gated: true));

        var qkv = new double[Q + 2 * K, W];
        Copy(peft.Delta("model.layers.0.self_attn.q_proj", 8.0 / 2), qkv, 0);
        Copy(peft.Delta("model.layers.0.self_attn.v_proj", 8.0 / 3), qkv, Q + K);
        Matrices.Close(qkv, Matrices.Delta(adapter, "blk.0.attn_qkv.weight"));

        var gateUp = new double[2 * F, W];
        Copy(peft.Delta("model.layers.0.mlp.up_proj", 8.0 / 2), gateUp, F);
        Matrices.Close(gateUp, Matrices.Delta(adapter, "blk.0.ffn_up.weight"));
    }

    [Fact]
    public void A_fused_projection_is_cut_for_separate_weights()
    {
        const string Module = "model.layers.0.self_attn.qkv_proj";
        var peft = new PeftFolder().Module(Module, W, Q + 2 * K).Set("target_modules", null);
        LoraAdapter adapter = Open(peft, TinyModel.Separate("qwen2", 1));
        double[,] whole = peft.Delta(Module, 4);
        Matrices.Close(Cut(whole, 0, Q), Matrices.Delta(adapter, "blk.0.attn_q.weight"));
        Matrices.Close(Cut(whole, Q, K), Matrices.Delta(adapter, "blk.0.attn_k.weight"));
        Matrices.Close(Cut(whole, Q + K, K), Matrices.Delta(adapter, "blk.0.attn_v.weight"));
    }

    [Fact]
    public void Interleaved_heads_of_gpt_neox_are_put_in_order()
    {
        // gpt_neox: for each head its q, k and v; GGUF: all q, all k, all v.
        const string Module = "gpt_neox.layers.0.attention.query_key_value";
        GgufBuilder model = TinyModel.Fused("gptneox", gated: false).Remove("gptneox.attention.head_count_kv")
            .ReplaceTensor("blk.0.attn_qkv.weight", [W, 3 * Q], 0, new byte[4 * W * 3 * Q]);
        var peft = new PeftFolder().Module(Module, W, 3 * Q).Set("target_modules", new JsonArray("query_key_value"));
        float[] actual = Assert.Single(Open(peft, model).Tensors).B;
        for (int part = 0; part < 3; part++)
            for (int head = 0; head < TinyModel.Heads; head++)
                for (int i = 0; i < TinyModel.HeadSize; i++)
                {
                    int original = (head * 3 + part) * TinyModel.HeadSize + i;
                    Assert.Equal(Row(peft.B(Module), original), Row(actual, part * Q + head * TinyModel.HeadSize + i));
                }
    }

    [Fact]
    public void Grouped_heads_of_falcon_are_put_in_order()
    {
        // falcon: for each group its query heads, one key and one value head.
        const string Module = "transformer.h.0.self_attention.query_key_value";
        var peft = new PeftFolder().Module(Module, W, Q + 2 * K).Set("target_modules", "all-linear");
        float[] actual = Assert.Single(Open(peft, TinyModel.Fused("falcon", gated: false)).Tensors).B;
        const int Size = TinyModel.HeadSize;
        int row = 0;
        for (int group = 0; group < TinyModel.Groups; group++)
        {
            for (int head = 2 * group; head < 2 * group + 2; head++, row += Size) Same(head * Size, row);
            Same(Q + group * Size, row);
            row += Size;
            Same(Q + K + group * Size, row);
            row += Size;
        }

        void Same(int target, int source)
        {
            for (int i = 0; i < Size; i++) Assert.Equal(Row(peft.B(Module), source + i), Row(actual, target + i));
        }
    }

    [Fact]
    public void Gpt2_modules_are_found_and_fan_in_fan_out_changes_nothing()
    {
        // The low-rank matrices of a Conv1D are (r, in) and (out, r) like those of a Linear; only the base weight is transposed.
        PeftFolder peft = new PeftFolder()
            .Module("transformer.h.0.attn.c_attn", W, 3 * Q).Module("transformer.h.0.attn.c_proj", Q, W)
            .Module("transformer.h.0.mlp.c_fc", W, F).Module("transformer.h.0.mlp.c_proj", F, W)
            .Set("fan_in_fan_out", true).Set("target_modules", new JsonArray("c_attn", "c_proj", "c_fc"));
        GgufBuilder model = TinyModel.Fused("gpt2", gated: false).Remove("gpt2.attention.head_count_kv")
            .ReplaceTensor("blk.0.attn_qkv.weight", [W, 3 * Q], 0, new byte[4 * W * 3 * Q]);
        LoraAdapter adapter = Open(peft, model);
        Assert.Equal(
            ["blk.0.attn_qkv.weight", "blk.0.attn_output.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"],
            adapter.Tensors.Select(t => t.Name));
        Assert.Equal(peft.B("transformer.h.0.attn.c_attn"), adapter.Tensors[0].B);
    }

    [Fact]
    public void Embeddings_and_head_are_adapted_when_the_model_keeps_them_apart()
    {
        PeftFolder peft = new PeftFolder()
            .Tensor("base_model.model.model.embed_tokens.lora_embedding_A", [2, TinyModel.Vocabulary])
            .Tensor("base_model.model.model.embed_tokens.lora_embedding_B", [W, 2])
            .Tensor("base_model.model.model.embed_tokens.base_layer.weight", [TinyModel.Vocabulary, W])
            .Module("lm_head", W, TinyModel.Vocabulary)
            .Set("target_modules", new JsonArray("embed_tokens", "lm_head"));
        LoraAdapter adapter = Open(peft, TinyModel.Separate());
        LoraTensor embeddings = adapter.Tensors.Single(t => t.IsTokenEmbedding);
        Assert.Equal((TinyModel.Vocabulary, W), (embeddings.InputSize, embeddings.OutputSize));
        Assert.Equal(peft.B("lm_head"), adapter.Tensors.Single(t => t.Name == "output.weight").B);

        GgufBuilder tied = TinyModel.Separate().RemoveTensor("output.weight");
        Refused(peft, tied, "embed_tokens.lora_embedding_A\" changes the embeddings, which this model shares");
        var headOnly = new PeftFolder().Module("lm_head", W, TinyModel.Vocabulary).Set("target_modules", null);
        Refused(headOnly, TinyModel.Separate().RemoveTensor("output.weight"), "lm_head.lora_A.weight\" changes the output matrix, which");
    }

    [Theory]
    [InlineData("""["up_proj"]""", null, true)]
    [InlineData("""["mlp.up_proj"]""", null, true)]
    [InlineData("""["p_proj"]""", null, false)]
    [InlineData("""["q_proj"]""", null, false)]
    [InlineData("\".*\\\\.mlp\\\\.(up|gate)_proj\"", null, true)]
    [InlineData("\"mlp\\\\.up_proj\"", null, false)]
    [InlineData("\"all-linear\"", null, true)]
    [InlineData("null", null, true)]
    [InlineData("""["up_proj"]""", "[1, 5]", true)]
    [InlineData("""["up_proj"]""", "[0]", false)]
    [InlineData("""["up_proj"]""", "1", true)]
    [InlineData("""["up_proj"]""", "[]", true)]
    public void Modules_that_PEFT_would_ignore_are_refused_and_no_others(string targets, string? layers, bool accepted)
    {
        PeftFolder peft = new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Set("target_modules", JsonNode.Parse(targets));
        if (layers is not null) peft.Set("layers_to_transform", JsonNode.Parse(layers));
        if (accepted) Assert.Single(Open(peft, TinyModel.Separate()).Tensors);
        else Refused(peft, TinyModel.Separate(), "mlp.up_proj.lora_A.weight\" belongs to a module that target_modules");
    }

    [Theory]
    [InlineData("use_dora", "true", "sets use_dora")]
    [InlineData("lora_bias", "true", "sets lora_bias")]
    [InlineData("layer_replication", "[[0,2],[1,2]]", "sets layer_replication")]
    [InlineData("alora_invocation_tokens", "[1,2]", "sets alora_invocation_tokens")]
    [InlineData("trainable_token_indices", "[3]", "sets trainable_token_indices")]
    [InlineData("target_parameters", "[\"mlp.experts.down_proj\"]", "sets target_parameters")]
    [InlineData("use_qalora", "true", "sets use_qalora")]
    [InlineData("modules_to_save", "[\"lm_head\"]", "lists \"lm_head\" in modules_to_save")]
    [InlineData("init_lora_weights", "\"pissa\"", "init_lora_weights = \"pissa\"")]
    [InlineData("init_lora_weights", "\"pissa_niter_16\"", "init_lora_weights = \"pissa_niter_16\"")]
    [InlineData("init_lora_weights", "\"olora\"", "init_lora_weights = \"olora\"")]
    [InlineData("init_lora_weights", "\"corda\"", "init_lora_weights = \"corda\"")]
    [InlineData("init_lora_weights", "\"loftq\"", "init_lora_weights = \"loftq\"")]
    [InlineData("peft_type", "\"IA3\"", "type IA3")]
    [InlineData("peft_type", "null", "has no \"peft_type\"")]
    [InlineData("r", "null", "has no \"r\"")]
    [InlineData("r", "0", "r = 0")]
    [InlineData("r", "\"8\"", "\"r\" that is not a number")]
    [InlineData("r", "2.5", "\"r\" that is not an integer")]
    [InlineData("r", "3", "has rank 2 where adapter_config.json says 3")]
    [InlineData("lora_alpha", "null", "has no \"lora_alpha\"")]
    [InlineData("lora_alpha", "[1]", "\"lora_alpha\" that is not a number")]
    [InlineData("rank_pattern", "{\"up_proj\":-1}", "rank -1")]
    [InlineData("rank_pattern", "{\"(\":1}", "no regular expression")]
    [InlineData("rank_pattern", "[]", "\"rank_pattern\" that is not an object")]
    [InlineData("alpha_pattern", "{\"x\":\"y\"}", "is not a number")]
    [InlineData("target_modules", "3", "\"target_modules\" that is not a list")]
    [InlineData("target_modules", "\"(\"", "no regular expression")]
    [InlineData("layers_to_transform", "\"x\"", "is not a list of integers")]
    [InlineData("use_rslora", "1", "neither true nor false")]
    public void Settings_under_which_the_weights_mean_something_else_are_refused(string key, string value, string expected) =>
        Refused(new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Set(key, JsonNode.Parse(value)), TinyModel.Separate(), expected);

    [Theory]
    [InlineData("init_lora_weights", "\"gaussian\"")]
    [InlineData("init_lora_weights", "\"eva\"")]
    [InlineData("init_lora_weights", "\"orthogonal\"")]
    [InlineData("init_lora_weights", "false")]
    [InlineData("bias", "\"lora_only\"")]
    [InlineData("modules_to_save", "null")]
    [InlineData("loftq_config", "{}")]
    [InlineData("fan_in_fan_out", "true")]
    [InlineData("some_new_setting", "{\"a\":1}")]
    public void Settings_that_change_nothing_about_the_weights_are_accepted(string key, string value)
    {
        PeftFolder peft = new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Set(key, JsonNode.Parse(value));
        Assert.Single(Open(peft, TinyModel.Separate()).Tensors);
    }

    [Theory]
    [InlineData("model.layers.1.mlp.up_proj.lora_magnitude_vector", "DoRA")]
    [InlineData("model.layers.1.mlp.up_proj.lora_magnitude_vector.default.weight", "DoRA")]
    [InlineData("model.layers.1.mlp.up_proj.lora_B.bias", "is a trained bias")]
    [InlineData("model.layers.1.mlp.up_proj.base_layer.bias", "is a trained bias")]
    [InlineData("lm_head.weight", "full weights of a module")]
    [InlineData("model.embed_tokens.weight", "full weights of a module")]
    [InlineData("model.embed_tokens.token_adapter.trainable_tokens_delta", "trained token embeddings")]
    [InlineData("model.layers.1.input_layernorm.weight", "full weights of a module")]
    [InlineData("something", "not a LoRA tensor")]
    public void Tensors_that_llama_cpp_cannot_apply_are_refused_by_name(string tensor, string expected)
    {
        PeftFolder peft = new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Tensor($"base_model.model.{tensor}", [4]);
        Refused(peft, TinyModel.Separate(), $"tensor \"base_model.model.{tensor}\"", expected);
    }

    [Fact]
    public void What_does_not_fit_the_model_is_refused_by_name()
    {
        Refused(One("model.layers.2.mlp.up_proj", W, F), TinyModel.Separate(), "block 2 but the model has only 2");
        Refused(One("model.layers.99999999999.mlp.up_proj", W, F), TinyModel.Separate(), "no part of the language model");
        Refused(One("model.layers.1.mlp.up_proj", W + 1, F), TinyModel.Separate(), "24 x 17 where model.gguf has 24 x 16", "another model");
        Refused(One("model.layers.1.mlp.up_proj", W, 2 * F), TinyModel.Separate(), "48 x 16 where model.gguf has 24 x 16");
        Refused(One("model.layers.1.mlp.sideways_proj", W, F), TinyModel.Separate(), "\"mlp.sideways_proj\", which is not known");
        Refused(One("model.layers.1.mlp.experts.3.up_proj", W, F), TinyModel.Separate("qwen3moe"), "a single expert");
        Refused(One("model.vision_tower.layers.1.mlp.up_proj", W, F), TinyModel.Separate(), "no part of the language model");
        Refused(One("model.layers.1.self_attn.q_proj", W, Q), TinyModel.Separate("rwkv7"), "the architecture \"rwkv7\"",
            "convert_lora_to_gguf");
        Refused(
            One("model.layers.1.mlp.gate_proj", W, F), TinyModel.Separate("starcoder2").RemoveTensor("blk.1.ffn_gate.weight"),
            "changes blk.1.ffn_gate.weight, which the model does not have");

        static PeftFolder One(string module, int inputs, int outputs) =>
            new PeftFolder().Module(module, inputs, outputs).Set("target_modules", null);
    }

    [Fact]
    public void Incomplete_and_ambiguous_adapters_are_refused_by_name()
    {
        const string Up = "base_model.model.model.layers.1.mlp.up_proj";
        Refused(new PeftFolder().Tensor($"{Up}.lora_A.weight", [2, W]), TinyModel.Separate(), $"\"{Up}.lora_A.weight\" has no lora_B");
        Refused(new PeftFolder().Tensor($"{Up}.lora_B.weight", [F, 2]), TinyModel.Separate(), $"\"{Up}.lora_B.weight\" has no lora_A");
        Refused(
            new PeftFolder().Tensor($"{Up}.lora_A.weight", [2, W]).Tensor($"{Up}.lora_B.weight", [F, 3]), TinyModel.Separate(),
            "has rank 2 but its lora_B has rank 3");
        Refused(new PeftFolder().Tensor($"{Up}.lora_A.weight", [2 * W]).Tensor($"{Up}.lora_B.weight", [F, 2]), TinyModel.Separate(),
            "matrix");
        Refused(
            new PeftFolder().Module($"{Block}mlp.up_proj", W, F, suffix: ".a.weight").Module($"{Block}mlp.up_proj", W, F,
                suffix: ".b.weight"),
            TinyModel.Separate(), "more than one adapter");
        Refused(
            new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Module("layers.1.mlp.up_proj", W, F), TinyModel.Separate(),
            "changes blk.1.ffn_up.weight a second time");
        Refused(new PeftFolder(), TinyModel.Separate(), "holds no LoRA tensors");
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Weights_that_are_not_numbers_are_refused_by_name(float value)
    {
        const string Up = "base_model.model.model.layers.1.mlp.up_proj";
        var b = new float[2 * F];
        b[7] = value;
        PeftFolder peft = new PeftFolder().Tensor($"{Up}.lora_A.weight", [2, W]).Tensor($"{Up}.lora_B.weight", [F, 2], b);
        Refused(peft, TinyModel.Separate(), $"tensor \"{Up}.lora_B.weight\" holds values that are NaN or infinite");
    }

    [Fact]
    public void Missing_files_and_pickles_are_refused_with_what_to_do()
    {
        GgufFile model = Model(TinyModel.Separate());
        string empty = Directory.CreateDirectory(_folder["empty"]).FullName;
        Assert.Contains("holds no adapter_model.safetensors", Refusal(empty, model));
        File.WriteAllText(Path.Combine(empty, "adapter_model.bin"), "x");
        Assert.Contains("safe_serialization=True", Refusal(empty, model));
        string path = new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Write(_folder);
        File.Delete(Path.Combine(path, "adapter_config.json"));
        Assert.Contains("holds adapter_model.safetensors and no adapter_config.json, without which nobody knows their scale", Refusal(path, model));
        Assert.Contains("does not exist", Refusal(_folder["nothing"], model));
    }

    [Fact]
    public void A_file_of_the_folder_stands_for_the_folder()
    {
        string path = new PeftFolder().Module($"{Block}mlp.up_proj", W, F).Write(_folder);
        GgufFile model = Model(TinyModel.Separate());
        Assert.Single(AdapterReader.Open(Path.Combine(path, "adapter_model.safetensors"), model).Tensors);
        Assert.Single(AdapterReader.Open(Path.Combine(path, "adapter_config.json"), model).Tensors);
    }

    [Fact]
    public void Damaged_configurations_are_survived()
    {
        PeftFolder peft = AllModules().Set("rank_pattern", new JsonObject { ["a.*b"] = 3 }).Set("layers_to_transform", new JsonArray(1));
        string path = peft.Write(_folder);
        GgufFile model = Model(TinyModel.Separate());
        byte[] config = File.ReadAllBytes(Path.Combine(path, "adapter_config.json"));
        HostileInput.EveryTruncationIsRefused(config, Read);
        HostileInput.BitFlipsAreSurvived(config, Read, 2000, seed: 5);

        void Read(string file) => PeftConfig.Read(file).Targets("model.layers.1.mlp.up_proj");
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("phi3")]
    [InlineData("falcon")]
    public void Damaged_models_are_survived(string architecture)
    {
        (byte[] model, string adapter) = architecture switch
        {
            "llama" => (TinyModel.Separate().Build(), AllModules().Write(_folder)),
            "phi3" => (TinyModel.Fused("phi3", gated: true, blocks: 2).Build(), AllModules().Write(_folder)),
            _ => (TinyModel.Fused("falcon", gated: false).Build(), new PeftFolder()
                .Module("transformer.h.0.self_attention.query_key_value", W, Q + 2 * K).Set("target_modules", null).Write(_folder)),
        };
        HostileInput.BitFlipsAreSurvived(model, Read, 2000, seed: 23, within: 1600);

        void Read(string path)
        {
            try
            {
                AdapterReader.Open(adapter, GgufFile.Open(path));
            }
            catch (InputFileException failure) when (failure.FilePath.StartsWith(adapter, StringComparison.Ordinal))
            {
                throw new InputFileException(path, failure.Message);
            }
        }
    }

    [Fact]
    public void A_pattern_that_never_ends_is_refused_after_a_second()
    {
        PeftFolder peft = new PeftFolder().Module($"{Block}mlp.{new string('a', 40)}", W, F).Set("target_modules", "(.*a)+(.*a)+(.*a)+b");
        Refused(peft, TinyModel.Separate(), "takes too long to match");
    }

    private static PeftFolder AllModules()
    {
        var peft = new PeftFolder();
        (int, int)[] sizes = [(W, Q), (W, K), (W, K), (Q, W), (W, F), (W, F), (F, W)];
        foreach (((string module, _), (int inputs, int outputs)) in Pairs().Zip(sizes)) peft.Module(module, inputs, outputs);
        return peft;
    }

    private static (string Module, string Name)[] Pairs() =>
    [
        ($"{Block}self_attn.q_proj", "blk.1.attn_q.weight"), ($"{Block}self_attn.k_proj", "blk.1.attn_k.weight"),
        ($"{Block}self_attn.v_proj", "blk.1.attn_v.weight"), ($"{Block}self_attn.o_proj", "blk.1.attn_output.weight"),
        ($"{Block}mlp.gate_proj", "blk.1.ffn_gate.weight"), ($"{Block}mlp.up_proj", "blk.1.ffn_up.weight"),
        ($"{Block}mlp.down_proj", "blk.1.ffn_down.weight"),
    ];

    private LoraAdapter Open(PeftFolder peft, GgufBuilder model) => AdapterReader.Open(peft.Write(_folder), Model(model));

    private GgufFile Model(GgufBuilder model) => GgufFile.Open(model.Write(_folder));

    private void Refused(PeftFolder peft, GgufBuilder model, params string[] expected)
    {
        string message = Refusal(peft.Write(_folder), Model(model));
        Assert.DoesNotContain('\n', message);
        Assert.All(expected, part => Assert.Contains(part, message));
    }

    private static string Refusal(string path, GgufFile model)
    {
        var failure = Assert.Throws<InputFileException>(() => AdapterReader.Open(path, model));
        Assert.StartsWith(path, failure.Message);
        return failure.Message;
    }

    private static float[] Row(float[] b, int row, int rank = 2) => b[(row * rank)..((row + 1) * rank)];

    private static void Copy(double[,] source, double[,] destination, int firstRow)
    {
        for (int row = 0; row < source.GetLength(0); row++)
            for (int column = 0; column < source.GetLength(1); column++) destination[firstRow + row, column] = source[row, column];
    }

    private static double[,] Cut(double[,] source, int firstRow, int rows)
    {
        var result = new double[rows, source.GetLength(1)];
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < source.GetLength(1); column++) result[row, column] = source[firstRow + row, column];
        return result;
    }
}
