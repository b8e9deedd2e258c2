using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// What an adapter's files say of it, without a model: which modules it changes, by how much, for which base, and what about it is odd.
/// </summary>
/// <remarks>
/// <para>Files are read tensor by tensor; nothing but one pair of matrices is in memory at a time. Immutable, thread safe.</para>
/// <para>Modules that no language model has (a vision tower) are listed like the others; whether an adapter can be applied exactly is
/// decided by <see cref="AdapterReader"/>.</para>
/// </remarks>
internal sealed class AdapterSurvey
{
    private AdapterSurvey(
        string path, int tensorCount, long byteCount, IReadOnlyList<AdaptedModule> modules, double? alpha, string? baseModel, string? baseRevision,
        PeftConfig? config, IReadOnlyList<string> blockPrefixes, IEnumerable<Remark> remarks)
    {
        Path = path;
        TensorCount = tensorCount;
        ByteCount = byteCount;
        Modules = modules;
        Alpha = alpha;
        BaseModel = baseModel;
        BaseRevision = baseRevision;
        Config = config;
        BlockPrefixes = blockPrefixes;
        Rank = modules.Count == 0 ? 0 : modules.GroupBy(m => m.Rank).OrderByDescending(g => g.Count()).ThenBy(g => g.Key).First().Key;
        Blocks = [.. modules.Select(m => m.Block).OfType<int>().Distinct().Order()];
        var byBlock = new SortedDictionary<int, double>();
        foreach (AdaptedModule module in modules)
        {
            double square = module.Values?.SquaredNorm ?? 0;
            SquaredNorm += square;
            if (module.Block is { } block) byBlock[block] = byBlock.GetValueOrDefault(block) + square;
        }

        SquaredNormByBlock = byBlock;
        HasValues = modules.Count > 0 && modules[0].Values != null;
        Doubts = [.. AdapterDoubts.OfFile(this), .. remarks];
    }

    /// <summary>The PEFT folder or LoRA GGUF file.</summary>
    public string Path { get; }

    /// <summary>Tensors in the file, those that are no low-rank matrices included.</summary>
    public int TensorCount { get; }

    /// <summary>Bytes of the file with the weights.</summary>
    public long ByteCount { get; }

    /// <summary>Every pair of low-rank matrices, in the file's order.</summary>
    public IReadOnlyList<AdaptedModule> Modules { get; }

    /// <summary>The rank that most modules have; 0 when there is no module.</summary>
    public int Rank { get; }

    /// <summary>lora_alpha, or adapter.lora.alpha of a GGUF file; null where that does not say it.</summary>
    public double? Alpha { get; }

    /// <summary>target_modules as the configuration has it: "all-linear", a regular expression, or names; null for GGUF files.</summary>
    public string? Targets => Config?.TargetText;

    /// <summary>The base model by the adapter's own account: base_model_name_or_path, or general.base_model.0.* of a GGUF file.</summary>
    public string? BaseModel { get; }

    /// <summary>revision of the base model, or general.base_model.0.version.</summary>
    public string? BaseRevision { get; }

    /// <summary>The blocks that it changes, ascending.</summary>
    public IReadOnlyList<int> Blocks { get; }

    /// <summary>Whether the numbers were read; without them norms and shares are unknown.</summary>
    public bool HasValues { get; }

    /// <summary>Sum over all modules of ||delta W||_F^2, delta W = (alpha / R) B A, in the model's weight units; 0 without values.</summary>
    public double SquaredNorm { get; }

    /// <summary>The same by block.</summary>
    public IReadOnlyDictionary<int, double> SquaredNormByBlock { get; }

    /// <summary>True when the values were read and every delta W is exactly zero.</summary>
    public bool ChangesNothing => HasValues && SquaredNorm == 0;

    /// <summary>Share of the rows of all B that are exactly zero, 0 to 1; null without values.</summary>
    public double? ZeroRowShare => HasValues ? (double)Modules.Sum(m => m.Values!.ZeroRowsOfB) / Modules.Sum(m => m.Outputs) : null;

    /// <summary>What makes a verdict on this adapter doubtful, from its files alone: it is incomplete, or empty.</summary>
    public IReadOnlyList<Remark> Doubts { get; }

    internal PeftConfig? Config { get; }

    /// <summary>What stands before a block's number in PEFT's names of the language model's modules: "model.layers.", usually the only one.</summary>
    internal IReadOnlyList<string> BlockPrefixes { get; }

    /// <summary>
    /// Share of the squared norm of delta W that the residual stream after a layer can show: the input embeddings and blocks 0 to
    /// <paramref name="layer"/>. The output head and modules outside the language model are seen by no layer and count as hidden.
    /// </summary>
    /// <param name="layer">A layer; blocks counted from 0.</param>
    /// <returns>0 to 1; null when the values were not read, are not finite, or are all zero.</returns>
    public double? VisibleShare(int layer)
    {
        if (!HasValues || !(SquaredNorm > 0) || !double.IsFinite(SquaredNorm)) return null;
        bool Hidden(AdaptedModule m) => m.Place is ModulePlace.Head or ModulePlace.Elsewhere || m.Block > layer;

        // From what is hidden, so that a share of 1 is exactly 1 when nothing is.
        double hidden = Modules.Where(Hidden).Sum(m => m.Values!.SquaredNorm);
        return hidden == 0 ? 1 : Math.Clamp(1 - hidden / SquaredNorm, 0, 1);
    }

    /// <summary>Reads an adapter's files.</summary>
    /// <param name="path">A PEFT folder, a file in one, or a LoRA GGUF file.</param>
    /// <param name="values">False reads the headers only: names and shapes, but no norms and no rows.</param>
    /// <exception cref="InputFileException">A file is missing or damaged, or this is no LoRA adapter.</exception>
    public static AdapterSurvey Read(string path, bool values = true) => Read(path, (_, measure) => values ? measure() : null);

    /// <summary>Reads the headers only, and takes what the numbers say from an earlier survey of the same content.</summary>
    /// <param name="path">As for <see cref="Read(string, bool)"/>.</param>
    /// <param name="values">Values of all modules, in the order of <see cref="Modules"/>.</param>
    /// <returns>Null when they are not of this adapter: there are more or fewer modules.</returns>
    /// <exception cref="InputFileException">A file is missing or damaged, or this is no LoRA adapter.</exception>
    internal static AdapterSurvey? Read(string path, IReadOnlyList<ModuleValues> values)
    {
        AdapterSurvey survey = Read(path, (module, _) => module < values.Count ? values[module] : null);
        return survey.Modules.Count == values.Count ? survey : null;
    }

    private static AdapterSurvey Read(string path, Func<int, Func<ModuleValues>, ModuleValues?> values)
    {
        ArgumentNullException.ThrowIfNull(path);
        return AdapterReader.PeftFolder(path) is { } folder ? ReadPeft(path, folder, values) : ReadGguf(path, values);
    }

    private static AdapterSurvey ReadPeft(string path, string folder, Func<int, Func<ModuleValues>, ModuleValues?> values)
    {
        string weightsPath = PeftAdapterReader.RequireFiles(folder);
        PeftConfig config = PeftConfig.Read(System.IO.Path.Combine(folder, PeftAdapterReader.ConfigName));
        using var weights = SafetensorsFile.Open(weightsPath);
        var pairs = new OrderedDictionary<string, (SafetensorsTensor? A, SafetensorsTensor? B)>();
        foreach (SafetensorsTensor tensor in weights.Tensors.Values)
        {
            if (PeftNames.LowRank(tensor.Name) is not (var module, _, var isA) || tensor.Shape.Length != 2) continue;
            pairs.TryGetValue(module, out (SafetensorsTensor? A, SafetensorsTensor? B) pair);
            pairs[module] = isA ? pair with { A = tensor } : pair with { B = tensor };
        }

        var modules = new List<AdaptedModule>();
        var lonely = new List<string>();
        var prefixes = new SortedSet<string>(StringComparer.Ordinal);
        foreach ((string module, (SafetensorsTensor? a, SafetensorsTensor? b)) in pairs)
        {
            if (a == null || b == null || a.Shape[0] != b.Shape[1] || a.Shape[0] is 0 or > int.MaxValue)
            {
                lonely.Add(module);
                continue;
            }

            int rank = (int)a.Shape[0];
            double scale = config.AlphaOf(module) / (config.RankStabilised ? Math.Sqrt(rank) : rank);
            ModuleValues? measured = values(modules.Count, () => Measure(weights.ReadFloat32(a.Name), weights.ReadFloat32(b.Name), rank, scale, transposed: false));
            string name = PeftNames.Canonical(module);
            (ModulePlace place, int? block, string kind) = PlaceOf(name);
            modules.Add(new AdaptedModule(name, place, block, kind, rank, a.Shape[1], b.Shape[0], measured));
            if (block != null) prefixes.Add(module[..^(kind.Length + 1 + name.Split('.')[1].Length)]);
        }

        return new AdapterSurvey(
            path, weights.Tensors.Count, new FileInfo(weightsPath).Length, modules, config.Alpha, config.BaseModel, config.BaseRevision, config, [.. prefixes], Unpaired(lonely));
    }

    private static AdapterSurvey ReadGguf(string path, Func<int, Func<ModuleValues>, ModuleValues?> values)
    {
        var file = GgufFile.Open(path);
        if (file.GetText("general.type") != "adapter")
            throw new InputFileException(path, "is a GGUF file, but not a LoRA adapter; a model is given as the model");
        double? alpha = GgufLoraReader.FindAlpha(file);
        var modules = new List<AdaptedModule>();
        var lonely = new List<string>();
        foreach (GgufTensor a in file.Tensors.Values.Where(t => t.Name.EndsWith(GgufLoraReader.SuffixA, StringComparison.Ordinal) && t.Ne.Length <= 2))
        {
            string target = a.Name[..^GgufLoraReader.SuffixA.Length];
            bool embedding = target == WeightName.TokenEmbedding;
            (long rank, long inputs) = embedding ? (a.Dimension(0), a.Dimension(1)) : (a.Dimension(1), a.Dimension(0));
            if (!file.Tensors.TryGetValue(target + GgufLoraReader.SuffixB, out GgufTensor? b) || b.Dimension(0) != rank || b.Ne.Length > 2 || rank > int.MaxValue)
            {
                lonely.Add(target);
                continue;
            }

            // llama.cpp's rule: alpha = 0, or none, means a factor of 1.
            double scale = alpha is null or 0 ? 1 : alpha.Value / rank;
            ModuleValues? measured = values(modules.Count, () => Measure(file.ReadFloat32(a), file.ReadFloat32(b), (int)rank, scale, embedding));
            (ModulePlace place, int? block, string kind) = PlaceOfWeight(target);
            modules.Add(new AdaptedModule(target, place, block, kind, (int)rank, inputs, b.Dimension(1), measured));
        }

        return new AdapterSurvey(
            path, file.Tensors.Count, new FileInfo(path).Length, modules, alpha, BaseNames.OfAdapter(file), file.FindText("general.base_model.0.version"),
            null, [], Unpaired(lonely));
    }

    private static IEnumerable<Remark> Unpaired(List<string> modules)
    {
        if (modules.Count == 0) return [];
        string more = modules.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $" and {modules.Count - 1} more") : "";
        return [new Remark("unpaired-matrices", $"{InputFile.OneLine(modules[0])}{more} has no matching lora_A and lora_B in the file")];
    }

    private static ModuleValues Measure(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int rank, double scale, bool transposed)
    {
        double square = transposed ? LowRankProduct.SquaredNormTransposed(a, b, rank) : LowRankProduct.SquaredNorm(a, b, rank);
        (long zeroInputs, int zeroComponents) = transposed ? Swap(ZeroLines(a, rank)) : ZeroLines(a, a.Length / rank);
        return new ModuleValues(scale * scale * square, ZeroLines(b, rank).Rows, zeroComponents, zeroInputs);

        // Of A as it lies in memory: rows are components of the rank, columns are inputs; transposed it is the other way round.
        static (long, int) Swap((int Columns, int Rows) zeros) => (zeros.Rows, zeros.Columns);
    }

    // Columns and rows of a row-major matrix that are exactly zero.
    private static (int Columns, int Rows) ZeroLines(ReadOnlySpan<float> matrix, int width)
    {
        var seen = new bool[width];
        bool all = false;
        int rows = 0;
        for (int start = 0; start < matrix.Length; start += width)
        {
            ReadOnlySpan<float> row = matrix.Slice(start, width);
            if (!row.ContainsAnyExcept(0f)) rows++;
            else if (!all && !(all = !row.Contains(0f)))
                for (int i = 0; i < width; i++) seen[i] |= row[i] != 0;
        }

        return (all ? 0 : seen.AsSpan().Count(false), rows);
    }

    private static (ModulePlace Place, int? Block, string Kind) PlaceOf(string canonical)
    {
        if (PeftNames.InBlock(canonical) is (var block, var kind)) return (ModulePlace.Block, block, kind);
        return AdapterLayout.IsEmbedding(canonical) ? (ModulePlace.Embedding, null, canonical)
            : AdapterLayout.IsHead(canonical) ? (ModulePlace.Head, null, canonical)
            : (ModulePlace.Elsewhere, null, canonical);
    }

    private static (ModulePlace Place, int? Block, string Kind) PlaceOfWeight(string weight)
    {
        if (weight == WeightName.TokenEmbedding) return (ModulePlace.Embedding, null, weight);
        if (weight == WeightName.Output) return (ModulePlace.Head, null, weight);
        return WeightName.InBlock(weight) is var (block, kind) ? (ModulePlace.Block, block, kind) : (ModulePlace.Elsewhere, null, weight);
    }
}
