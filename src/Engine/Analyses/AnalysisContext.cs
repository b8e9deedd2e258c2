using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Analyses;

/// <summary>What analyses know: the model, its traits and prompts, and what was measured.</summary>
/// <remarks>Used by one thread at a time.</remarks>
public sealed class AnalysisContext
{
    private readonly GgufModel _model;

    internal AnalysisContext(GgufModel model, TextEncoder encoder, DirectionSet directions, PromptSet evaluationPrompts, FindingsHeader header, CellResults results)
    {
        _model = model;
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

    /// <summary>Turns texts, conversations and pairs into prompt sets.</summary>
    public TextEncoder Encoder { get; }

    /// <summary>Trait directions.</summary>
    public DirectionSet Directions { get; }

    /// <summary>The evaluation prompts, at their last input token.</summary>
    public PromptSet EvaluationPrompts { get; }

    /// <summary>The head of the report.</summary>
    public FindingsHeader Header { get; }

    /// <summary>What was measured.</summary>
    public CellResults Results { get; }

    /// <summary>Whether the model's numbers carry the error of a quantization or of the fast numeric mode, which small differences drown in.</summary>
    public bool IsApproximate { get; init; }
}
