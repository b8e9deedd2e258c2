namespace EmScan.Engine.Formats;

/// <summary>What a file or folder is, as far as its bytes and names tell.</summary>
internal enum FileKind
{
    /// <summary>None of the others; its own reader will say what is wrong with it.</summary>
    Unknown,

    /// <summary>Nothing has this path.</summary>
    Missing,

    /// <summary>A file of 0 bytes.</summary>
    Empty,

    /// <summary>A file whose first bytes are all zero: space that a download has reserved.</summary>
    Zeros,

    /// <summary>A pointer that Git LFS keeps in the place of a file that was not fetched.</summary>
    GitLfsPointer,

    /// <summary>HTML or XML, usually the error page that a server sent instead of the file.</summary>
    WebPage,

    /// <summary>A language model in GGUF.</summary>
    Model,

    /// <summary>A LoRA adapter in GGUF.</summary>
    LoraGguf,

    /// <summary>A control vector in GGUF (repeng, llama.cpp's cvector-generator).</summary>
    ControlVector,

    /// <summary>An importance matrix, GGUF or the older binary form.</summary>
    ImportanceMatrix,

    /// <summary>A multimodal projector (mmproj, clip) in GGUF.</summary>
    Projector,

    /// <summary>GGUF with a tokenizer and no weights.</summary>
    VocabularyOnly,

    /// <summary>GGUF of another kind, or one whose header cannot be read.</summary>
    OtherGguf,

    /// <summary>A model or adapter in a format that llama.cpp had before GGUF.</summary>
    OldGgml,

    /// <summary>Weights of a PEFT adapter in safetensors.</summary>
    AdapterWeights,

    /// <summary>Trait directions in safetensors.</summary>
    Directions,

    /// <summary>Weights of a model, or a part of them, in safetensors.</summary>
    ModelWeights,

    /// <summary>Other safetensors.</summary>
    OtherSafetensors,

    /// <summary>NumPy's .npz or .npy.</summary>
    NumPy,

    /// <summary>A Python pickle, as torch.save writes it.</summary>
    Pickle,

    /// <summary>A zip, tar, gzip or other archive.</summary>
    Archive,

    /// <summary>Another well-known binary format (HDF5, Parquet, SQLite, ...).</summary>
    OtherBinary,

    /// <summary>adapter_config.json of a PEFT adapter.</summary>
    AdapterConfig,

    /// <summary>The index of weights that are split over several files.</summary>
    WeightsIndex,

    /// <summary>config.json of a Hugging Face model.</summary>
    ModelConfig,

    /// <summary>A tokenizer's JSON.</summary>
    Tokenizer,

    /// <summary>trainer_state.json of the Hugging Face Trainer.</summary>
    TrainerState,

    /// <summary>trajectory.json of one run.</summary>
    Trajectory,

    /// <summary>A calibration.</summary>
    Calibration,

    /// <summary>A report of a scan in JSON or CSV.</summary>
    ScanReport,

    /// <summary>Labels: measured EM rates in CSV.</summary>
    Labels,

    /// <summary>A trait set in YAML.</summary>
    Traits,

    /// <summary>A training configuration in YAML.</summary>
    TrainingConfig,

    /// <summary>A chat template in Jinja.</summary>
    ChatTemplate,

    /// <summary>Other JSON.</summary>
    OtherJson,

    /// <summary>Other text.</summary>
    OtherText,

    /// <summary>A folder with a PEFT adapter.</summary>
    AdapterFolder,

    /// <summary>A folder with a Hugging Face model.</summary>
    ModelFolder,

    /// <summary>Another folder.</summary>
    OtherFolder,
}
