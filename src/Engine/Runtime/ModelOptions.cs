using Microsoft.Extensions.Logging;

namespace EmScan.Engine.Runtime;

/// <summary>How a model is loaded.</summary>
public sealed record ModelOptions
{
    /// <summary>Blocks to keep on the accelerator: -1 (the default) means all of them where there is one, 0 the CPU only.</summary>
    public int GpuLayers { get; init; } = -1;

    /// <summary>Name of the device to use (<c>cpu</c>, <c>CUDA0</c>, <c>Vulkan0</c>, ...), or null for llama.cpp's choice.</summary>
    public string? Device { get; init; }

    /// <summary>Folder with llama.cpp's libraries; null means <see cref="LlamaLibrary.DirectoryVariable"/>, else the ones shipped.</summary>
    public string? LlamaDirectory { get; init; }

    /// <summary>
    /// Receives llama.cpp's log, category <c>EmScan.Llama</c>; null leaves it silent, or with the factory that was given last: a process has one
    /// log. Where a host has given LLamaSharp a log callback, the log stays the host's.
    /// </summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>Loads the vocabulary and no weights: enough to tokenize, and to read what was measured before.</summary>
    internal bool VocabularyOnly { get; init; }

    /// <summary>Copies the weights into memory instead of mapping the file. Only the benchmark does, to show what it costs.</summary>
    internal bool CopyWeights { get; init; }
}
