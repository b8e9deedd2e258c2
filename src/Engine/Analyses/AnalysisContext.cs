using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;
using EmScan.Kernels;

namespace EmScan.Engine.Analyses;

/// <summary>What analyses know: the model, its traits and prompts, and what was measured.</summary>
/// <remarks>Used by one thread at a time.</remarks>
internal sealed class AnalysisContext : IDisposable
{
    private readonly GgufModel _model;
    private readonly Lazy<Lens> _lens;

    internal AnalysisContext(GgufModel model, TextEncoder encoder, DirectionSet directions, PromptSet evaluationPrompts, FindingsHeader header, CellResults results)
    {
        _model = model;
        _lens = new Lazy<Lens>(() => Lens.Open(model.File, header.Threads, KernelDevice));
        KernelDevice = new CpuKernelDevice(header.Threads);
        Encoder = encoder;
        Directions = directions;
        EvaluationPrompts = evaluationPrompts;
        Header = header;
        Results = results;
    }

    /// <summary>Number of blocks L; layers run from 0 to L - 1.</summary>
    public int LayerCount => Header.LayerCount;

    /// <summary>Width of the residual stream, D.</summary>
    public int HiddenSize => Header.HiddenSize;

    /// <summary>The layer that the scan measures.</summary>
    public int Layer => Header.Layer;

    /// <summary>n0 at that layer.</summary>
    public double Step0Norm => Header.Step0Norm;

    /// <summary>The model's tokenizer.</summary>
    public Vocabulary Vocabulary => _model.Vocabulary;

    /// <summary>The model's final norm and head, decoded from its file.</summary>
    /// <exception cref="InputFileException">The architecture's head is not known here, or cannot be read.</exception>
    public Lens Lens => _lens.Value;

    /// <summary>Where second moments and products with the vocabulary are computed; owned. Set before anything is measured.</summary>
    public IKernelDevice KernelDevice { get; set; }

    /// <summary>Turns texts, conversations and pairs into prompt sets.</summary>
    public TextEncoder Encoder { get; }

    /// <summary>Trait directions.</summary>
    public DirectionSet Directions { get; }

    /// <summary>The evaluation prompts, at their last input token.</summary>
    public PromptSet EvaluationPrompts { get; }

    /// <summary>The evaluation prompts as texts.</summary>
    public IReadOnlyList<string> EvaluationTexts { get; init; } = [];

    /// <summary>The traits whose directions these are.</summary>
    internal TraitSet? TraitSet { get; init; }

    /// <summary>Renders a system text and a question, as the directions were extracted.</summary>
    internal IPromptEncoder? Prompts { get; init; }

    /// <summary>The model's header.</summary>
    internal GgufFile ModelFile => _model.File;

    /// <summary>The head of the report.</summary>
    public FindingsHeader Header { get; }

    /// <summary>What was measured.</summary>
    public CellResults Results { get; }

    /// <summary>Whether the model's numbers carry the error of a quantization or of the fast numeric mode, which small differences drown in.</summary>
    public bool IsApproximate { get; init; }

    /// <summary>Reads an adapter in the terms of the model.</summary>
    /// <exception cref="InputFileException">It is malformed, does not fit this model, or cannot be represented exactly.</exception>
    internal LoraAdapter Read(AdapterSource adapter) => AdapterReader.Open(adapter.Path, _model.File);

    /// <summary>Closes the model's head and the device.</summary>
    public void Dispose()
    {
        if (_lens.IsValueCreated) _lens.Value.Dispose();
        KernelDevice.Dispose();
    }
}
