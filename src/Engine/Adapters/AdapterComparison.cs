using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Whether two files hold the same adapter: byte for byte, or the same matrices in another container or type, as llama.cpp's conversion
/// makes them. When in doubt they are different, and both are measured.
/// </summary>
internal sealed class AdapterComparison
{
    // Settings that PEFT and its users change without changing what the weights mean.
    private static readonly string[] Harmless = ["inference_mode", "auto_mapping", "peft_version", "task_type", "base_model_name_or_path", "revision", "lora_dropout", "runtime_config"];

    private static readonly (string Peft, string Gguf)[] Modules =
    [
        ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
    ];

    private readonly Dictionary<string, string> _samples = [];

    internal bool Same(FoundAdapter left, FoundAdapter right)
    {
        try
        {
            if (left.IsFile != right.IsFile) return SameMatrices(left, right);
            if (!left.IsFile) return SameBytes(Weights(left), Weights(right)) && SameConfig(left.Path, right.Path);
            return SameBytes(left.Path, right.Path) || SameMatrices(left, right);
        }
        catch (Exception e) when (e is InputFileException or IOException or UnauthorizedAccessException)
        {
            // A damaged adapter is equal to nothing; the scan reports it in its own row.
            return false;
        }
    }

    private static string Weights(FoundAdapter adapter) => Path.Combine(adapter.Path, PeftAdapterReader.WeightsName);

    private bool SameBytes(string left, string right)
    {
        if (Sample(left) != Sample(right)) return false;
        using SafeFileHandle a = InputFile.Open(left, out long length), b = InputFile.Open(right, out long other);
        if (length != other) return false;
        byte[] x = new byte[1 << 16], y = new byte[1 << 16];
        for (long at = 0; at < length; at += x.Length)
        {
            int count = (int)Math.Min(x.Length, length - at);
            InputFile.ReadExactly(a, left, x.AsSpan(0, count), at);
            InputFile.ReadExactly(b, right, y.AsSpan(0, count), at);
            if (!x.AsSpan(0, count).SequenceEqual(y.AsSpan(0, count))) return false;
        }

        return true;
    }

    /// <summary>Length and a few pieces of a file: tells most that differ without reading them whole.</summary>
    private string Sample(string path)
    {
        if (_samples.TryGetValue(path, out string? known)) return known;
        const int Pieces = 8;
        using SafeFileHandle handle = InputFile.Open(path, out long length);
        byte[] pieces = new byte[Pieces * 512];
        for (int i = 0; i < Pieces; i++)
        {
            long at = Math.Max(0, (length - 512) * i / (Pieces - 1));
            InputFile.ReadExactly(handle, path, pieces.AsSpan(i * 512, (int)Math.Min(512, length - at)), at);
        }

        return _samples[path] = $"{length}:{Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(pieces))}";
    }

    private static bool SameConfig(string left, string right) => JsonNode.DeepEquals(Effective(left), Effective(right));

    private static JsonObject? Effective(string folder)
    {
        string path = Path.Combine(folder, PeftAdapterReader.ConfigName);
        if (!File.Exists(path)) return null;
        JsonObject config;
        try
        {
            config = JsonNode.Parse(TextInput.ToUtf8(InputFile.ReadSmall(path, 16 << 20))) as JsonObject ?? throw new InputFileException(path, "is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new InputFileException(path, "is not valid JSON", e);
        }

        foreach (string key in Harmless) config.Remove(key);

        // target_modules is a set in PEFT, written in any order.
        foreach ((string key, JsonNode? value) in config.ToArray())
        {
            if (value is JsonArray list && list.All(v => v?.GetValueKind() == JsonValueKind.String))
                config[key] = new JsonArray([.. list.Select(v => v!.GetValue<string>()).Order(StringComparer.Ordinal).Select(v => (JsonNode)v)]);
        }

        return config;
    }

    // ---- the same matrices in another container ----

    private static bool SameMatrices(FoundAdapter left, FoundAdapter right)
    {
        using Matrices? a = Matrices.Open(left), b = Matrices.Open(right);
        if (a == null || b == null || a.Names.Count == 0 || !a.Names.SetEquals(b.Names)) return false;
        double tolerance = Math.Max(a.Tolerance, b.Tolerance);
        return a.Names.All(name => SameMatrix(name, a.Read(name), b.Read(name), tolerance));
    }

    private static bool SameMatrix(string name, Matrix a, Matrix b, double tolerance)
    {
        if (a.Rows != b.Rows || a.Columns != b.Columns || Math.Abs(a.Scale - b.Scale) > 1e-6 * Math.Abs(a.Scale)) return false;
        double largest = a.Values.Max(Math.Abs);
        if (!name.EndsWith("lora_b", StringComparison.Ordinal) || (!name.Contains("attn_q.", StringComparison.Ordinal) && !name.Contains("attn_k.", StringComparison.Ordinal)))
            return a.Values.Zip(b.Values).All(pair => Math.Abs(pair.First - pair.Second) <= tolerance * largest);

        // The conversion reorders the rows of these two: compared by what no order changes, the sums and square sums of each column.
        for (int column = 0; column < a.Columns; column++)
        {
            (double sumA, double squareA, double sizeA) = Column(a, column);
            (double sumB, double squareB, double sizeB) = Column(b, column);
            if (Math.Abs(sumA - sumB) > tolerance * Math.Max(sizeA, sizeB) || Math.Abs(squareA - squareB) > 4 * tolerance * Math.Max(squareA, squareB)) return false;
        }

        return true;
    }

    private static (double Sum, double Square, double Size) Column(Matrix m, int column)
    {
        double sum = 0, square = 0, size = 0;
        for (int row = 0; row < m.Rows; row++)
        {
            double value = m.Values[(row * m.Columns) + column];
            sum += value;
            square += value * value;
            size += Math.Abs(value);
        }

        return (sum, square, size);
    }

    private readonly record struct Matrix(int Rows, int Columns, float[] Values, double Scale);

    /// <summary>The low-rank matrices of an adapter under llama.cpp's names; null for one that has others.</summary>
    private sealed class Matrices : IDisposable
    {
        private readonly Func<string, Matrix> _read;
        private readonly IDisposable? _file;

        private Matrices(HashSet<string> names, double tolerance, Func<string, Matrix> read, IDisposable? file) =>
            (Names, Tolerance, _read, _file) = (names, tolerance, read, file);

        internal HashSet<string> Names { get; }

        /// <summary>Half a unit in the last place of the stored type, relative to the largest value, with room for a second rounding.</summary>
        internal double Tolerance { get; }

        internal Matrix Read(string name) => _read(name);

        internal static Matrices? Open(FoundAdapter adapter) => adapter.IsFile ? OfGguf(adapter.Path) : OfPeft(adapter.Path);

        private static Matrices? OfGguf(string path)
        {
            var file = GgufFile.Open(path);
            if (GgufLoraReader.FindAlpha(file) is not { } alpha || file.Tensors.Count == 0 || file.Tensors.Values.Any(t => t.Ne.Length != 2)) return null;
            double tolerance = file.Tensors.Values.Max(t => ToleranceOf(t.Type.Name));
            return new Matrices([.. file.Tensors.Keys], tolerance, name =>
            {
                GgufTensor tensor = file.Tensors[name];
                long rank = name.EndsWith("lora_a", StringComparison.Ordinal) ? tensor.Ne[1] : tensor.Ne[0];
                return new Matrix((int)tensor.Ne[1], (int)tensor.Ne[0], file.ReadFloat32(tensor), alpha == 0 ? 1 : alpha / rank);
            }, null);
        }

        private static Matrices? OfPeft(string folder)
        {
            var config = PeftConfig.Read(Path.Combine(folder, PeftAdapterReader.ConfigName));
            var file = SafetensorsFile.Open(Path.Combine(folder, PeftAdapterReader.WeightsName));
            var names = new Dictionary<string, (SafetensorsTensor Tensor, string Module)>();
            foreach (SafetensorsTensor tensor in file.Tensors.Values)
            {
                if (tensor.Shape.Length != 2 || Translate(tensor.Name) is not { } name || !names.TryAdd(name.Gguf, (tensor, name.Module)))
                {
                    file.Dispose();
                    return null;
                }
            }

            double tolerance = file.Tensors.Values.Select(t => ToleranceOf(t.DType)).DefaultIfEmpty(0).Max();
            return new Matrices([.. names.Keys], tolerance, name =>
            {
                (SafetensorsTensor tensor, string module) = names[name];
                long rank = name.EndsWith("lora_a", StringComparison.Ordinal) ? tensor.Shape[0] : tensor.Shape[1];
                double alpha = config.AlphaOf(module);
                return new Matrix((int)tensor.Shape[0], (int)tensor.Shape[1], file.ReadFloat32(tensor.Name), config.RankStabilised ? alpha / Math.Sqrt(rank) : alpha / rank);
            }, file);
        }

        // base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight is blk.3.attn_q.weight.lora_a
        private static (string Gguf, string Module)? Translate(string tensor)
        {
            if (PeftNames.LowRank(tensor) is not (var module, _, var isA) || PeftNames.InBlock(PeftNames.Canonical(module)) is not (var block, var kind)) return null;
            string? gguf = Modules.FirstOrDefault(m => m.Peft == kind).Gguf;
            return gguf == null ? null : ($"blk.{block}.{gguf}.weight.lora_{(isA ? "a" : "b")}", module);
        }

        private static double ToleranceOf(string type) => type.ToUpperInvariant() switch
        {
            "F64" or "F32" => 1e-6,
            "F16" => 1.0 / 1024,
            "BF16" => 1.0 / 128,
            _ => 1.0 / 64,
        };

        public void Dispose() => _file?.Dispose();
    }
}
