using EmScan.Engine.Formats;

namespace EmScan.Engine.Tests.Formats;

public sealed class WeightNameTests
{
    [Theory]
    [InlineData("blk.3.attn_q.weight", 3, "attn_q")]
    [InlineData("blk.12.ffn_gate_exps.weight.lora_a", 12, "ffn_gate_exps.weight.lora_a")]
    [InlineData("blk.0.attn_norm", 0, "attn_norm")]
    public void A_weight_of_a_block_has_its_number_and_its_kind(string name, int block, string kind) => Assert.Equal((block, kind), WeightName.InBlock(name));

    [Theory]
    [InlineData("token_embd.weight")]
    [InlineData("output.weight")]
    [InlineData("blk.3")]
    [InlineData("blk.-1.attn_q.weight")]
    [InlineData("blk. 3.attn_q.weight")]
    [InlineData("blk.x.attn_q.weight")]
    [InlineData("layers.3.attn_q.weight")]
    public void All_others_are_in_no_block(string name) => Assert.Null(WeightName.BlockOf(name));
}
