using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Formats;

/// <summary>Tells what a file or folder is from its first bytes, its keys and the names of its tensors, whatever it is called.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="What">The same for a sentence, after "is": "a control vector in GGUF (repeng, llama.cpp)".</param>
/// <remarks>
/// Reads the head of a file (1 MiB) and a GGUF or safetensors header, never weights. A file that cannot be read or that is damaged is
/// never an error here: its own reader says what is wrong. Thread safe.
/// </remarks>
internal sealed record RecognisedFile(FileKind Kind, string What)
{
    private const int HeadBytes = 1 << 20;

    private static readonly (string Magic, string What)[] Archives =
    [
        ("PK\x03\x04", "a zip archive"), ("PK\x05\x06", "an empty zip archive"), ("\x1f\x8b", "a gzip archive (.gz, .tgz)"), ("BZh", "a bzip2 archive"),
        ("\xfd7zXZ\0", "an xz archive"), ("\x28\xb5\x2f\xfd", "a zstd archive"), ("7z\xbc\xaf\x27\x1c", "a 7z archive"), ("Rar!", "a rar archive"),
    ];

    private static readonly (string Magic, string What)[] Binaries =
    [
        ("\x89HDF\r\n", "an HDF5 file (Keras weights)"), ("PAR1", "a Parquet table"), ("SQLite format 3\0", "an SQLite database"), ("%PDF", "a PDF"),
        ("\x7f" + "ELF", "a program or shared library"), ("MZ", "a Windows program or library"), ("\x89PNG", "a picture"), ("ARROW1", "an Arrow table"),
    ];

    // llama.cpp's formats of 2023, as their magic numbers lie in the file.
    private static readonly (string Magic, string What)[] OldFormats =
    [
        ("lmgg", "a GGML file of 2023, older than GGUF"), ("fmgg", "a GGMF file of 2023, older than GGUF"), ("tjgg", "a GGJT file of 2023, older than GGUF"),
        ("algg", "a LoRA adapter in GGLA, a format of 2023 older than GGUF"), ("nsgg", "a saved session of llama.cpp"), ("qsgg", "a saved state of llama.cpp"),
    ];

    /// <summary>Recognises a file or folder.</summary>
    public static RecognisedFile Of(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (Directory.Exists(path)) return OfFolder(path);
        if (!File.Exists(path)) return new(FileKind.Missing, "not there");
        try
        {
            using SafeFileHandle handle = InputFile.Open(path, out long length);
            if (length == 0) return new(FileKind.Empty, "empty (0 bytes)");
            byte[] head = new byte[Math.Min(length, HeadBytes)];
            InputFile.ReadExactly(handle, path, head, 0);
            return OfBytes(path, head, length);
        }
        catch (InputFileException)
        {
            // Cannot be read: the reader of the file meets the same and says so.
            return new(FileKind.Unknown, "a file that cannot be read");
        }
    }

    /// <summary>Recognises GGUF whose header is read already.</summary>
    public static RecognisedFile Of(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        string type = Text(file, "general.type"), architecture = Text(file, "general.architecture"), shown = InputFile.OneLine(architecture);
        bool Has(Func<string, bool> name) => file.Tensors.Keys.Any(name);
        if (architecture == "controlvector" || file.Metadata.Keys.Any(k => k.StartsWith("controlvector.", StringComparison.Ordinal))
            || (Has(n => n.StartsWith("direction.", StringComparison.Ordinal)) && !Has(n => n.StartsWith("blk.", StringComparison.Ordinal))))
            return new(FileKind.ControlVector, "a control vector in GGUF (repeng, llama.cpp's cvector-generator)");
        if (type == "imatrix" || architecture == "imatrix" || Has(n => n.EndsWith(".in_sum2", StringComparison.Ordinal)))
            return new(FileKind.ImportanceMatrix, "an importance matrix (imatrix), which only quantizing needs");
        if (type == "mmproj" || architecture == "clip" || (Has(n => n.StartsWith("v.blk.", StringComparison.Ordinal) || n.StartsWith("mm.", StringComparison.Ordinal))
            && !Has(n => n.StartsWith("blk.", StringComparison.Ordinal))))
            return new(FileKind.Projector, "a multimodal projector (mmproj), the part of a model that sees or hears");
        if (type == "adapter" || file.Metadata.ContainsKey("adapter.type") || Has(n => n.EndsWith(GgufLoraReader.SuffixA, StringComparison.Ordinal)))
        {
            string kind = Text(file, "adapter.type");
            return kind is "" or "lora" ? new(FileKind.LoraGguf, $"an adapter (LoRA) in GGUF{(shown.Length > 0 ? $" for \"{shown}\"" : "")}")
                : new(FileKind.OtherGguf, $"an adapter of type \"{InputFile.OneLine(kind)}\" in GGUF");
        }

        if (file.Tensors.Count == 0 && file.Metadata.ContainsKey("tokenizer.ggml.tokens"))
            return new(FileKind.VocabularyOnly, "a vocabulary without weights (a vocab-only GGUF)");
        if (type is not ("" or "model")) return new(FileKind.OtherGguf, $"a GGUF file of type \"{InputFile.OneLine(type)}\"");
        return file.Tensors.ContainsKey(WeightName.TokenEmbedding) ? new(FileKind.Model, $"a language model in GGUF (\"{shown}\")")
            : new(FileKind.OtherGguf, shown.Length > 0 ? $"a GGUF file for \"{shown}\" without token embeddings" : "a GGUF file that is no language model");
    }

    private static RecognisedFile OfBytes(string path, byte[] head, long length)
    {
        if (Starts(head, "GGUF")) return OfGguf(path);
        if (Find(OldFormats, head) is { } old) return new(FileKind.OldGgml, old);
        if (!head.AsSpan(0, Math.Min(head.Length, 4096)).ContainsAnyExcept((byte)0))
            return new(FileKind.Zeros, $"{length} bytes that begin with zeros: a download that was not finished, or a damaged disk");
        if (Starts(head, "PK\x03\x04")) return OfZip(head);
        if (Starts(head, "\x93NUMPY")) return new(FileKind.NumPy, "a NumPy array (.npy)");
        if (Find(Archives, head) is { } archive) return new(FileKind.Archive, archive);
        if (head.Length > 262 && head.AsSpan(257, 5).SequenceEqual("ustar"u8)) return new(FileKind.Archive, "a tar archive");
        if (Find(Binaries, head) is { } binary) return new(FileKind.OtherBinary, binary);

        // Before pickles: the length of a header, 640 say, can begin with the bytes that a pickle begins with.
        if (head.Length > 9 && BitConverter.ToUInt64(head) is > 1 and <= 100_000_000 and var header && (long)header <= length - 8 && head[8] == (byte)'{')
            return OfSafetensors(path);
        if (head is [0x80, >= 2 and <= 5, ..]) return new(FileKind.Pickle, "a Python pickle (torch.save, .bin or .pt)");
        if (IsOldImatrix(head)) return new(FileKind.ImportanceMatrix, "an importance matrix (imatrix), which only quantizing needs");
        return TextInput.TryDecode(head, out string text) ? OfText(path, text, head.Length == length) : new(FileKind.Unknown, "a binary file of no kind that is known here");
    }

    private static RecognisedFile OfGguf(string path)
    {
        try
        {
            return Of(GgufFile.Open(path));
        }
        catch (InputFileException)
        {
            return new(FileKind.Unknown, "a damaged GGUF file, or one of several parts");
        }
    }

    private static RecognisedFile OfZip(byte[] head)
    {
        // The names of the first entries lie in the head; a checkpoint of PyTorch and NumPy's .npz are zips with names of their own.
        ReadOnlySpan<byte> start = head.AsSpan(0, Math.Min(head.Length, 4096));
        if (start.IndexOf("/data.pkl"u8) >= 0 || start.IndexOf("/byteorder"u8) >= 0) return new(FileKind.Pickle, "a Python pickle in a zip (torch.save, .bin or .pt)");
        return start.IndexOf(".npy"u8) >= 0 ? new(FileKind.NumPy, "a NumPy archive (.npz)") : new(FileKind.Archive, "a zip archive");
    }

    private static RecognisedFile OfSafetensors(string path)
    {
        try
        {
            using var file = SafetensorsFile.Open(path);
            string[] names = [.. file.Tensors.Keys];
            if (names.Any(n => n.Contains("lora_A", StringComparison.Ordinal) || n.Contains("lora_embedding_A", StringComparison.Ordinal)))
                return new(FileKind.AdapterWeights, "the weights of a LoRA adapter (PEFT) in safetensors");
            if (names.Any(n => n.Contains("lora_down", StringComparison.Ordinal)))
                return new(FileKind.OtherSafetensors, "a LoRA of an image model (kohya, lora_down) in safetensors");
            if (file.Metadata.ContainsKey("traits") || (names.Length > 0 && names.All(n => n.StartsWith("layer_", StringComparison.Ordinal))))
                return new(FileKind.Directions, "a set of trait directions in safetensors");
            bool model = names.Any(n => n.Contains(".layers.", StringComparison.Ordinal) || n.StartsWith("lm_head", StringComparison.Ordinal) || n.Contains("embed_tokens", StringComparison.Ordinal)
                || n.StartsWith("transformer.h.", StringComparison.Ordinal) || n.StartsWith("gpt_neox.", StringComparison.Ordinal));
            if (!model) return new(FileKind.OtherSafetensors, "a safetensors file");
            return new(FileKind.ModelWeights, System.IO.Path.GetFileName(path).Contains("-of-", StringComparison.Ordinal)
                ? "one of several parts of a Hugging Face model's weights in safetensors" : "the weights of a Hugging Face model in safetensors");
        }
        catch (InputFileException)
        {
            return new(FileKind.Unknown, "a damaged safetensors file");
        }
    }

    private static RecognisedFile OfText(string path, string text, bool whole)
    {
        string trimmed = text.AsSpan().TrimStart().ToString();
        if (trimmed.StartsWith("version https://git-lfs", StringComparison.Ordinal)) return new(FileKind.GitLfsPointer, "a Git LFS pointer, not the file itself");
        if (trimmed.StartsWith("<!doctype", StringComparison.OrdinalIgnoreCase) || trimmed.StartsWith("<html", StringComparison.OrdinalIgnoreCase))
            return new(FileKind.WebPage, "a web page (HTML), probably the error page that a server sent instead of the file");
        if (trimmed.StartsWith("<?xml", StringComparison.Ordinal) || trimmed.StartsWith("<Error", StringComparison.Ordinal))
            return new(FileKind.WebPage, "an XML answer of a server, probably an error instead of the file");
        if (trimmed.StartsWith('{') && trimmed.AsSpan(1).TrimStart() is [] or ['"' or '}', ..]) return OfJson(Encoding.UTF8.GetBytes(trimmed), whole) ?? new(FileKind.OtherJson, "a JSON file");
        string[] lines = [.. text.Split('\n', 400).Take(399).Select(l => l.TrimEnd('\r'))];
        string first = lines.FirstOrDefault(l => l.Trim().Length > 0) ?? "";
        string[] columns = [.. first.Split(',', ';', '\t').Select(c => c.Trim().Trim('"').ToLowerInvariant())];
        if (columns.Any(RateColumn.Is) && columns.Contains("step")) return new(FileKind.Labels, "a table of labels (CSV)");
        if (columns.Contains("drift_magnitude")) return new(FileKind.ScanReport, "a report of a scan (CSV)");
        bool Key(string key) => lines.Any(l => l.StartsWith(key, StringComparison.Ordinal) && l.AsSpan(key.Length).TrimStart() is [':', ..]);
        if (Key("traits") || Key("eval_prompts")) return new(FileKind.Traits, "a trait set (YAML)");
        if (Key("base_model") || Key("model_name_or_path")) return new(FileKind.TrainingConfig, "a training configuration (YAML)");
        if (text.Contains("{%", StringComparison.Ordinal) || text.Contains("{{", StringComparison.Ordinal)) return new(FileKind.ChatTemplate, "a chat template (Jinja)");
        return new(FileKind.OtherText, first.Trim().Length == 0 ? "a text file without content" : $"a text file that begins with \"{Short(first.Trim())}\"");
    }

    private static string Short(string line) => InputFile.OneLine(line.Length <= 60 ? line : line[..57] + "...");

    // The keys at the top of the object, as far as the head of the file shows them; null when these are not even a beginning of JSON.
    private static RecognisedFile? OfJson(byte[] json, bool whole)
    {
        var keys = new HashSet<string>(StringComparer.Ordinal);
        string format = "";
        try
        {
            var reader = new Utf8JsonReader(json, whole, default);
            while (reader.Read())
            {
                if (reader.TokenType != JsonTokenType.PropertyName || reader.CurrentDepth != 1) continue;
                string key = reader.GetString()!;
                keys.Add(key);
                if (key == "format" && reader.Read() && reader.TokenType == JsonTokenType.String) format = reader.GetString()!;
            }
        }
        catch (Exception damaged) when (damaged is JsonException or InvalidOperationException)
        {
            // What was read up to the damage may still tell what it was meant to be.
            if (keys.Count == 0) return null;
        }

        bool Has(string key) => keys.Contains(key);
        if (format == "emscan-calibration") return new(FileKind.Calibration, "a calibration");
        if (Has("peft_type")) return new(FileKind.AdapterConfig, "the configuration of a PEFT adapter (adapter_config.json)");
        if (Has("weight_map")) return new(FileKind.WeightsIndex, "the index of weights that are split over several files");
        if (Has("emscan_version") && Has("runs")) return new(FileKind.ScanReport, "a report of a scan (JSON)");
        if (Has("trajectory")) return new(FileKind.Trajectory, "the trajectory of one run (trajectory.json)");
        if (Has("log_history")) return new(FileKind.TrainerState, "a log of the Hugging Face Trainer (trainer_state.json)");
        if (Has("architectures") || Has("model_type")) return new(FileKind.ModelConfig, "the configuration of a Hugging Face model (config.json)");
        if (Has("added_tokens") || Has("chat_template") || Has("tokenizer_class")) return new(FileKind.Tokenizer, "a tokenizer's JSON of a Hugging Face model");
        return Has("error") ? new(FileKind.WebPage, "an error message of a server in JSON, not the file itself") : new(FileKind.OtherJson, "a JSON file");
    }

    // int32 number of entries, then for each: int32 length of the name, the name ("blk.0.attn_q.weight"), ...
    private static bool IsOldImatrix(byte[] head)
    {
        if (head.Length < 16 || BitConverter.ToInt32(head) is not (> 0 and < 1 << 20) || BitConverter.ToInt32(head, 4) is not (> 4 and < 256 and var length)) return false;
        return 8 + length <= head.Length && head.AsSpan(8, length) is var name && !name.ContainsAnyExceptInRange((byte)' ', (byte)'~') && name.EndsWith(".weight"u8);
    }

    private static RecognisedFile OfFolder(string path)
    {
        try
        {
            string[] names = [.. Directory.EnumerateFiles(path).Select(System.IO.Path.GetFileName).OfType<string>().Take(10_000)];
            if (names.Contains(PeftAdapterReader.ConfigName)) return new(FileKind.AdapterFolder, "a folder with a PEFT adapter");
            bool weights = names.Any(n => n.StartsWith("pytorch_model", StringComparison.Ordinal) || n.StartsWith("consolidated", StringComparison.Ordinal)
                || (n.StartsWith("model", StringComparison.Ordinal) && n.EndsWith(".safetensors", StringComparison.Ordinal)) || n == "model.safetensors.index.json");
            if (weights || (names.Contains("config.json") && names.Contains("tokenizer_config.json"))) return new(FileKind.ModelFolder, "a folder with a Hugging Face model");
            string[] models = [.. names.Where(n => n.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)).Order(StringComparer.Ordinal)];
            if (models.Length > 0) return new(FileKind.OtherFolder, $"a folder; it holds {Short(models[0])}{(models.Length > 1 ? $" and {models.Length - 1} more GGUF" : "")}");
            return new(FileKind.OtherFolder, names.Length == 0 && !Directory.EnumerateDirectories(path).Any() ? "a folder that is empty" : "a folder");
        }
        catch (Exception failure) when (InputFile.IsReadFailure(failure))
        {
            return new(FileKind.OtherFolder, "a folder");
        }
    }

    // Keys of another type are no reason to fail here.
    private static string Text(GgufFile file, string key) => file.FindText(key) ?? "";

    private static string? Find((string Magic, string What)[] known, byte[] head)
    {
        foreach ((string magic, string what) in known)
            if (Starts(head, magic)) return what;
        return null;
    }

    private static bool Starts(byte[] head, string magic) => head.AsSpan().StartsWith(Encoding.Latin1.GetBytes(magic));
}
