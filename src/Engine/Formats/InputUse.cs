using System.Text.RegularExpressions;

namespace EmScan.Engine.Formats;

/// <summary>What a path was given for. Each use says in one sentence what a wrong file is and what to do instead.</summary>
internal sealed partial class InputUse
{
    private readonly string _expected;
    private readonly string _advice;
    private readonly FileKind[] _accepted;
    private readonly bool _folder;

    private InputUse(string expected, string advice, FileKind[] accepted, bool folder = false) =>
        (_expected, _advice, _accepted, _folder) = (expected, advice, accepted, folder);

    /// <summary>The base model.</summary>
    public static InputUse Model { get; } = new("a base model in GGUF", "give the base model in GGUF", [FileKind.Model, FileKind.OtherGguf]);

    /// <summary>LoRA checkpoints: a folder of any depth, or one adapter.</summary>
    public static InputUse Adapters { get; } = new(
        "LoRA checkpoints", "give the folder that holds the LoRA checkpoints, or one of them",
        [FileKind.LoraGguf, FileKind.AdapterWeights, FileKind.AdapterConfig, FileKind.AdapterFolder, FileKind.OtherFolder, FileKind.OtherGguf], folder: true);

    /// <summary>Trait directions.</summary>
    public static InputUse Directions { get; } = new(
        "a set of trait directions in safetensors, or control vectors in GGUF", "'emscan extract' writes both", [FileKind.Directions, FileKind.ControlVector, FileKind.OtherSafetensors]);

    /// <summary>A trait set.</summary>
    public static InputUse Traits { get; } = new(
        "a trait set in YAML", "give a YAML file with the keys traits, questions and eval_prompts", [FileKind.Traits, FileKind.OtherText, FileKind.OtherJson, FileKind.TrainingConfig, FileKind.ChatTemplate]);

    /// <summary>A calibration.</summary>
    public static InputUse Calibration { get; } = new("a calibration", "'emscan calibrate' writes one", [FileKind.Calibration, FileKind.OtherJson]);

    /// <summary>Labels.</summary>
    public static InputUse Labels { get; } = new(
        "a table of labels in CSV", "give a CSV file with the columns run, step and em_rate", [FileKind.Labels, FileKind.OtherText, FileKind.ChatTemplate]);

    /// <summary>A chat template.</summary>
    public static InputUse ChatTemplate { get; } = new(
        "a chat template in Jinja", "give a file with the template's text, or plain, or chatml", [FileKind.ChatTemplate, FileKind.OtherText, FileKind.TrainingConfig, FileKind.Traits, FileKind.WebPage, FileKind.OtherJson]);

    /// <summary>Texts, words or JSON objects, one a line.</summary>
    public static InputUse Lines { get; } = new(
        "a text file", "give a text file in UTF-8, one entry a line",
        [FileKind.OtherText, FileKind.OtherJson, FileKind.ChatTemplate, FileKind.Traits, FileKind.TrainingConfig, FileKind.WebPage]);

    /// <summary>Loadings of a drift axis.</summary>
    public static InputUse Axis { get; } = new("the loadings of an axis", "give a JSON object with a number for each trait", [FileKind.OtherJson]);

    /// <summary>Any GGUF file.</summary>
    internal static InputUse Gguf { get; } = new("a GGUF file", "give a GGUF file", []);

    /// <summary>Any safetensors file.</summary>
    internal static InputUse Safetensors { get; } = new("a safetensors file", "give a safetensors file", []);

    /// <summary>Any file or folder that is there.</summary>
    public static InputUse Anything { get; } = new("a file or folder", "give a file or folder", Enum.GetValues<FileKind>(), folder: true);

    /// <summary>Refuses a path that is not there, or whose content is known to be something else.</summary>
    /// <exception cref="InputFileException">It says what the thing is and what to do.</exception>
    public void Require(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!File.Exists(path) && !Directory.Exists(path)) throw new InputFileException(path, Missing(path, this));
        Require(path, RecognisedFile.Of(path));
    }

    /// <summary>Refuses what is known to be something else.</summary>
    /// <exception cref="InputFileException">It says what the thing is and what to do.</exception>
    internal void Require(string path, RecognisedFile found)
    {
        if (found.Kind is FileKind.Unknown or FileKind.Missing || _accepted.Contains(found.Kind)) return;
        throw new InputFileException(path, Sentence(path, found));
    }

    /// <summary>What is wrong with a file that is not what was expected, and what to do; without the path.</summary>
    internal string Sentence(string path, RecognisedFile found) => $"is {found.What}{Not(found.Kind)}; {Advice(path, found.Kind)}";

    private string Not(FileKind kind) => kind is FileKind.OtherFolder or FileKind.Empty or FileKind.Zeros or FileKind.GitLfsPointer or FileKind.WebPage ? "" : $", not {_expected}";

    private string Advice(string path, FileKind kind) => (kind, this) switch
    {
        (FileKind.Empty or FileKind.Zeros or FileKind.WebPage, _) => "fetch or copy it again",
        (FileKind.GitLfsPointer, _) => "fetch the content with 'git lfs pull'",
        (FileKind.Archive, _) => "unpack it and give what is in it",
        (FileKind.ModelWeights or FileKind.ModelFolder or FileKind.WeightsIndex or FileKind.ModelConfig or FileKind.Tokenizer, _) when this == Model =>
            "convert the model with llama.cpp's convert_hf_to_gguf.py and give the GGUF",
        (FileKind.Pickle, _) when this == Model => "pickles are not opened here; convert the model with llama.cpp's convert_hf_to_gguf.py and give the GGUF",
        (FileKind.OldGgml, _) when this == Model => "llama.cpp no longer reads it; convert the model to GGUF again, or take a newer file",
        (FileKind.VocabularyOnly, _) when this == Model => "take the GGUF with the weights",
        (FileKind.Projector, _) when this == Model => "give the GGUF of the language model that lies beside it",
        (FileKind.LoraGguf or FileKind.AdapterFolder or FileKind.AdapterWeights or FileKind.AdapterConfig, _) when this == Model =>
            "give the model it was trained on as the model, and this as the adapters",
        (FileKind.Model, _) when this == Adapters => "give it as the model",
        (FileKind.ModelFolder or FileKind.ModelWeights or FileKind.WeightsIndex or FileKind.ModelConfig, _) when this == Adapters =>
            "full weights are not adapters; save the finetuning as a LoRA adapter",
        (FileKind.Pickle, _) when this == Adapters => "pickles are not opened here; save the adapter with save_pretrained(..., safe_serialization=True)",
        (FileKind.OldGgml, _) when this == Adapters => "convert the adapter with llama.cpp's convert_lora_to_gguf.py",
        (FileKind.NumPy, _) when this == Directions => NumPyToDirections(path),
        (FileKind.Directions, _) when this != Directions => $"directions are read where directions are given; {_advice}",
        (FileKind.OtherFolder or FileKind.AdapterFolder or FileKind.ModelFolder, _) when !_folder => $"{_advice}, a file and not a folder",
        _ => _advice,
    };

    /// <summary>The line of Python that makes directions of an .npz with one array "unit" of shape (L, K, D).</summary>
    private static string NumPyToDirections(string path)
    {
        string name = InputFile.OneLine(Path.GetFileName(path));
        return "write it as safetensors with this line of Python and give that: "
            + $"import numpy, safetensors.numpy as s; u = numpy.load(\"{name}\")[\"unit\"]; s.save_file({{f\"layer_{{i}}\": x.astype(\"float32\") for i, x in enumerate(u)}}, "
            + $"\"{Path.ChangeExtension(name, ".safetensors")}\", {{\"traits\": \"NAME_1,NAME_2,...\"}}) # unit: (layers, traits, width)";
    }

    /// <summary>Why nothing is found under a path, and what to do: it may be a web address, a hub's name, or a shell's abbreviation.</summary>
    internal static string Missing(string path, InputUse? use = null)
    {
        string what = use?._advice is { } advice ? $"; {advice}" : "";
        if (path is "~" || path.StartsWith("~/", StringComparison.Ordinal))
            return $"does not exist: a shell replaces ~ only at the start of a word, not behind = or in quotes; write \"$HOME{InputFile.OneLine(path[1..])}\"";
        if (path.StartsWith("file:", StringComparison.OrdinalIgnoreCase))
        {
            bool parsed = Uri.TryCreate(path, UriKind.Absolute, out Uri? uri) && uri.IsFile;
            return $"is a URL; give the path itself{(parsed ? $", {InputFile.OneLine(uri!.LocalPath)}" : "")}";
        }

        if (RemoteAddress().Match(path) is { Success: true })
            return $"is an address of another machine, and nothing is fetched from the network; download it first and give the path of the file{(use?._folder == true ? " or folder" : "")}";
        if (path.Contains('$') || path.Contains('%')) return $"does not exist; is a variable in it unset or quoted?{(use is null ? "" : $" {Capital(use._advice)}")}";
        if (path.AsSpan().ContainsAny('*', '?')) return $"does not exist: the pattern fits nothing, or it is in quotes{what}";
        if (use is not null && (use == Model || use._folder) && HubName().IsMatch(path))
        {
            return $"does not exist; if it is the name of a repository on the Hugging Face hub, download {(use == Model ? "a GGUF of it" : "it")} first "
                + "(hf download NAME --local-dir DIR) and give the path: nothing is fetched from the network";
        }

        return Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder && !Directory.Exists(folder)
            ? $"does not exist, nor does its folder{what}"
            : $"does not exist{what}";
    }

    private static string Capital(string text) => char.IsAsciiLetter(text[0]) ? char.ToUpperInvariant(text[0]) + text[1..] : text;

    [GeneratedRegex(@"^(?:[a-z][a-z0-9+.-]+://|hf\.co/|huggingface\.co/|www\.|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:)", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex RemoteAddress();

    // owner/name, with a revision or a quantization behind a colon or @.
    [GeneratedRegex(@"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?:[:@][\w.-]+)?$", RegexOptions.CultureInvariant)]
    private static partial Regex HubName();
}
