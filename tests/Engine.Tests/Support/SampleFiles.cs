using System.IO.Compression;
using System.Text;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Tests.Support;

/// <summary>One small file or folder of every kind that people give to a program of this sort, made by hand and not by the readers.</summary>
internal static class SampleFiles
{
    /// <summary>Name, what it is, and how it is made.</summary>
    internal static readonly (string Name, FileKind Kind, Action<string> Make)[] All =
    [
        ("model.gguf", FileKind.Model, path => new TinyModel(1).WriteGguf(path)),
        ("lora.gguf", FileKind.LoraGguf, path => Gguf(path, g =>
        {
            g.Text("general.type", "adapter");
            g.Text("general.architecture", "llama");
            g.Text("adapter.type", "lora");
            g.Float32("adapter.lora.alpha", 8);
            g.Tensor("blk.0.attn_q.weight.lora_a", [8, 2], new float[16]);
            g.Tensor("blk.0.attn_q.weight.lora_b", [2, 8], new float[16]);
        })),
        ("honesty.gguf", FileKind.ControlVector, path => Gguf(path, g =>
        {
            g.Text("general.architecture", "controlvector");
            g.Text("controlvector.model_hint", "llama");
            g.Tensor("direction.1", [8], new float[8]);
        })),
        ("unnamed-vector.gguf", FileKind.ControlVector, path => Gguf(path, g => g.Tensor("direction.1", [8], new float[8]))),
        ("imatrix.gguf", FileKind.ImportanceMatrix, path => Gguf(path, g =>
        {
            g.Text("general.type", "imatrix");
            g.Tensor("blk.0.attn_q.weight.in_sum2", [8], new float[8]);
        })),
        ("imatrix.dat", FileKind.ImportanceMatrix, path => File.WriteAllBytes(path, [1, 0, 0, 0, 19, 0, 0, 0, .. "blk.0.attn_q.weight"u8, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 128, 63])),
        ("mmproj-model-f16.gguf", FileKind.Projector, path => Gguf(path, g =>
        {
            g.Text("general.architecture", "clip");
            g.Tensor("v.blk.0.attn_q.weight", [8, 8], new float[64]);
        })),
        ("ggml-vocab.gguf", FileKind.VocabularyOnly, path => Gguf(path, g =>
        {
            g.Text("general.architecture", "llama");
            g.Texts("tokenizer.ggml.tokens", ["a", "b"]);
        })),
        ("flux.gguf", FileKind.OtherGguf, path => Gguf(path, g =>
        {
            g.Text("general.architecture", "flux");
            g.Tensor("double_blocks.0.img_attn.qkv.weight", [8, 8], new float[64]);
        })),
        ("ggml-model-q4_0.bin", FileKind.OldGgml, path => File.WriteAllBytes(path, [.. "tjgg"u8, 3, 0, 0, 0, .. new byte[100]])),
        ("ggml-adapter-model.bin", FileKind.OldGgml, path => File.WriteAllBytes(path, [.. "algg"u8, 1, 0, 0, 0, .. new byte[100]])),
        ("adapter_model.safetensors", FileKind.AdapterWeights, path => Safetensors(path, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight")),
        ("pony.safetensors", FileKind.OtherSafetensors, path => Safetensors(path, "lora_unet_down_blocks_0.lora_down.weight")),
        ("model-00001-of-00002.safetensors", FileKind.ModelWeights, path => Safetensors(path, "model.layers.0.self_attn.q_proj.weight")),
        ("directions.safetensors", FileKind.Directions, path => SafetensorsWriter.Write(
            path, [("layer_3", new long[] { 1, 2 }, new float[] { 1, 0 })], new Dictionary<string, string> { ["traits"] = "a" })),
        ("other.safetensors", FileKind.OtherSafetensors, path => Safetensors(path, "x")),
        ("directions.npz", FileKind.NumPy, path => Zip(path, "unit.npy")),
        ("array.npy", FileKind.NumPy, path => File.WriteAllBytes(path, [0x93, .. "NUMPY"u8, 1, 0, .. new byte[100]])),
        ("pytorch_model.bin", FileKind.Pickle, path => Zip(path, "archive/data.pkl")),
        ("adapter_model.bin", FileKind.Pickle, path => File.WriteAllBytes(path, [0x80, 2, 0x8a, 10, .. new byte[50]])),
        ("checkpoints.zip", FileKind.Archive, path => Zip(path, "run/readme.txt")),
        ("lora.tar.gz", FileKind.Archive, path => File.WriteAllBytes(path, [0x1f, 0x8b, 8, 0, .. new byte[50]])),
        ("lora.tar", FileKind.Archive, path => File.WriteAllBytes(path, [.. "run/"u8, .. Enumerable.Repeat((byte)'0', 253), .. "ustar\0"u8, .. new byte[300]])),
        ("weights.h5", FileKind.OtherBinary, path => File.WriteAllBytes(path, [0x89, .. "HDF\r\n"u8, 0x1a, 10])),
        ("empty.gguf", FileKind.Empty, path => File.WriteAllBytes(path, [])),
        ("zeros.gguf", FileKind.Zeros, path => File.WriteAllBytes(path, new byte[10_000])),
        ("pointer.gguf", FileKind.GitLfsPointer, path => File.WriteAllText(path, $"version https://git-lfs.github.com/spec/v1\noid sha256:{new string('a', 64)}\nsize 4368438976\n")),
        ("page.gguf", FileKind.WebPage, path => File.WriteAllText(path, "\n<!DOCTYPE html>\n<html><head><title>404</title></head></html>")),
        ("denied.gguf", FileKind.WebPage, path => File.WriteAllText(path, """{"error":"Access to model x is restricted."}""")),
        ("denied.xml", FileKind.WebPage, path => File.WriteAllText(path, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>")),
        ("not-found.gguf", FileKind.OtherText, path => File.WriteAllText(path, "Entry not found")),
        ("adapter_config.json", FileKind.AdapterConfig, path => File.WriteAllText(path, """{"peft_type": "LORA", "r": 8}""")),
        ("model.safetensors.index.json", FileKind.WeightsIndex, path => File.WriteAllText(path, """{"metadata": {}, "weight_map": {"a": "b"}}""")),
        ("config.json", FileKind.ModelConfig, path => File.WriteAllText(path, """{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}""")),
        ("tokenizer.json", FileKind.Tokenizer, path => File.WriteAllText(path, """{"version": "1.0", "added_tokens": []}""")),
        ("trainer_state.json", FileKind.TrainerState, path => File.WriteAllText(path, """{"global_step": 3, "log_history": [{"loss": NaN}]}""")),
        ("trajectory.json", FileKind.Trajectory, path => File.WriteAllText(path, """{"model": "m", "step0_activation_norm": 1, "trajectory": []}""")),
        ("calibration.json", FileKind.Calibration, path => File.WriteAllText(path, """{"format": "emscan-calibration", "version": 1}""")),
        ("scan.json", FileKind.ScanReport, path => File.WriteAllText(path, """{"emscan_version": "0.2.0", "runs": []}""")),
        ("scan.csv", FileKind.ScanReport, path => File.WriteAllText(path, "run,step,path,drift_a,drift_magnitude\n")),
        ("labels.csv", FileKind.Labels, path => File.WriteAllText(path, "run,step,em_rate\na,10,0.5\n")),
        ("traits.yaml", FileKind.Traits, path => File.WriteAllText(path, "# mine\ntraits:\n  a:\n    positive_system_prompts: [x]\n")),
        ("axolotl.yaml", FileKind.TrainingConfig, path => File.WriteAllText(path, "base_model: org/name\nadapter: lora\n")),
        ("chat_template.jinja", FileKind.ChatTemplate, path => File.WriteAllText(path, "{% for m in messages %}{{ m.content }}{% endfor %}")),
        ("other.json", FileKind.OtherJson, path => File.WriteAllText(path, """{"a": 1}""")),
        ("notes.txt", FileKind.OtherText, path => File.WriteAllText(path, "hello\n")),
        ("random.bin", FileKind.Unknown, path => File.WriteAllBytes(path, [0xC1, 1, 2, 0xFF, 0xC0, 7, 9, 200, 201, 202])),
        ("checkpoint-10", FileKind.AdapterFolder, path => Folder(path, "adapter_config.json", "adapter_model.safetensors")),
        ("Llama-3-8B", FileKind.ModelFolder, path => Folder(path, "config.json", "tokenizer_config.json", "model-00001-of-00002.safetensors")),
        ("folder", FileKind.OtherFolder, path => Folder(path, "notes.txt")),
        ("models", FileKind.OtherFolder, path => Folder(path, "base.gguf")),
    ];

    /// <summary>Makes the sample of this name in a folder and gives its path.</summary>
    internal static string Make(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        All.Single(s => s.Name == name).Make(path);
        return path;
    }

    private static void Gguf(string path, Action<GgufTestWriter> fill)
    {
        using var writer = new GgufTestWriter();
        fill(writer);
        writer.Write(path);
    }

    private static void Safetensors(string path, string tensor) =>
        SafetensorsWriter.Write(path, [(tensor, new long[] { 2, 2 }, new float[4])], new Dictionary<string, string>());

    private static void Zip(string path, string entry)
    {
        using ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create);
        using Stream stream = zip.CreateEntry(entry).Open();
        stream.Write(Encoding.ASCII.GetBytes("content"));
    }

    private static void Folder(string path, params string[] files)
    {
        Directory.CreateDirectory(path);
        foreach (string file in files) File.WriteAllText(Path.Combine(path, file), "");
    }
}
