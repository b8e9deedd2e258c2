using System.Text;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Whatever is given for an option, the program says what it is and what to do, or takes it.</summary>
public sealed class InputKindTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("--model", "lora.gguf", "an adapter (LoRA) in GGUF", "this as the adapters")]
    [InlineData("--model", "honesty.gguf", "a control vector in GGUF", "give the base model")]
    [InlineData("--model", "imatrix.gguf", "an importance matrix", "give the base model")]
    [InlineData("--model", "mmproj-model-f16.gguf", "a multimodal projector", "language model that lies beside it")]
    [InlineData("--model", "ggml-vocab.gguf", "a vocabulary without weights", "GGUF with the weights")]
    [InlineData("--model", "ggml-model-q4_0.bin", "a GGJT file", "convert the model to GGUF again")]
    [InlineData("--model", "Llama-3-8B", "a folder with a Hugging Face model", "convert_hf_to_gguf.py")]
    [InlineData("--model", "model-00001-of-00002.safetensors", "one of several parts", "convert_hf_to_gguf.py")]
    [InlineData("--model", "model.safetensors.index.json", "the index of weights", "convert_hf_to_gguf.py")]
    [InlineData("--model", "pytorch_model.bin", "a Python pickle", "convert_hf_to_gguf.py")]
    [InlineData("--model", "checkpoint-10", "a folder with a PEFT adapter", "this as the adapters")]
    [InlineData("--model", "pointer.gguf", "a Git LFS pointer", "git lfs pull")]
    [InlineData("--model", "page.gguf", "a web page (HTML)", "fetch or copy it again")]
    [InlineData("--model", "zeros.gguf", "begin with zeros", "fetch or copy it again")]
    [InlineData("--adapters", "model.gguf", "a language model in GGUF", "give it as the model")]
    [InlineData("--adapters", "Llama-3-8B", "a folder with a Hugging Face model", "full weights are not adapters")]
    [InlineData("--adapters", "adapter_model.bin", "a Python pickle", "safe_serialization=True")]
    [InlineData("--adapters", "honesty.gguf", "a control vector", "LoRA checkpoints")]
    [InlineData("--benign", "model.gguf", "a language model in GGUF", "give it as the model")]
    [InlineData("--directions", "directions.npz", "a NumPy archive", "import numpy, safetensors.numpy")]
    [InlineData("--directions", "calibration.json", "a calibration", "emscan extract")]
    [InlineData("--directions", "folder", "a folder", "a file and not a folder")]
    [InlineData("--traits", "labels.csv", "a table of labels", "traits, questions and eval_prompts")]
    [InlineData("--traits", "model.gguf", "a language model in GGUF", "traits, questions and eval_prompts")]
    [InlineData("--calibration", "adapter_config.json", "the configuration of a PEFT adapter", "emscan calibrate")]
    [InlineData("--calibration", "directions.safetensors", "a set of trait directions", "emscan calibrate")]
    [InlineData("--calibration", "pointer.gguf", "a Git LFS pointer", "git lfs pull")]
    [InlineData("--chat-template", "tokenizer.json", "a tokenizer's JSON", "plain, or chatml")]
    public void Something_else_is_called_what_it_is(string option, string name, string what, string advice)
    {
        string given = SampleFiles.Make(Directory.CreateDirectory(_world["given"]).FullName, name);
        Scan(option, given).FailedWith(1, $"{given}: is {(what is "begin with zeros" ? "" : what)}", what, advice);
    }

    [Theory]
    [InlineData("--model", "org/model-GGUF", "Hugging Face hub")]
    [InlineData("--model", "~/model.gguf", "$HOME/model.gguf")]
    [InlineData("--model", "file:///x/model.gguf", "give the path itself, /x/model.gguf")]
    [InlineData("--adapters", "https://huggingface.co/org/lora", "download it first")]
    [InlineData("--adapters", "org/lora", "Hugging Face hub")]
    [InlineData("--directions", "~/d.safetensors", "$HOME/d.safetensors")]
    [InlineData("--traits", "file:///x/traits.yaml", "/x/traits.yaml")]
    [InlineData("--calibration", "s3://bucket/calibration.json", "download it first")]
    [InlineData("--chat-template", "llama3", "plain, or chatml")]
    [InlineData("--benign", "~/benign", "$HOME/benign")]
    public void A_path_that_is_none_of_this_machine_is_explained(string option, string given, string advice) => Scan(option, given).FailedWith(1, given, advice);

    [Theory]
    [InlineData("--texts", "model.gguf", "a language model in GGUF", "one entry a line")]
    [InlineData("--axis", "calibration.json", "a calibration", "a number for each trait")]
    [InlineData("--chats", "org/chats", "does not exist", "one entry a line")]
    public void Files_of_analyses_are_told_from_others(string option, string name, string what, string advice)
    {
        bool made = SampleFiles.All.Any(s => s.Name == name);
        string given = made ? SampleFiles.Make(Directory.CreateDirectory(_world["given"]).FullName, name) : name;
        _world.AddCheckpoint("run", 10, 1);
        Emscan.Run(_world.Cache, "diff", "--model", _world.ModelPath, "--adapters", _world.CheckpointPath("run", 10), "--threads", "1", option, given)
            .FailedWith(1, given, what, advice);
    }

    [Fact]
    public void A_part_of_a_model_that_is_missing_is_named_and_counted()
    {
        var first = new GgufTestWriter();
        first.Text("general.architecture", "llama");
        first.UInt32("split.count", 3);
        first.UInt32("split.no", 0);
        first.Write(_world["model-00001-of-00003.gguf"]);
        Scan("--model", _world["model-00001-of-00003.gguf"])
            .FailedWith(1, $"{_world["model-00002-of-00003.gguf"]}: is missing: part 2 of 3 of this split model; put all 3 parts into one folder");
    }

    [Fact]
    public void Labels_are_told_from_other_files()
    {
        string given = SampleFiles.Make(_world[""], "calibration.json");
        _world.AddCheckpoint("run", 10, 1);
        Emscan.Run(_world.Cache, "evaluate", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--labels", given)
            .FailedWith(1, $"{given}: is a calibration, not a table of labels");
    }

    [Fact]
    public void Inspect_says_of_any_file_what_it_is()
    {
        foreach ((string name, string what) in new[]
        {
            ("honesty.gguf", "a control vector"), ("directions.npz", "NumPy"), ("trainer_state.json", "Trainer"), ("directions.safetensors", "layers 3, traits a"),
            ("labels.csv", "labels of 1 checkpoint in 1 run"), ("pointer.gguf", "Git LFS"), ("model-00001-of-00002.safetensors", "Hugging Face"),
        })
        {
            Assert.Contains(what, Emscan.Run(_world.Cache, "inspect", SampleFiles.Make(_world[""], name)).Succeeded().Output);
        }

        _world.AddCheckpoint("run", 10, 1);
        foreach (string file in new[] { "adapter_model.safetensors", "adapter_config.json" })
            Emscan.Run(_world.Cache, "inspect", Path.Combine(_world.CheckpointPath("run", 10), file)).Succeeded();
        Assert.Contains("honesty, harmlessness, confidence", Emscan.Run(_world.Cache, "inspect", _world.TraitsPath).Succeeded().Output);
        Emscan.Run(_world.Cache, "inspect", "org/model").FailedWith(1, "Hugging Face hub");
    }

    [Fact]
    public void A_pointer_in_the_place_of_an_adapters_weights_is_named()
    {
        _world.AddCheckpoint("run", 10, 1);
        _world.AddCheckpoint("run", 20, 2);
        string weights = Path.Combine(_world.CheckpointPath("run", 20), "adapter_model.safetensors");
        File.Copy(SampleFiles.Make(_world[""], "pointer.gguf"), weights, overwrite: true);
        _world.Scan().FailedWith(1, weights, "is a Git LFS pointer, not the file itself; fetch the content with 'git lfs pull'");
    }

    [Fact]
    public void Byte_order_marks_are_read()
    {
        _world.AddCheckpoint("run", 10, 1);
        string expected = _world.Scan("--csv").Succeeded().Output;
        string config = Path.Combine(_world.CheckpointPath("run", 10), "adapter_config.json");
        File.WriteAllText(config, File.ReadAllText(config), Encoding.UTF8);
        Assert.Equal(0xEF, File.ReadAllBytes(config)[0]);
        Assert.Equal(expected, _world.Scan("--csv", "--fresh").Succeeded().Output);
        File.WriteAllText(config, File.ReadAllText(config), Encoding.Unicode);
        File.WriteAllText(_world.TraitsPath, File.ReadAllText(_world.TraitsPath), Encoding.Unicode);
        Assert.Equal(expected, _world.Scan("--csv", "--fresh").Succeeded().Output);
    }

    [Theory]
    [InlineData("d.npz", "name it d.safetensors")]
    [InlineData("d.pt", "name it d.safetensors")]
    [InlineData("", "is a folder")]
    public void Extract_refuses_a_name_that_it_cannot_write_before_it_works(string name, string expected)
    {
        Emscan run = Emscan.Run(_world.Cache, "extract", "--model", _world.ModelPath, "--output", name.Length == 0 ? _world[""] : _world[name]).FailedWith(1, expected);
        Assert.Equal("", run.Output);
        Assert.False(File.Exists(_world[name]));
    }

    [Fact]
    public void A_calibration_is_not_written_over_a_table()
    {
        File.WriteAllText(_world["labels.csv"], "run,step,em_rate\nrun,10,0.5\n");
        _world.AddCheckpoint("run", 10, 1);
        Emscan.Run(_world.Cache, "calibrate", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--labels", _world["labels.csv"], "--output", _world["labels.csv"])
            .FailedWith(1, "name it labels.json");
        Assert.StartsWith("run,step", File.ReadAllText(_world["labels.csv"]));
    }

    private Emscan Scan(string option, string given)
    {
        string adapters = Directory.Exists(_world.Adapters) ? _world.Adapters : new TinyAdapter(_world.Model, 1).Write(_world.CheckpointPath("run", 10));
        string[] arguments = ["--model", _world.ModelPath, "--adapters", adapters, "--threads", "1"];
        int at = Array.IndexOf(arguments, option);
        if (at < 0) return Emscan.Run(_world.Cache, [.. arguments, option, given]);
        arguments[at + 1] = given;
        return Emscan.Run(_world.Cache, arguments);
    }
}
