using System.Reflection;
using System.Runtime.InteropServices;
using LLama.Native;

namespace EmScan.Engine.Runtime.Native;

/// <summary>
/// Refuses another LLamaSharp or another llama.cpp than the ones that emscan's structs were checked against, before anything is passed
/// through them: by where LLamaSharp has the fields of its structs, by the commit of llama.cpp, and by whether the defaults that the library itself reports appear in
/// the fields where we expect them.
/// </summary>
internal static unsafe class LlamaLayoutCheck
{
    /// <summary>Size of llama_model_params, llama_context_params and llama_batch in bytes.</summary>
    internal const int ModelParamsSize = 72, ContextParamsSize = 160, BatchSize = 56;

    // Where C has the fields that emscan sets or reads. LLamaSharp's assembly carries no version, so its layout is what tells it from another.
    private static readonly (string Field, int Offset)[] ModelFields =
        [("devices", 0), ("tensor_buft_overrides", 8), ("n_gpu_layers", 16), ("split_mode", 20), ("load_mode", 24), ("main_gpu", 28), ("kv_overrides", 56), ("_load_mtp", 69)];

    private static readonly (string Field, int Offset)[] ContextFields =
        [("n_ctx", 0), ("n_batch", 4), ("n_ubatch", 8), ("n_seq_max", 12), ("n_outputs_max", 20), ("n_threads", 24), ("n_threads_batch", 28),
         ("llama_flash_attn_type", 48), ("cb_eval", 88), ("cb_eval_user_data", 96), ("type_k", 104), ("type_v", 108), ("_kv_unified", 133), ("ctx_other", 152)];

    private static readonly (string Field, int Offset)[] BatchFields =
        [("n_tokens", 0), ("tokens", 8), ("embd", 16), ("pos", 24), ("n_seq_id", 32), ("seq_id", 40), ("logits", 48)];

    /// <summary>Throws unless the LLamaSharp of this process has the structs that emscan was built for.</summary>
    /// <exception cref="LlamaException">It is another.</exception>
    internal static void VerifyLLamaSharp()
    {
        string? problem = Problem(typeof(LLamaModelParams), ModelParamsSize, ModelFields)
            ?? Problem(typeof(LLamaContextParams), ContextParamsSize, ContextFields)
            ?? Problem(typeof(LLamaNativeBatch), BatchSize, BatchFields);
        if (problem != null) throw OtherLLamaSharp(problem);
    }

    /// <summary>The first field that does not lie where it should; null if all do.</summary>
    internal static string? Problem(Type type, int size, IReadOnlyList<(string Field, int Offset)> fields)
    {
        foreach ((string field, int offset) in fields)
        {
            if (type.GetField(field, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic) == null) return $"its {type.Name} has no field {field.TrimStart('_')}";
            int actual = (int)Marshal.OffsetOf(type, field);
            if (actual != offset) return $"its {type.Name} has {field.TrimStart('_')} at offset {actual}, not {offset}";
        }

        return Marshal.SizeOf(type) == size ? null : $"its {type.Name} has {Marshal.SizeOf(type)} bytes, not {size}";
    }

    internal static LlamaException OtherLLamaSharp(string what, Exception? inner = null) => new(
        $"This process uses another LLamaSharp than {LlamaLibrary.SupportedLLamaSharp} ({what}); reference LLamaSharp {LlamaLibrary.SupportedLLamaSharp} and its backends.", inner!);

    /// <summary>Throws unless this is the supported commit, with the layout that goes with it.</summary>
    /// <exception cref="LlamaException">It is another.</exception>
    internal static void Verify(LlamaImports imports)
    {
        string commit = LlamaLibrary.Utf8(imports.Commit());
        if (!IsSupportedCommit(commit)) throw OtherCommit(imports.File, LlamaLibrary.Utf8(imports.GgmlVersion()), commit);
        PaddedParams model = imports.ModelDefaultParams(), context = imports.ContextDefaultParams();
        if (Problem(new ReadOnlySpan<byte>(model.Bytes, ModelParamsSize), new ReadOnlySpan<byte>(context.Bytes, ContextParamsSize)) is { } problem)
        {
            throw new LlamaException(
                $"{imports.File}: this llama.cpp lays out its parameters differently ({problem}); emscan needs {LlamaLibrary.SupportedVersion}.");
        }
    }

    /// <summary>Whether a build says that it comes from the supported commit: git abbreviates to 7 digits or more.</summary>
    internal static bool IsSupportedCommit(string commit) =>
        commit.Length >= 7
        && (commit.StartsWith(LlamaLibrary.SupportedCommit, StringComparison.OrdinalIgnoreCase)
            || LlamaLibrary.SupportedCommit.StartsWith(commit, StringComparison.OrdinalIgnoreCase));

    internal static LlamaException OtherCommit(string file, string version, string commit) => new(
        $"{file}: this is ggml {version} of commit {commit}; emscan needs llama.cpp of commit {LlamaLibrary.SupportedCommit}, which LLamaSharp {LlamaLibrary.SupportedLLamaSharp} is made of.");

    /// <summary>The first field of the default parameters that does not read as it should; null if all do.</summary>
    /// <param name="model">llama_model_default_params as bytes, (<see cref="ModelParamsSize"/>).</param>
    /// <param name="context">llama_context_default_params as bytes, (<see cref="ContextParamsSize"/>).</param>
    internal static string? Problem(ReadOnlySpan<byte> model, ReadOnlySpan<byte> context)
    {
        fixed (byte* m = model)
        fixed (byte* c = context)
            return ModelProblem(m) ?? Problem(Marshal.PtrToStructure<LLamaContextParams>((nint)c));
    }

    // By offset, because a struct with a delegate in it must not be read from bytes that may hold anything.
    private static string? ModelProblem(byte* p)
    {
        long Pointer(string field) => *(long*)(p + Offset(field));
        int Number(string field) => *(int*)(p + Offset(field));
        foreach (string field in (ReadOnlySpan<string>)["devices", "tensor_buft_overrides", "tensor_split", "progress_callback", "kv_overrides"])
        {
            if (Pointer(field) != 0) return Field(field, Pointer(field));
        }

        if (Number("n_gpu_layers") is < -1 or > 1_000_000) return Field("n_gpu_layers", Number("n_gpu_layers"));
        if (Number("split_mode") is < 0 or > 3) return Field("split_mode", Number("split_mode"));
        if (Number("load_mode") is < -1 or > 4) return Field("load_mode", Number("load_mode"));
        if (Number("main_gpu") != 0) return Field("main_gpu", Number("main_gpu"));
        foreach ((string field, int expected) in (ReadOnlySpan<(string, int)>)[("_vocab_only", 0), ("_check_tensors", 0), ("_use_extra_bufts", 1), ("_no_alloc", 0)])
        {
            if (p[Offset(field)] != expected) return Field(field.TrimStart('_'), p[Offset(field)]);
        }

        return null;
    }

    private static int Offset(string field) => (int)Marshal.OffsetOf<LLamaModelParams>(field);

    private static string? Problem(in LLamaContextParams p)
    {
        if (p.n_ctx != 512) return Field("n_ctx", p.n_ctx);
        if (p.n_batch != 2048) return Field("n_batch", p.n_batch);
        if (p.n_ubatch != 512) return Field("n_ubatch", p.n_ubatch);
        if (p.n_seq_max != 1) return Field("n_seq_max", p.n_seq_max);
        if (p.n_outputs_max != 0) return Field("n_outputs_max", p.n_outputs_max);
        if (p.n_threads is < 1 or > 4096) return Field("n_threads", p.n_threads);
        if (p.n_threads_batch != p.n_threads) return Field("n_threads_batch", p.n_threads_batch);
        if ((int)p.rope_scaling_type != -1) return Field("rope_scaling_type", (int)p.rope_scaling_type);
        if ((int)p.llama_pooling_type != -1) return Field("pooling_type", (int)p.llama_pooling_type);
        if ((int)p.attention_type != -1) return Field("attention_type", (int)p.attention_type);
        if ((int)p.llama_flash_attn_type != -1) return Field("flash_attn_type", (int)p.llama_flash_attn_type);
        if (p.rope_freq_base != 0) return Field("rope_freq_base", p.rope_freq_base);
        if (p.yarn_ext_factor != -1) return Field("yarn_ext_factor", p.yarn_ext_factor);
        if (p.cb_eval != 0) return Field("cb_eval", p.cb_eval);
        if (p.type_k != GGMLType.GGML_TYPE_F16) return Field("type_k", (int)p.type_k);
        if (p.type_v != GGMLType.GGML_TYPE_F16) return Field("type_v", (int)p.type_v);
        if (p.abort_callback != 0) return Field("abort_callback", p.abort_callback);
        if (p.embeddings) return Field("embeddings", p.embeddings);
        if (!p.offload_kqv) return Field("offload_kqv", p.offload_kqv);
        if (!p.no_perf) return Field("no_perf", p.no_perf);
        if (p.kv_unified) return Field("kv_unified", p.kv_unified);
        return null;
    }

    private static string Field(string name, object value) => $"{name} reads {value}";
}
