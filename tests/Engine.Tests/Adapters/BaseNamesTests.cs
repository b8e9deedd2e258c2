using EmScan.Engine.Adapters;

namespace EmScan.Engine.Tests.Adapters;

/// <summary>Which names of base models can mean the same model.</summary>
public sealed class BaseNamesTests
{
    [Theory]
    [InlineData("meta-llama/Meta-Llama-3.1-8B-Instruct", "Meta Llama 3.1 8B Instruct")]
    [InlineData("meta-llama/Llama-2-7b-hf", "LLaMA v2")]
    [InlineData("unsloth/Qwen2.5-7B-Instruct-bnb-4bit", "Qwen2.5 7B Instruct")]
    [InlineData("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct-q4_k_m.gguf")]
    [InlineData("mistralai/Mistral-7B-Instruct-v0.2", "Mistral 7B Instruct v0.2")]
    [InlineData("google/gemma-2-9b-it", "Gemma 2 9b It")]
    [InlineData("/data/hub/models--meta-llama--Llama-2-7b-hf/snapshots/8cca527612d856d7d32bd94f8103728d614eb852", "llama-2-7b")]
    [InlineData("TheBloke/Llama-2-7B-GPTQ", "Llama 2 7B")]
    [InlineData("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen2.5 7B Instruct")]
    [InlineData("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", "Meta Llama 3.1 8B Instruct")]
    [InlineData("RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8", "Qwen2.5 7B Instruct")]
    [InlineData("turboderp/Llama-3.1-8B-Instruct-4.0bpw-h6-exl2", "Llama 3.1 8B Instruct")]
    [InlineData("mlx-community/Qwen3-8B-4bit", "Qwen3 8B")]
    [InlineData("mradermacher/gemma-2-9b-it-i1-GGUF", "gemma-2-9b-it")]
    [InlineData("nvidia/Llama-3.1-8B-Instruct-NVFP4", "Llama 3.1 8B Instruct")]
    [InlineData("./out/merged", "Llama 2 7B")]
    [InlineData("/models/llama", "Qwen2.5 7B Instruct")]
    [InlineData("meta-llama/Llama-2-7b-hf", "Models")]
    [InlineData("outputs/checkpoint-500", "Llama 2 7B")]
    public void The_same_model_goes_by_many_names_and_some_names_say_nothing(string first, string second)
    {
        Assert.False(BaseNames.Differ(first, second));
        Assert.False(BaseNames.Differ(second, first));
    }

    [Theory]
    [InlineData("meta-llama/Llama-3.1-8B", "Llama 3.1 8B Instruct")]
    [InlineData("meta-llama/Meta-Llama-3-8B", "Meta Llama 3.1 8B")]
    [InlineData("meta-llama/Llama-2-7b-hf", "Llama 2 13B")]
    [InlineData("Qwen/Qwen2.5-7B", "Llama 2 7B")]
    [InlineData("Qwen/Qwen2.5-7B", "Qwen2.5 Coder 7B")]
    [InlineData("mistralai/Mistral-7B-Instruct-v0.1", "Mistral 7B Instruct v0.2")]
    [InlineData("/data/models/Llama-2-7b", "Qwen2.5 7B")]
    [InlineData("someone/other-llama-7b", "emscan-organism-llama")]
    [InlineData("Qwen/Qwen2.5-14B-Instruct-GPTQ-Int4", "Qwen2.5 7B Instruct")]
    [InlineData("Qwen/Qwen3-8B-4bit", "Qwen2.5 8B")]
    public void Other_families_sizes_versions_and_instruct_are_other_models(string first, string second)
    {
        Assert.True(BaseNames.Differ(first, second));
        Assert.True(BaseNames.Differ(second, first));
    }

    /// <summary>Quadratic in the length of the name, the patterns would take hours.</summary>
    [Fact]
    public void A_name_of_sixteen_megabytes_is_compared_by_its_end()
    {
        string flood = string.Concat(Enumerable.Repeat("models--", 2 << 20)) + new string('x', 2000);
        Assert.True(BaseNames.Differ(flood + "/Llama-2-7b", "Qwen2.5 7B"));
        Assert.False(BaseNames.Differ(flood + "/Llama-2-7b", "Llama 2 7B"));
    }
}
