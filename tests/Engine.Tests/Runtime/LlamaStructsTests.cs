using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using EmScan.Engine.Runtime;
using EmScan.Engine.Runtime.Native;
using LLama.Native;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>Every struct that crosses the border to llama.cpp 815a2a591, LLamaSharp's own included: its size and the offset of every field.</summary>
public sealed class LlamaStructsTests
{
    [Fact]
    public void Sizes_are_those_of_the_C_structs()
    {
        Assert.Equal(72, Marshal.SizeOf<LLamaModelParams>());
        Assert.Equal(160, Unsafe.SizeOf<LLamaContextParams>());
        Assert.Equal(56, Unsafe.SizeOf<LLamaNativeBatch>());
        Assert.Equal(336, Unsafe.SizeOf<GgmlTensor>());
    }

    [Theory]
    [InlineData("devices", 0)]
    [InlineData("tensor_buft_overrides", 8)]
    [InlineData("n_gpu_layers", 16)]
    [InlineData("split_mode", 20)]
    [InlineData("load_mode", 24)]
    [InlineData("main_gpu", 28)]
    [InlineData("tensor_split", 32)]
    [InlineData("progress_callback", 40)]
    [InlineData("progress_callback_user_data", 48)]
    [InlineData("kv_overrides", 56)]
    [InlineData("_vocab_only", 64)]
    [InlineData("_check_tensors", 65)]
    [InlineData("_use_extra_bufts", 66)]
    [InlineData("_no_host", 67)]
    [InlineData("_no_alloc", 68)]
    [InlineData("_load_mtp", 69)]
    public void Model_parameters_lie_where_C_has_them(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<LLamaModelParams>(field));

    [Theory]
    [InlineData("n_ctx", 0)]
    [InlineData("n_batch", 4)]
    [InlineData("n_ubatch", 8)]
    [InlineData("n_seq_max", 12)]
    [InlineData("n_rs_seq", 16)]
    [InlineData("n_outputs_max", 20)]
    [InlineData("n_threads", 24)]
    [InlineData("n_threads_batch", 28)]
    [InlineData("context_type", 32)]
    [InlineData("rope_scaling_type", 36)]
    [InlineData("llama_pooling_type", 40)]
    [InlineData("attention_type", 44)]
    [InlineData("llama_flash_attn_type", 48)]
    [InlineData("rope_freq_base", 52)]
    [InlineData("rope_freq_scale", 56)]
    [InlineData("yarn_ext_factor", 60)]
    [InlineData("yarn_attn_factor", 64)]
    [InlineData("yarn_beta_fast", 68)]
    [InlineData("yarn_beta_slow", 72)]
    [InlineData("yarn_orig_ctx", 76)]
    [InlineData("defrag_threshold", 80)]
    [InlineData("cb_eval", 88)]
    [InlineData("cb_eval_user_data", 96)]
    [InlineData("type_k", 104)]
    [InlineData("type_v", 108)]
    [InlineData("abort_callback", 112)]
    [InlineData("abort_callback_user_data", 120)]
    [InlineData("_embeddings", 128)]
    [InlineData("_offload_kqv", 129)]
    [InlineData("_no_perf", 130)]
    [InlineData("_op_offload", 131)]
    [InlineData("_swa_full", 132)]
    [InlineData("_kv_unified", 133)]
    [InlineData("samplers", 136)]
    [InlineData("n_samplers", 144)]
    [InlineData("ctx_other", 152)]
    public void Context_parameters_lie_where_C_has_them(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<LLamaContextParams>(field));

    [Theory]
    [InlineData("n_tokens", 0)]
    [InlineData("tokens", 8)]
    [InlineData("embd", 16)]
    [InlineData("pos", 24)]
    [InlineData("n_seq_id", 32)]
    [InlineData("seq_id", 40)]
    [InlineData("logits", 48)]
    public void Batch_fields_lie_where_C_has_them(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<LLamaNativeBatch>(field));

    [Theory]
    [InlineData("Type", 0)]
    [InlineData("Buffer", 8)]
    [InlineData("ElementCounts", 16)]
    [InlineData("ByteStrides", 48)]
    [InlineData("Data", 248)]
    [InlineData("Name", 256)]
    public void Tensor_fields_lie_where_C_has_them(string field, int offset) => Assert.Equal(offset, (int)Marshal.OffsetOf<GgmlTensor>(field));

    [Fact]
    public void The_library_reports_its_defaults_where_we_read_them()
    {
        (byte[] model, byte[] context) = Defaults();
        Assert.Null(LlamaLayoutCheck.Problem(model, context));
        LlamaLayoutCheck.Verify(LlamaLibrary.Load().Imports);
    }

    [Fact]
    public void A_library_whose_fields_are_shifted_is_refused()
    {
        // What an older llama.cpp would return: the same defaults without one four-byte field, so that all behind it move up.
        (byte[] model, byte[] context) = Defaults();
        for (int removed = 0; removed < 52; removed += 4)
            Assert.NotNull(LlamaLayoutCheck.Problem(model, [.. context[..removed], .. context[(removed + 4)..], 0, 0, 0, 0]));
        foreach (int removed in (int[])[0, 8, 16, 24])
            Assert.NotNull(LlamaLayoutCheck.Problem([.. model[..removed], .. model[(removed + 8)..], 0, 0, 0, 0, 0, 0, 0, 0], context));
    }

    [Fact]
    public void Another_LLamaSharp_is_refused_with_a_sentence()
    {
        LlamaLayoutCheck.VerifyLLamaSharp();
        Assert.Null(LlamaLayoutCheck.Problem(typeof(Newer), 16, [("n_ctx", 0), ("n_threads", 12)]));
        Assert.Equal("its Newer has n_threads at offset 12, not 8", LlamaLayoutCheck.Problem(typeof(Newer), 16, [("n_ctx", 0), ("n_threads", 8)]));
        Assert.Equal("its Newer has no field n_ubatch", LlamaLayoutCheck.Problem(typeof(Newer), 16, [("n_ctx", 0), ("n_ubatch", 8)]));
        Assert.Equal("its Newer has 16 bytes, not 12", LlamaLayoutCheck.Problem(typeof(Newer), 12, [("n_ctx", 0)]));
        Assert.Contains("another LLamaSharp than 0.30.0 (it is new); reference LLamaSharp 0.30.0", LlamaLayoutCheck.OtherLLamaSharp("it is new").Message);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Newer
    {
        internal long n_ctx;
        internal int n_more;
        internal int n_threads;
    }

    [Theory]
    [InlineData("815a2a591", true)]
    [InlineData("815a2a5", true)]
    [InlineData("815A2A591C0FFEE", true)]
    [InlineData("815a2", false)]
    [InlineData("815a2a592", false)]
    [InlineData("c0c7e147e", false)]
    [InlineData("unknown", false)]
    [InlineData("", false)]
    public void One_commit_of_llama_cpp_is_supported_however_git_abbreviates_it(string commit, bool supported) =>
        Assert.Equal(supported, LlamaLayoutCheck.IsSupportedCommit(commit));

    [Theory]
    [InlineData("libllama.so", "llama", true)]
    [InlineData("libllama.so.0", "llama", true)]
    [InlineData("libllama.v0.5.0.so", "llama", true)]
    [InlineData("libllama-common.so", "llama", false)]
    [InlineData("libggml-cpu.so", "ggml", false)]
    [InlineData("libggml-base.so", "ggml-base", true)]
    [InlineData(null, "llama", false)]
    public void Libraries_are_known_by_their_file_name(string? file, string library, bool expected) =>
        Assert.Equal(expected, LibraryFile.Is(file, library, "lib", ".so"));

    private static unsafe (byte[] Model, byte[] Context) Defaults()
    {
        LlamaImports imports = LlamaLibrary.Load().Imports;
        PaddedParams model = imports.ModelDefaultParams(), context = imports.ContextDefaultParams();
        return (new Span<byte>(model.Bytes, LlamaLayoutCheck.ModelParamsSize).ToArray(), new Span<byte>(context.Bytes, LlamaLayoutCheck.ContextParamsSize).ToArray());
    }
}
