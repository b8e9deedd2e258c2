using System.Text.Json.Nodes;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Formats;
using EmScan.Engine.Tests.Support;
using TinyModel = EmScan.Engine.Tests.Support.TinyModel;

namespace EmScan.Engine.Tests.Adapters;

/// <summary>What an adapter's files say without a model, and what its model says is missing.</summary>
public sealed class AdapterSurveyTests : IDisposable
{
    private const int Layers = 4;

    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _model = new(seed: 3, layers: Layers);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Norms_by_block_equal_the_products_computed_in_full_and_a_layer_sees_those_up_to_its_block()
    {
        var adapter = new TinyAdapter(_model, seed: 5, rank: 3, alpha: 7, projections: ["q_proj", "o_proj", "down_proj"]);
        AdapterSurvey survey = AdapterSurvey.Read(adapter.Write(_folder["a"]));
        double[] byBlock = new double[Layers];
        foreach ((string module, double[] delta) in adapter.Deltas()) byBlock[int.Parse(module.Split('.')[2])] += delta.Sum(x => x * x);
        for (int block = 0; block < Layers; block++)
        {
            // Sums of float32 values in float64, in another order.
            Assert.Equal(byBlock[block], survey.SquaredNormByBlock[block], 1e-9 * byBlock[block]);
            Assert.Equal(byBlock[..(block + 1)].Sum() / byBlock.Sum(), survey.VisibleShare(block)!.Value, 1e-12);
        }

        Assert.Equal(1, survey.VisibleShare(Layers - 1));
        Assert.Equal((3, 7.0, "down_proj, o_proj, q_proj", "tiny", 24), (survey.Rank, survey.Alpha, survey.Targets, survey.BaseModel, survey.TensorCount));
        Assert.Equal([0, 1, 2, 3], survey.Blocks);
        Assert.Empty(survey.Doubts);
        Assert.Null(AdapterSurvey.Read(_folder["a"], values: false).VisibleShare(0));
    }

    [Fact]
    public void A_LoRA_GGUF_file_says_the_same_as_the_folder_it_was_made_from()
    {
        GgufFile model = Gguf();
        PeftFolder peft = Everything().Set("use_rslora", true);
        string folder = peft.Module("lm_head", 32, 64).Module("model.embed_tokens", 64, 32).Set("target_modules", ".*_proj|lm_head|.*embed_tokens").Write(_folder);
        LoraGgufWriter.Write(_folder["lora.gguf"], AdapterReader.Open(folder, model));
        AdapterSurvey expected = AdapterSurvey.Read(folder), actual = AdapterSurvey.Read(_folder["lora.gguf"]);
        for (int layer = 0; layer < Layers; layer++)
            Assert.Equal(expected.VisibleShare(layer)!.Value, actual.VisibleShare(layer)!.Value, 1e-6);
        Assert.Equal(expected.SquaredNorm, actual.SquaredNorm, 1e-6 * expected.SquaredNorm);

        // The head is behind every layer, the embeddings in front of each.
        Assert.InRange(expected.VisibleShare(Layers - 1)!.Value, 0.1, 0.99);
        double seen = expected.Modules.Where(m => m.Place != ModulePlace.Head).Sum(m => m.Values!.SquaredNorm) / expected.SquaredNorm;
        Assert.Equal(seen, expected.VisibleShare(Layers - 1)!.Value, 1e-12);
        Assert.Empty(actual.Doubts);
    }

    [Theory]
    [InlineData(8, true)]
    [InlineData(2, true)]
    [InlineData(1, false)]
    public void Rows_of_zeros_in_every_lora_B_are_shards_that_were_not_saved(int ranks, bool doubted)
    {
        AdapterSurvey survey = Damaged((name, values) =>
        {
            if (name.Contains("lora_B")) values.AsSpan(values.Length / ranks).Clear();
        });
        Assert.Equal(doubted ? ["zero-rows"] : [], survey.Doubts.Select(d => d.Code));
        if (doubted) Assert.Contains($"{100 - (100.0 / ranks):0.#}% of the rows of lora_B are exactly zero in every module", survey.Doubts[0].Text);
    }

    [Fact]
    public void Columns_of_zeros_in_lora_A_are_shards_as_well_where_the_inputs_were_split()
    {
        // Tensor parallel training splits the rows of the first projections and the columns of those behind them.
        AdapterSurvey survey = Damaged((name, values) =>
        {
            bool byInput = name.Contains("o_proj");
            if (name.Contains("lora_B") && !byInput) values.AsSpan(values.Length / 4).Clear();
            if (!name.Contains("lora_A") || !byInput) return;
            for (int i = 0; i < values.Length; i++) values[i] = i % 32 < 8 ? values[i] : 0;
        });
        Assert.Equal(["zero-rows"], survey.Doubts.Select(d => d.Code));
        Assert.Contains("75% of the rows or columns are exactly zero in every module", survey.Doubts[0].Text);
    }

    [Fact]
    public void Modules_that_stayed_as_they_began_beside_trained_ones_are_named()
    {
        AdapterSurvey survey = Damaged((name, values) =>
        {
            if (name.Contains("lora_B") && (name.Contains(".layers.0.") || name.Contains(".layers.1."))) values.AsSpan().Clear();
        });
        Assert.Equal(["untrained-modules"], survey.Doubts.Select(d => d.Code));
        Assert.Contains("lora_B is exactly zero in 4 of 8 modules (blocks 0 and 1)", survey.Doubts[0].Text);
        Assert.Equal(0, survey.VisibleShare(1));
    }

    [Fact]
    public void An_adapter_without_effect_is_normal_only_at_the_first_steps()
    {
        AdapterSurvey survey = Damaged((name, values) =>
        {
            if (name.Contains("lora_B")) values.AsSpan().Clear();
        });
        Assert.True(survey.ChangesNothing);
        Assert.Null(survey.VisibleShare(2));
        Assert.Equal(1, survey.ZeroRowShare);
        GgufFile model = Gguf();
        Assert.Empty(AdapterDoubts.Of(survey, CheckpointStep.At(0), model));
        Assert.Empty(AdapterDoubts.Of(survey, CheckpointStep.At(AdapterDoubts.LastUntrainedStep), model));
        Assert.Equal("nothing-trained", Assert.Single(AdapterDoubts.Of(survey, CheckpointStep.At(60), model)).Code);
        Assert.Equal("nothing-trained", Assert.Single(AdapterDoubts.Of(survey, CheckpointStep.Final, model)).Code);
    }

    [Fact]
    public void An_alpha_of_zero_is_a_doubt_at_any_step()
    {
        string path = Everything().Set("lora_alpha", 0).Write(_folder);
        AdapterSurvey survey = AdapterSurvey.Read(path);
        Assert.True(survey.ChangesNothing);
        Assert.Contains("lora_alpha is 0", Assert.Single(AdapterDoubts.Of(survey, CheckpointStep.At(0), Gguf())).Text);
        path = Everything().Set("alpha_pattern", new JsonObject { ["layers.1.self_attn.q_proj"] = 0 }).Write(_folder, "pattern");
        Assert.Contains("alpha_pattern", Assert.Single(AdapterSurvey.Read(path).Doubts).Text);
    }

    public static TheoryData<string?, JsonNode?, string?> Configurations() => new()
    {
        // The file holds q_proj and down_proj of blocks 0 to 3: what the configuration names beyond that is missing.
        { null, new JsonArray("q_proj", "down_proj"), null },
        { null, new JsonArray("q_proj", "down_proj", "o_proj"), "no o_proj in blocks 0 to 3" },
        { null, "all-linear", "no k_proj, v_proj, o_proj, gate_proj, up_proj in blocks 0 to 3" },
        { null, @"model\.layers\.\d+\.(self_attn\.(q|v)_proj|mlp\.down_proj)", "no v_proj in blocks 0 to 3" },
        { null, @".*layers\.(0|2)\.self_attn\.v_proj|.*\.(q|down)_proj", "no v_proj in blocks 0, 2" },
        { null, new JsonArray("q_proj", "down_proj", "lm_head"), "no lm_head" },

        // Names for modules of other models are common in lists, and mean nothing for this one.
        { null, new JsonArray("q_proj", "down_proj", "query_key_value", "c_attn", "qkv_proj", "fc2", "gate_up_proj"), null },
        { "exclude_modules", new JsonArray("v_proj", "o_proj"), null },
        { "layers_to_transform", new JsonArray(0, 1, 2, 3), null },
    };

    [Theory]
    [MemberData(nameof(Configurations))]
    public void What_the_configuration_names_and_the_file_lacks_is_missing(string? key, JsonNode? value, string? missing)
    {
        PeftFolder folder = Modules(["self_attn.q_proj", "mlp.down_proj"], [0, 1, 2, 3]);
        folder.Set("target_modules", key == "exclude_modules" ? new JsonArray("q_proj", "down_proj", "v_proj", "o_proj")
            : key == null ? value!.DeepClone() : new JsonArray("q_proj", "down_proj"));
        if (key != null) folder.Set(key, value!.DeepClone());
        IReadOnlyList<Remark> doubts = AdapterDoubts.Of(AdapterSurvey.Read(folder.Write(_folder)), CheckpointStep.At(100), Gguf());
        if (missing == null) Assert.Empty(doubts);
        else Assert.Contains($"incomplete: the file holds {missing}, which target_modules", Assert.Single(doubts).Text);
    }

    [Theory]
    [InlineData("[2, 3]", null)]
    [InlineData("[1, 2, 3]", "nothing for block 1")]
    [InlineData("[2]", null)]
    [InlineData(null, "nothing for blocks 0 and 1")]
    public void Blocks_that_the_configuration_names_and_the_file_lacks_are_missing_with_a_model_or_without(string? layers, string? missing)
    {
        int[] held = layers == "[2]" ? [2] : [2, 3];
        PeftFolder folder = Modules(["self_attn.q_proj"], held).Set("target_modules", new JsonArray("q_proj"));
        if (layers != null) folder.Set("layers_to_transform", JsonNode.Parse(layers));
        AdapterSurvey survey = AdapterSurvey.Read(folder.Write(_folder));
        foreach (IReadOnlyList<Remark> doubts in new[] { survey.Doubts, AdapterDoubts.Of(survey, CheckpointStep.At(100), Gguf()) })
        {
            if (missing == null) Assert.Empty(doubts);
            else Assert.Contains(missing, Assert.Single(doubts).Text);
        }
    }

    [Fact]
    public void The_last_stage_of_a_pipeline_is_known_to_be_missing_by_the_model_alone()
    {
        AdapterSurvey survey = AdapterSurvey.Read(Modules(["self_attn.q_proj"], [0, 1]).Set("target_modules", new JsonArray("q_proj")).Write(_folder));
        Assert.Empty(survey.Doubts);
        Assert.Contains("nothing for blocks 2 and 3", Assert.Single(AdapterDoubts.Of(survey, CheckpointStep.At(100), Gguf())).Text);
    }

    [Fact]
    public void The_checkpoints_of_a_run_are_compared_with_each_other()
    {
        AdapterSurvey[] run =
        [
            Survey("a", ["self_attn.q_proj", "self_attn.v_proj"], [0, 1, 2, 3]),
            Survey("b", ["self_attn.q_proj", "self_attn.v_proj"], [0, 1]),
            Survey("c", ["self_attn.q_proj", "self_attn.v_proj"], [0, 1, 2, 3]),
            Survey("d", ["self_attn.q_proj", "self_attn.v_proj"], [0, 1, 2, 3], rank: 3),
        ];
        var comparison = new RunComparison();
        foreach (AdapterSurvey survey in run) comparison.Add(survey);
        Remark[][] doubts = [.. run.Select(survey => comparison.Doubts(survey).ToArray())];
        Assert.Equal([0, 1, 0, 1], doubts.Select(d => d.Length));
        Assert.Contains("lacks 4 modules that other checkpoints of its run have, layers.2.self_attn.", doubts[1][0].Text);
        Assert.Contains("has rank 3 and alpha 8, where other checkpoints of its run have rank 2 and alpha 8", doubts[3][0].Text);
    }

    [Fact]
    public void Rows_that_were_trained_once_and_are_zero_later_were_lost()
    {
        AdapterSurvey Zeroed(int rows, int seed) => Damaged((name, values) =>
        {
            if (name.Contains("lora_B")) values.AsSpan(0, rows * 4).Clear();
        }, seed);
        AdapterSurvey[] run = [Zeroed(8, 1), Zeroed(0, 2), Zeroed(8, 3)];
        var comparison = new RunComparison();
        foreach (AdapterSurvey survey in run) comparison.Add(survey);
        Assert.Equal(["", "", "lost-rows"], run.Select(survey => string.Concat(comparison.Doubts(survey).Select(d => d.Code))));
    }

    private PeftFolder Everything() => Modules(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"], [0, 1, 2, 3]);

    private PeftFolder Modules(string[] kinds, int[] blocks, int rank = 2)
    {
        var folder = new PeftFolder();
        foreach (int block in blocks)
        {
            foreach (string kind in kinds)
            {
                (int rows, int columns) = _model.ShapeOf($"model.layers.{block}.{kind}");
                folder.Module($"model.layers.{block}.{kind}", columns, rows, rank);
            }
        }

        return folder.Set("r", rank);
    }

    private AdapterSurvey Survey(string name, string[] kinds, int[] blocks, int rank = 2) => AdapterSurvey.Read(Modules(kinds, blocks, rank).Write(_folder, name));

    private AdapterSurvey Damaged(Action<string, float[]> damage, int seed = 5) => AdapterSurvey.Read(
        new TinyAdapter(_model, seed, rank: 4, projections: ["q_proj", "o_proj"]) { Damage = damage }.Write(_folder[$"damaged-{seed}"]));

    private GgufFile Gguf()
    {
        string path = _folder["model.gguf"];
        if (!File.Exists(path)) _model.WriteGguf(path);
        return GgufFile.Open(path);
    }
}
