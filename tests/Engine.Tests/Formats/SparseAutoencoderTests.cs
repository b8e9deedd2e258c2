using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Kernels;

namespace EmScan.Engine.Tests.Formats;

/// <summary>Sparse autoencoders as SAELens saves them.</summary>
public sealed class SparseAutoencoderTests : IDisposable
{
    private const string Plain = """
        {"architecture": "standard", "d_in": 3, "d_sae": 2, "activation_fn": "relu", "hook_name": "blocks.4.hook_resid_post", "apply_b_dec_to_input": true, "normalize_activations": "none"}
        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Weights_are_transposed_and_the_decoders_bias_is_folded_in()
    {
        SparseAutoencoder read = SparseAutoencoder.Read(Write(Plain));
        Assert.Equal((4, 3, 2, SparseActivation.Relu), (read.Layer, read.Encoder.Dimension, read.Encoder.Latents, read.Encoder.Activation));
        Assert.Equal([1f, 3f, 5f, 2f, 4f, 6f], read.Encoder.Weights.ToArray());

        // b_enc - b_dec W_enc = (0.5, -0.5) - (1 * 1 + 2 * 3 + 3 * 5, 1 * 2 + 2 * 4 + 3 * 6)
        Assert.Equal([-21.5f, -28.5f], read.Encoder.Bias.ToArray());
        Assert.Equal(read.Digest, SparseAutoencoder.Read(Path.Combine(Write(Plain), "sae_weights.safetensors")).Digest);
        Assert.NotEqual(read.Digest, SparseAutoencoder.Read(Write(Plain.Replace("input\": true", "input\": false", StringComparison.Ordinal))).Digest);
    }

    [Theory]
    [InlineData("\"activation_fn\": \"relu\"", "\"activation_fn_str\": \"topk\", \"activation_fn_kwargs\": {\"k\": 2}", SparseActivation.TopK)]
    [InlineData("\"standard\"", "\"topk\", \"k\": 2", SparseActivation.TopK)]
    [InlineData("\"standard\"", "\"jumprelu\"", SparseActivation.JumpRelu)]
    public void Other_activations(string from, string to, SparseActivation expected)
    {
        SparseAutoencoder read = SparseAutoencoder.Read(Write(Plain.Replace(from, to, StringComparison.Ordinal)));
        Assert.Equal((expected, expected == SparseActivation.TopK ? 2 : 0), (read.Encoder.Activation, read.Encoder.K));
        Assert.Equal(expected == SparseActivation.JumpRelu ? [0.25f, 0.75f] : [], read.Encoder.Thresholds.ToArray());
    }

    [Theory]
    [InlineData("blocks.4.hook_resid_post", "blocks.5.hook_resid_pre", 4)]
    [InlineData("\"hook_name\": \"blocks.4.hook_resid_post\"", "\"metadata\": {\"hook_name\": \"blocks.7.hook_resid_post\"}", 7)]
    public void Where_it_reads(string from, string to, int layer) =>
        Assert.Equal(layer, SparseAutoencoder.Read(Write(Plain.Replace(from, to, StringComparison.Ordinal))).Layer);

    [Theory]
    [InlineData("standard", "gated", "architecture \"gated\"")]
    [InlineData("\"relu\"", "\"tanh\"", "activation \"tanh\"")]
    [InlineData("\"none\"", "\"layer_norm\"", "normalises activations (\"layer_norm\")")]
    [InlineData("\"d_in\": 3", "\"finetuning_scaling_factor\": true", "finetuning scaling factor")]
    [InlineData("hook_resid_post", "hook_mlp_out", "only the residual stream after a block")]
    [InlineData("blocks.4.hook_resid_post", "blocks.0.hook_resid_pre", "only the residual stream after a block")]
    [InlineData("hook_name", "hook", "does not say its \"hook_name\"")]
    [InlineData("\"standard\"", "\"topk\"", "does not say how many latents are kept")]
    [InlineData("\"standard\"", "\"topk\", \"k\": 3", "keeps 3 latents of 2")]
    [InlineData("input\": true", "input\": 1", "neither true nor false")]
    [InlineData("}", "", "not valid JSON")]
    public void What_cannot_be_read_is_named(string from, string to, string expected) => Assert.Contains(
        expected, Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(Write(Plain.Replace(from, to, StringComparison.Ordinal)))).Message, StringComparison.Ordinal);

    [Fact]
    public void Missing_and_odd_tensors_are_named()
    {
        string folder = Write(Plain, ("W_enc", [6], new float[6]));
        Assert.Contains("\"W_enc\" has the shape (6)", Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(folder)).Message, StringComparison.Ordinal);
        folder = Write(Plain, ("W_enc", [3, 2], new float[6]), ("b_enc", [3], new float[3]));
        Assert.Contains("\"b_enc\" has 3 numbers where 2", Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(folder)).Message, StringComparison.Ordinal);
        folder = Write(Plain, ("W_enc", [3, 2], [1, 2, 3, 4, 5, float.NaN]));
        Assert.Contains("NaN", Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(folder)).Message, StringComparison.Ordinal);
        folder = Write(Plain, ("w", [1], [1]));
        Assert.Contains("no tensor \"W_enc\"", Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(folder)).Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(folder, "cfg.json"));
        Assert.Contains("cfg.json: does not exist", Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(folder)).Message, StringComparison.Ordinal);
        Assert.Contains("does not exist", Assert.Throws<InputFileException>(() => SparseAutoencoder.Read(_folder["nothing"])).Message, StringComparison.Ordinal);
    }

    private string Write(string configuration, params (string, long[], float[])[] tensors)
    {
        string folder = _folder["sae"];
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), configuration);
        SafetensorsWriter.Write(
            Path.Combine(folder, "sae_weights.safetensors"),
            tensors.Length > 0 ? tensors :
            [
                ("W_enc", [3, 2], [1, 2, 3, 4, 5, 6]), ("b_enc", [2], [0.5f, -0.5f]), ("b_dec", [3], [1, 2, 3]), ("threshold", [2], [0.25f, 0.75f]),
                ("W_dec", [2, 3], new float[6]),
            ],
            new Dictionary<string, string>());
        return folder;
    }
}
