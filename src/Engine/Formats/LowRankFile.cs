using System.Globalization;

namespace EmScan.Engine.Formats;

/// <summary>The changed weights of an adapter, read one at a time and without a model: dW = s B A, in the adapter's own order of rows.</summary>
/// <remarks>
/// Of a PEFT folder rows are those of the training framework, of a LoRA GGUF file those of the converted model; where these differ, adapters of both
/// kinds cannot be compared (<see cref="RowOrder"/>). Safe to use from several threads.
/// </remarks>
internal sealed class LowRankFile : IDisposable
{
    private static readonly Dictionary<string, string> ShortNames = new()
    {
        ["self_attn.q_proj"] = "q",
        ["self_attn.k_proj"] = "k",
        ["self_attn.v_proj"] = "v",
        ["self_attn.o_proj"] = "o",
        ["mlp.gate_proj"] = "gate",
        ["mlp.up_proj"] = "up",
        ["mlp.down_proj"] = "down",
        ["attn_q"] = "q",
        ["attn_k"] = "k",
        ["attn_v"] = "v",
        ["attn_output"] = "o",
        ["ffn_gate"] = "gate",
        ["ffn_up"] = "up",
        ["ffn_down"] = "down",
    };

    private readonly Func<LowRankModule, (float[] A, float[] B)> _read;
    private readonly IDisposable? _file;

    private LowRankFile(string path, string rowOrder, List<LowRankModule> modules, Func<LowRankModule, (float[] A, float[] B)> read, IDisposable? file)
    {
        (Path, RowOrder, _read, _file) = (path, rowOrder, read, file);
        Modules = [.. modules.OrderBy(m => m.Block ?? int.MaxValue).ThenBy(m => m.Name, StringComparer.Ordinal)];
    }

    /// <summary>What was opened.</summary>
    internal string Path { get; }

    /// <summary>Names the order of rows: only adapters of one order have coordinates in common.</summary>
    internal string RowOrder { get; }

    /// <summary>The base model by the adapter's own account, or null.</summary>
    internal string? BaseModel { get; private init; }

    /// <summary>Every changed weight, by block; at least one.</summary>
    internal IReadOnlyList<LowRankModule> Modules { get; }

    /// <summary>Opens an adapter and checks its names and shapes.</summary>
    /// <param name="path">A PEFT folder, a file in one, or a LoRA GGUF file.</param>
    /// <exception cref="InputFileException">It is missing, damaged, incomplete, or no plain LoRA.</exception>
    internal static LowRankFile Open(string path) => AdapterReader.PeftFolder(path) is { } folder ? OpenPeft(folder) : OpenGguf(path);

    /// <summary>A (R, I) and B (O, R) of a weight, row-major.</summary>
    /// <exception cref="InputFileException">They cannot be read, or hold values that are not finite.</exception>
    internal (float[] A, float[] B) Read(LowRankModule module) => _read(module);

    private static LowRankFile OpenPeft(string folder)
    {
        var config = PeftConfig.Read(System.IO.Path.Combine(folder, PeftAdapterReader.ConfigName));
        PeftAdapterReader.RefuseOtherChanges(folder, config);
        string path = System.IO.Path.Combine(folder, PeftAdapterReader.WeightsName);
        SafetensorsFile file = SafetensorsFile.Open(path);
        try
        {
            var pairs = new OrderedDictionary<string, (SafetensorsTensor? A, SafetensorsTensor? B)>();
            foreach (SafetensorsTensor tensor in file.Tensors.Values)
            {
                if (PeftNames.LowRank(tensor.Name) is not (var module, _, var isA))
                {
                    // A frozen copy of the embeddings says nothing new.
                    if (tensor.Name.EndsWith(".base_layer.weight", StringComparison.Ordinal)) continue;
                    throw InputFile.BadTensor(path, tensor.Name, "is no low-rank matrix; only plain LoRA can be looked at");
                }

                if (tensor.Shape.Length != 2) throw InputFile.BadTensor(path, tensor.Name, $"has shape {tensor.ShapeText}; a matrix is expected");
                pairs.TryGetValue(module, out (SafetensorsTensor? A, SafetensorsTensor? B) pair);
                pairs[module] = isA ? pair with { A = tensor } : pair with { B = tensor };
            }

            if (pairs.Count == 0) throw new InputFileException(path, "holds no LoRA tensors");
            var modules = new List<LowRankModule>();
            foreach ((string module, (SafetensorsTensor? a, SafetensorsTensor? b)) in pairs)
            {
                if (a == null || b == null) throw InputFile.BadTensor(path, (a ?? b)!.Name, $"has no lora_{(a == null ? "A" : "B")} beside it; the adapter is incomplete");
                if (a.Shape[0] != b.Shape[1]) throw InputFile.BadTensor(path, a.Name, $"has rank {a.Shape[0]} but its lora_B has rank {b.Shape[1]}");
                int rank = Size(path, a.Name, a.Shape[0]);
                double scale = config.AlphaOf(module) / (config.RankStabilised ? Math.Sqrt(rank) : rank);
                string canonical = PeftNames.Canonical(module);
                (int Block, string Kind)? place = PeftNames.InBlock(canonical);
                modules.Add(new LowRankModule(
                    place is { } at ? Name(at.Block, at.Kind) : canonical, place?.Block, rank, Size(path, a.Name, a.Shape[1]), Size(path, b.Name, b.Shape[0]), scale, a.Name, b.Name));
            }

            return new LowRankFile(folder, "PEFT", modules, m => (Finite(m.TensorA), Finite(m.TensorB)), file) { BaseModel = config.BaseModel };

            float[] Finite(string name) => InputFile.RequireFinite(path, name, file.ReadFloat32(name));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static LowRankFile OpenGguf(string path)
    {
        InputUse.Adapters.Require(path);
        GgufFile file = GgufFile.Open(path);
        double alpha = GgufLoraReader.FindAlpha(file) ?? throw new InputFileException(path, $"does not say its {GgufLoraReader.AlphaKey}");
        var modules = new List<LowRankModule>();
        foreach (GgufTensor a in file.Tensors.Values.Where(t => t.Name.EndsWith(GgufLoraReader.SuffixA, StringComparison.Ordinal)))
        {
            string target = a.Name[..^GgufLoraReader.SuffixA.Length];
            if (!file.Tensors.TryGetValue(target + GgufLoraReader.SuffixB, out GgufTensor? b)) throw InputFile.BadTensor(path, a.Name, "has no lora_b beside it; the adapter is incomplete");
            if (a.Ne.Length != 2 || b.Ne.Length != 2) throw InputFile.BadTensor(path, a.Name, "is not one of a pair of matrices");
            bool embedding = IsEmbedding(target);
            (long rank, long inputs) = embedding ? (a.Ne[0], a.Ne[1]) : (a.Ne[1], a.Ne[0]);
            if (rank != b.Ne[0]) throw InputFile.BadTensor(path, a.Name, $"has rank {rank} but its lora_b has rank {b.Ne[0]}");

            // llama.cpp's rule: alpha = 0 means a factor of 1.
            double scale = alpha == 0 ? 1 : alpha / rank;
            (int Block, string Kind)? place = WeightName.InBlock(target);
            modules.Add(new LowRankModule(place is var (block, kind) ? Name(block, kind) : target, place?.Block, Size(path, a.Name, rank), Size(path, a.Name, inputs), Size(path, b.Name, b.Ne[1]), scale, a.Name, b.Name));
        }

        if (modules.Count == 0) throw new InputFileException(path, "holds no LoRA tensors");
        return new LowRankFile(path, AdapterLayout.KeepsRows(file.Architecture) ? "PEFT" : $"GGUF {file.Architecture}", modules, m =>
        {
            float[] a = Finite(m.TensorA);
            return (IsEmbedding(m.TensorA[..^GgufLoraReader.SuffixA.Length]) ? LoraGgufWriter.Transpose(a, m.Inputs) : a, Finite(m.TensorB));
        }, null);

        float[] Finite(string name) => InputFile.RequireFinite(path, name, file.ReadFloat32(file.Tensors[name]));
    }

    private static bool IsEmbedding(string target) => target == WeightName.TokenEmbedding;

    private static string Name(int block, string kind) => string.Create(CultureInfo.InvariantCulture, $"blk.{block}.{ShortNames.GetValueOrDefault(kind, kind)}");

    private static int Size(string path, string tensor, long size) =>
        size is > 0 and <= int.MaxValue ? (int)size : throw InputFile.BadTensor(path, tensor, $"has a side of {size}, which no matrix here can have");

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file?.Dispose();
}

/// <summary>A changed weight of an adapter.</summary>
/// <param name="Name">"blk.3.q" for a weight of a block, else its name in the adapter.</param>
/// <param name="Block">The block, or null.</param>
/// <param name="Rank">R.</param>
/// <param name="Inputs">Columns of A.</param>
/// <param name="Outputs">Rows of B.</param>
/// <param name="Scale">s.</param>
/// <param name="TensorA">Name of A in the file.</param>
/// <param name="TensorB">Name of B.</param>
internal sealed record LowRankModule(string Name, int? Block, int Rank, int Inputs, int Outputs, double Scale, string TensorA, string TensorB)
{
    /// <summary>Coordinates of dW.</summary>
    internal long Coordinates => (long)Inputs * Outputs;
}
