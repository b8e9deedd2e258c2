using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Tests.Formats;

public sealed class RecognisedFileTests : IDisposable
{
    private static readonly Dictionary<string, InputUse> Uses = new()
    {
        ["model"] = InputUse.Model,
        ["adapters"] = InputUse.Adapters,
        ["directions"] = InputUse.Directions,
        ["traits"] = InputUse.Traits,
        ["calibration"] = InputUse.Calibration,
        ["labels"] = InputUse.Labels,
        ["chat template"] = InputUse.ChatTemplate,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Names => [.. SampleFiles.All.Select(s => s.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_kind_is_recognised_whatever_the_file_is_called(string name)
    {
        FileKind kind = SampleFiles.All.Single(s => s.Name == name).Kind;
        string path = SampleFiles.Make(_folder.Root, name);
        Assert.Equal(kind, RecognisedFile.Of(path).Kind);
        if (!File.Exists(path)) return;
        File.Move(path, _folder["x"]);
        Assert.Equal(kind, RecognisedFile.Of(_folder["x"]).Kind);
    }

    [Fact]
    public void Safetensors_whose_header_is_as_long_as_a_pickle_begins_are_safetensors()
    {
        // The length of the header comes first, little endian: 640 is 80 02, as a pickle of protocol 2.
        for (int length = 0; length < 700; length++)
        {
            SafetensorsWriter.Write(_folder["x"], [("layer_0", [1, 2], [1, 2])], new Dictionary<string, string> { ["traits"] = "honesty", ["note"] = new('x', length) });
            if (File.ReadAllBytes(_folder["x"]) is not [0x80, 0x02, ..]) continue;
            Assert.Equal(FileKind.Directions, RecognisedFile.Of(_folder["x"]).Kind);
            return;
        }

        Assert.Fail("No header had 640 bytes.");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_use_takes_its_kind_or_says_in_one_sentence_what_a_file_is_and_what_to_do(string name)
    {
        string path = SampleFiles.Make(_folder.Root, name);
        RecognisedFile found = RecognisedFile.Of(path);
        foreach ((string use, InputUse input) in Uses)
        {
            if (Record.Exception(() => input.Require(path)) is not { } failure) continue;
            Assert.IsType<InputFileException>(failure);
            Assert.StartsWith($"{path}: is {found.What}", failure.Message);
            Assert.Contains("; ", failure.Message);
            Assert.DoesNotContain('\n', failure.Message);
            Assert.DoesNotContain("--", failure.Message.Replace("--local-dir", ""));
            Assert.True(failure.Message.Length < 600, $"{use}: {failure.Message}");
        }
    }

    [Theory]
    [InlineData("model", "model.gguf")]
    [InlineData("adapters", "lora.gguf")]
    [InlineData("adapters", "adapter_model.safetensors")]
    [InlineData("adapters", "adapter_config.json")]
    [InlineData("adapters", "checkpoint-10")]
    [InlineData("adapters", "folder")]
    [InlineData("directions", "directions.safetensors")]
    [InlineData("directions", "honesty.gguf")]
    [InlineData("traits", "traits.yaml")]
    [InlineData("calibration", "calibration.json")]
    [InlineData("labels", "labels.csv")]
    [InlineData("chat template", "chat_template.jinja")]
    public void What_is_meant_is_taken(string use, string name) => Uses[use].Require(SampleFiles.Make(_folder.Root, name));

    [Theory]
    [InlineData("model", "lora.gguf", "give the model it was trained on as the model, and this as the adapters")]
    [InlineData("model", "checkpoint-10", "give the model it was trained on as the model, and this as the adapters")]
    [InlineData("model", "honesty.gguf", "a control vector")]
    [InlineData("model", "imatrix.gguf", "an importance matrix")]
    [InlineData("model", "imatrix.dat", "an importance matrix")]
    [InlineData("model", "mmproj-model-f16.gguf", "give the GGUF of the language model that lies beside it")]
    [InlineData("model", "ggml-vocab.gguf", "take the GGUF with the weights")]
    [InlineData("model", "ggml-model-q4_0.bin", "convert the model to GGUF again")]
    [InlineData("model", "Llama-3-8B", "convert_hf_to_gguf.py")]
    [InlineData("model", "model-00001-of-00002.safetensors", "convert_hf_to_gguf.py")]
    [InlineData("model", "model.safetensors.index.json", "convert_hf_to_gguf.py")]
    [InlineData("model", "pytorch_model.bin", "pickles are not opened here")]
    [InlineData("model", "models", "a folder; it holds base.gguf; give the base model in GGUF, a file and not a folder")]
    [InlineData("model", "pointer.gguf", "git lfs pull")]
    [InlineData("model", "page.gguf", "fetch or copy it again")]
    [InlineData("model", "denied.gguf", "an error message of a server")]
    [InlineData("model", "not-found.gguf", "begins with \"Entry not found\"")]
    [InlineData("model", "empty.gguf", "empty (0 bytes); fetch or copy it again")]
    [InlineData("model", "zeros.gguf", "a download that was not finished")]
    [InlineData("model", "checkpoints.zip", "unpack it")]
    [InlineData("adapters", "model.gguf", "give it as the model")]
    [InlineData("adapters", "adapter_model.bin", "safe_serialization=True")]
    [InlineData("adapters", "model-00001-of-00002.safetensors", "full weights are not adapters")]
    [InlineData("adapters", "ggml-adapter-model.bin", "convert_lora_to_gguf.py")]
    [InlineData("adapters", "honesty.gguf", "a control vector")]
    [InlineData("directions", "directions.npz", "this line of Python")]
    [InlineData("directions", "calibration.json", "is a calibration, not a set of trait directions")]
    [InlineData("directions", "adapter_model.safetensors", "is the weights of a LoRA adapter")]
    [InlineData("calibration", "adapter_config.json", "'emscan calibrate' writes one")]
    [InlineData("calibration", "labels.csv", "is a table of labels (CSV), not a calibration")]
    [InlineData("labels", "calibration.json", "is a calibration, not a table of labels")]
    [InlineData("labels", "scan.csv", "is a report of a scan (CSV), not a table of labels")]
    [InlineData("traits", "directions.safetensors", "is a set of trait directions in safetensors, not a trait set")]
    [InlineData("traits", "labels.csv", "is a table of labels (CSV), not a trait set")]
    [InlineData("chat template", "tokenizer.json", "a tokenizer's JSON")]
    public void Something_else_is_called_what_it_is(string use, string name, string expected) =>
        Assert.Contains(expected, Assert.Throws<InputFileException>(() => Uses[use].Require(SampleFiles.Make(_folder.Root, name))).Message);

    [Theory]
    [InlineData("meta-llama/Llama-3-8B", "hub")]
    [InlineData("unsloth/Qwen3-0.6B-GGUF:Q4_K_M", "hub")]
    [InlineData("~/models/m.gguf", "$HOME/models/m.gguf")]
    [InlineData("file:///data/m.gguf", "give the path itself, /data/m.gguf")]
    [InlineData("https://huggingface.co/x/y/resolve/main/m.gguf", "download it first")]
    [InlineData("hf.co/x/y", "download it first")]
    [InlineData("s3://bucket/m.gguf", "download it first")]
    [InlineData("user@host:m.gguf", "download it first")]
    [InlineData("$MODELS/m.gguf", "variable")]
    [InlineData("models/*.gguf", "pattern")]
    [InlineData("/nowhere/at/all/m.gguf", "nor does its folder")]
    public void A_path_that_is_no_path_of_this_machine_is_explained(string path, string expected) =>
        Assert.Contains(expected, Assert.Throws<InputFileException>(() => InputUse.Model.Require(path)).Message);

    [Theory]
    [InlineData("utf-8")]
    [InlineData("utf-16")]
    [InlineData("utf-16BE")]
    [InlineData("utf-32")]
    public void Texts_with_a_byte_order_mark_are_read(string name)
    {
        var encoding = Encoding.GetEncoding(name);
        File.WriteAllText(_folder["labels.csv"], "run,step,em_rate\nä,10,0.5\n", encoding);
        Assert.Equal(encoding.Preamble.ToArray(), File.ReadAllBytes(_folder["labels.csv"])[..encoding.Preamble.Length]);
        Assert.Equal(FileKind.Labels, RecognisedFile.Of(_folder["labels.csv"]).Kind);
        Assert.Equal("ä", LabelFile.Read(_folder["labels.csv"]).Labels.Single().Run);
        File.WriteAllText(_folder["trainer_state.json"], """{"global_step": 3, "log_history": []}""", encoding);
        Assert.Equal(3, TrainerState.Read(_folder["trainer_state.json"]).GlobalStep);
    }

    [Fact]
    public void Damaged_json_is_described_in_our_own_words()
    {
        Assert.Contains("it ends too early, at line 2", Problem("{\n \"a\": "));
        Assert.Contains("from line 1, byte 7 of it on", Problem("{\"a\": x, \"b\": 1}"));
        Assert.Contains("is not valid JSON: it is a web page", Problem("<html>"));
        Assert.Contains("is not a JSON object", Problem("[1]"));

        string Problem(string json)
        {
            File.WriteAllText(_folder["t.json"], json);
            string message = Assert.Throws<InputFileException>(() => TrajectoryFile.Read(_folder["t.json"])).Message;
            Assert.DoesNotContain("LineNumber", message);
            return message;
        }
    }

    [Fact]
    public void A_path_that_is_written_is_checked_before_the_work()
    {
        OutputPath.RequireFile(_folder["new/d.safetensors"], ".safetensors");
        OutputPath.RequireFile(_folder["d.q4"], ".safetensors");
        Assert.Contains("name it d.safetensors", Problem(() => OutputPath.RequireFile(_folder["d.npz"], ".safetensors")));
        Assert.Contains("is a folder", Problem(() => OutputPath.RequireFile(_folder.Root, ".json")));
        Assert.Contains("$HOME", Problem(() => OutputPath.RequireFile("~/d.json", ".json")));
        Assert.Contains("another machine", Problem(() => OutputPath.RequireFolder("s3://bucket/out")));
        File.WriteAllText(_folder["file"], "");
        Assert.Contains("is a file", Problem(() => OutputPath.RequireFolder(_folder["file"])));
        Assert.Contains("cannot be written", Problem(() => OutputPath.RequireFile(_folder["file/d.json"], ".json")));
        Assert.Empty(Directory.GetFiles(_folder.Root, ".emscan-*"));

        static string Problem(Action check) => Assert.Throws<InputFileException>(check).Message;
    }
}
