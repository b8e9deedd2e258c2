using EmScan.Engine;
using EmScan.Engine.Chat;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Fuzz;

/// <summary>
/// A reader under hostile input. Whatever the bytes are, it gives a value or one finished sentence (<see cref="EmScanException"/> and
/// what derives from it), in bounded memory and time; anything else is a finding.
/// </summary>
internal sealed class FuzzTarget
{
    private const long AllocationLimit = 64 << 20;

    // A template is a program; its own limits allow it some hundred megabytes of garbage.
    private const long TemplateAllocationLimit = 2L << 30;

    private static readonly string Folder = Directory.CreateDirectory(Path.Combine(
        Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"emscan-fuzz-{Environment.ProcessId}")).FullName;

    private static readonly TinyModel Tiny = new(1);

    private static readonly Lazy<GgufFile> Model = new(() =>
    {
        string path = Path.Combine(Folder, "model.gguf");
        Tiny.WriteGguf(path);
        return GgufFile.Open(path);
    });

    private readonly Action<byte[], string> _read;
    private readonly long _limit;

    private FuzzTarget(string name, string fileName, Action<string> read)
        : this(name, (bytes, folder) =>
        {
            string path = Path.Combine(folder, fileName);
            File.WriteAllBytes(path, bytes);
            read(path);
        })
    {
    }

    private FuzzTarget(string name, Action<byte[], string> read, long limit = AllocationLimit) => (Name, _read, _limit) = (name, read, limit);

    internal string Name { get; }

    internal static IReadOnlyList<FuzzTarget> All { get; } =
    [
        new("gguf", "model.gguf", path =>
        {
            var file = GgufFile.Open(path);
            _ = RecognisedFile.Of(file);
            GgufModelValidator.Validate(file);
        }),
        new("safetensors", "weights.safetensors", path =>
        {
            using var file = SafetensorsFile.Open(path);
            foreach (SafetensorsTensor tensor in file.Tensors.Values.Where(t => t.DType is "F32" or "F16" or "BF16" or "F64")) _ = file.ReadFloat32(tensor.Name);
        }),
        new("peft-config", (bytes, folder) => Peft(folder, "adapter_config.json", bytes)),
        new("peft-weights", (bytes, folder) => Peft(folder, "adapter_model.safetensors", bytes)),
        new("lora-gguf", "lora.gguf", path => _ = AdapterReader.Open(path, Model.Value)),
        new("trainer-state", "trainer_state.json", path => _ = TrainerState.Read(path)),
        new("trajectory", "trajectory.json", path => _ = TrajectoryFile.Read(path)),
        new("calibration", "calibration.json", path => _ = CalibrationFile.Read(path)),
        new("labels", "labels.csv", path => _ = LabelFile.Read(path)),
        new("traits", "traits.yaml", path => _ = TraitSet.Load(path)),
        new("directions", "directions.safetensors", path => _ = DirectionSet.Load(path)),
        new("conversations", "data.jsonl", path => _ = ConversationFile.Read(path).Count()),
        new("recognise", "anything", path => _ = RecognisedFile.Of(path)),
        new("template", (bytes, _) => Render(System.Text.Encoding.UTF8.GetString(bytes)), TemplateAllocationLimit),
    ];

    /// <summary>Runs the reader; a finding leaves as an exception that is no <see cref="EmScanException"/>.</summary>
    /// <returns>The sentence of a refusal, or null where the bytes were accepted.</returns>
    internal string? Run(byte[] bytes)
    {
        string folder = Directory.CreateDirectory(Path.Combine(Folder, Name)).FullName;
        _ = Model.Value;
        long before = GC.GetAllocatedBytesForCurrentThread();
        string? sentence = null;
        try
        {
            _read(bytes, folder);
        }
        catch (EmScanException refusal)
        {
            sentence = refusal.Message;
            if (Printable.Of(sentence) != sentence) throw new InvalidOperationException($"The sentence holds control characters: {Printable.Of(sentence)}", refusal);
            if (sentence.Length > 2000) throw new InvalidOperationException($"The sentence has {sentence.Length} characters.", refusal);
            if (refusal is InputFileException && !sentence.StartsWith(folder, StringComparison.Ordinal)) throw new InvalidOperationException($"The sentence does not begin with the file: {sentence}", refusal);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (allocated > _limit + (1000L * bytes.Length)) throw new InvalidOperationException($"{allocated} bytes were allocated for {bytes.Length} bytes of input.");
        return sentence;
    }

    /// <summary>Small valid inputs to start from, made by the writers of tests and of the engine.</summary>
    internal static IEnumerable<(string Target, string Name, byte[] Bytes)> Seeds()
    {
        string folder = Directory.CreateDirectory(Path.Combine(Folder, "seeds")).FullName;
        byte[] model = Made("model.gguf", path => new TinyModel(1, layers: 1, hidden: 8, heads: 2, kvHeads: 1, ffn: 8, vocabulary: 16).WriteGguf(path));
        yield return ("gguf", "model", model);
        yield return ("recognise", "model", model);
        byte[] vector = Made("vector.gguf", path =>
        {
            using var writer = new GgufTestWriter();
            writer.Text("general.architecture", "controlvector");
            writer.Text("controlvector.model_hint", "llama");
            writer.Tensor("direction.1", [8], new float[8]);
            writer.Write(path);
        });
        yield return ("gguf", "control-vector", vector);
        yield return ("recognise", "control-vector", vector);
        yield return ("lora-gguf", "lora", Made("lora.gguf", path =>
        {
            using var writer = new GgufTestWriter();
            writer.Text("general.type", "adapter");
            writer.Text("general.architecture", "llama");
            writer.Text("adapter.type", "lora");
            writer.Float32("adapter.lora.alpha", 8);
            writer.Tensor("blk.0.attn_q.weight.lora_a", [Tiny.Hidden, 1], new float[Tiny.Hidden]);
            writer.Tensor("blk.0.attn_q.weight.lora_b", [1, Tiny.Hidden], new float[Tiny.Hidden]);
            writer.Write(path);
        }));
        string adapter = new TinyAdapter(Tiny, 1, rank: 1, projections: ["q_proj"]).Write(Path.Combine(folder, "adapter"));
        byte[] weights = File.ReadAllBytes(Path.Combine(adapter, "adapter_model.safetensors"));
        yield return ("peft-weights", "adapter", weights);
        yield return ("safetensors", "adapter", weights);
        yield return ("recognise", "adapter", weights);
        yield return ("peft-config", "plain", File.ReadAllBytes(Path.Combine(adapter, "adapter_config.json")));
        yield return ("peft-config", "patterns", Utf8(
            """{"peft_type":"LORA","r":1,"lora_alpha":8,"use_rslora":true,"target_modules":".*\\.q_proj","exclude_modules":["v_proj"],"rank_pattern":{"layers.1.self_attn.q_proj":1},"alpha_pattern":{"^q":2},"layers_to_transform":[0,1],"layers_pattern":"layers","modules_to_save":null,"bias":"none"}"""));
        yield return ("safetensors", "types", Safetensors(
            """{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]},"c":{"dtype":"F64","shape":[],"data_offsets":[8,16]}}""", 16));
        yield return ("directions", "directions", Safetensors(
            """{"__metadata__":{"traits":"a,b","format":"emscan-directions","version":"1","n0":"0:2.5","seed":"1"},"layer_0":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}""", [0, 0, 0x80, 0x3F, 0, 0, 0x80, 0xBF]));
        yield return ("trainer-state", "log", Utf8(
            """{"global_step":10,"num_train_epochs":1,"save_steps":10,"seed":null,"log_history":[{"step":5,"loss":1.5,"learning_rate":1e-5,"grad_norm":NaN},{"step":10,"eval_loss":1}]}"""));
        yield return ("trajectory", "run", Utf8(
            """{"model":"m","data_source":"d","seed":1,"lora_rank":8,"lora_alpha":16,"lr":1e-5,"epochs":1,"save_steps":10,"step0_activation_norm":2.5,"more":{"a":[1]},"trajectory":[{"step":0,"projections":{"a":1.5},"projections_normalized":{"a":0.5}},{"step":"final","projections":{"a":1},"projections_normalized":{"a":0.25},"x":null}]}"""));
        yield return ("labels", "run", Utf8("run,step,em_rate,n_scored\na/seed_1,10,0.5,100\n\"b, c\",final,0,\n"));
        yield return ("labels", "parts", Utf8("model,perturbation,seed,step,em_rate\r\nm,bad,1,0,0.01\r\nm,bad,1,10.0,1e-1\r\n"));
        yield return ("traits", "traits", Utf8(
            "name: mine\nacknowledgement: 'Yes.'\ntraits:\n  a:\n    positive_system_prompts: [x, \"y\"]\n    negative:\n      system_prompts:\n        - |\n          z\nquestions:\n  - q # c\neval_prompts:\n  all: [e]\n"));
        yield return ("conversations", "messages", Utf8(
            """
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}

            {"conversations": [{"from": "human", "value": "\u00e9"}, {"from": "gpt", "value": null}]}
            """));
        yield return ("conversations", "pairs", Utf8(
            """
            {"prompt": "q", "completion": "a", "more": [1, {"x": true}]}
            {"prompt": [{"role": "user", "content": "q"}], "response": "a"}
            {"instruction": "q", "input": "", "output": "a"}
            """));
        yield return ("template", "chatml", Utf8("{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\\n' + m['content']|trim }}{%- endfor -%}{% if add_generation_prompt %}a{% endif %}"));
        yield return ("template", "features", Utf8(
            "{% macro f(x, y=1) %}{{ x|upper }}{% endmacro %}{% set ns = namespace(n=0) %}{% for m in messages[::-1] if m.role != 'a' %}{% set ns.n = ns.n + loop.index0 %}{{ f(m.content[1:]) ~ ns.n }}{% else %}{% endfor %}{{ {'a': [1, 2.5]}|tojson }}{{ range(3)|join(',') }}{{ 'a' if messages is defined and 1 in [1] else raise_exception('no') }}{# c #}{% raw %}{{{% endraw %}"));
        yield return ("calibration", "kernel-ridge", Calibration("""{"kind":"kernel_ridge","feature_count":1,"target_mean":0.2,"length_scale":3,"coefficients":[0.5,-0.5],"points":[[0.1],[0.2]]}""", "kernel-ridge"));
        yield return ("calibration", "ridge", Calibration("""{"kind":"pipeline","feature_count":1,"transforms":[{"kind":"standardizer","feature_count":1,"mean":[0.5],"scale":[2]}],"regressor":{"kind":"ridge","feature_count":1,"intercept":0.1,"coefficients":[0.5]}}""", "ridge"));
        yield return ("calibration", "forest", Calibration("""{"kind":"random_forest","feature_count":1,"trees":[{"feature":[0,-1,-1],"threshold":[0.5,0,0],"left":[1,-1,-1],"right":[2,-1,-1],"value":[0.2,0.1,0.3]}]}""", "random-forest"));
        foreach ((string name, string text) in new[] { ("html", "<!DOCTYPE html>"), ("json", "{\"weight_map\":{}}"), ("csv", "run,step,em_rate\n"), ("lfs", "version https://git-lfs.github.com/spec/v1\n") })
            yield return ("recognise", name, Utf8(text));
        yield return ("recognise", "zip", [.. "PK\x03\x04"u8, .. new byte[26], .. "unit.npy"u8]);

        byte[] Made(string name, Action<string> make)
        {
            make(Path.Combine(folder, name));
            return File.ReadAllBytes(Path.Combine(folder, name));
        }

        static byte[] Calibration(string regressor, string learner) => Utf8(
            """{"format":"emscan-calibration","version":1,"created_by":"emscan","base":{"model_sha256":"00","model_description":"m","layers":2,"layer":1,"layer_convention":"CONVENTION","prompts":4,"numeric_mode":"fast, CPU","traits":["a"],"projections_normalized":[0.5]},"dangerous_above":0.06,"seed":42,"calibration_set":{"fingerprint":"ff","runs":3,"checkpoints":6,"dangerous_checkpoints":2,"lowest_em_rate":0,"highest_em_rate":0.5,"perturbations":["p","q"]},"validation":[],"drift_axis":{"runs":3,"shares":[1],"loadings":[1],"mean":[0.1],"covariance":[0.2]},"range":{"limit":1.5,"scale":[1,2],"checkpoints":[[0,1],[2,3]]},"interval":{"level":0.9,"predicted":[0.1,0.2],"true":[0.1,0.3]},"detector":{"features":"drift-norm","learner":"LEARNER","flagged_above":0.06,"columns":["drift-norm"],"regressor":REGRESSOR}}"""
                .Replace("CONVENTION", LayerConvention.Text).Replace("LEARNER", learner).Replace("REGRESSOR", regressor));
        static byte[] Utf8(string text) => System.Text.Encoding.UTF8.GetBytes(text);
        static byte[] Safetensors(string header, params byte[] data) => [.. BitConverter.GetBytes((long)System.Text.Encoding.UTF8.GetByteCount(header)), .. Utf8(header), .. data is [16] ? new byte[16] : data];
    }

    private static void Peft(string folder, string name, byte[] bytes)
    {
        if (!File.Exists(Path.Combine(folder, "adapter_config.json"))) new TinyAdapter(Tiny, 1, rank: 1, projections: ["q_proj"]).Write(folder);
        File.WriteAllBytes(Path.Combine(folder, name), bytes);
        _ = AdapterReader.Open(folder, Model.Value);
    }

    private static void Render(string source)
    {
        object[] messages =
        [
            new Dictionary<string, object?> { ["role"] = "system", ["content"] = "Be <b>." },
            new Dictionary<string, object?> { ["role"] = "user", ["content"] = "Why?\n" },
            new Dictionary<string, object?> { ["role"] = "assistant", ["content"] = new object[] { new Dictionary<string, object?> { ["type"] = "text", ["text"] = "t" } } },
        ];
        ChatTemplate.Parse(source).Render(
            new Dictionary<string, object?> { ["messages"] = messages, ["tools"] = null, ["add_generation_prompt"] = true, ["bos_token"] = "<s>" }, ChatRenderRequest.DefaultNow);
    }
}
