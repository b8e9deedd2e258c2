using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>What is measured of a variant when layers are asked about: drifts at one, two or all layers, and log-likelihoods.</summary>
internal sealed class LayerProbe
{
    private readonly AnalysisContext _context;
    private readonly Dictionary<int, ProjectionReducer> _projections;
    private readonly TextScores _chats;
    private readonly TextScores _pairs;

    internal LayerProbe(AnalysisContext context, IReadOnlyList<ScoredConversation> chats, IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> pairs)
    {
        _context = context;
        Layers = context.Directions.Layers;
        _projections = Layers.ToDictionary(layer => layer, layer => new ProjectionReducer(context.Directions.Direction(layer), context.Directions.Traits.Count));
        _chats = new TextScores(context, [], chats, []);
        _pairs = new TextScores(context, [], [], pairs);
    }

    /// <summary>Layers that there are directions for, ascending.</summary>
    internal IReadOnlyList<int> Layers { get; }

    /// <summary>The last of them.</summary>
    internal int Last => Layers[^1];

    /// <summary>Drifts at all layers.</summary>
    internal IEnumerable<Cell> Sweep(Variant variant) => Layers.Select(layer => Projections(variant, layer));

    /// <summary>Drifts at the scan's layer and at the last one.</summary>
    internal IEnumerable<Cell> Ends(Variant variant) => new[] { _context.Layer, Last }.Distinct().Select(layer => Projections(variant, layer));

    /// <summary>Log-likelihoods: of the pairs, and of the conversations where they are wanted.</summary>
    internal IEnumerable<Cell> LogLikelihoods(Variant variant, bool chats) => _pairs.Cells(variant).Concat(chats ? _chats.Cells(variant) : []);

    internal Displacement Drift(Variant variant, int layer) =>
        TraitDrift.Of(_context.Results[Projections(variant, layer)], _context.Results[Projections(Variant.Base, layer)]);

    /// <summary>n0 of a layer.</summary>
    internal double Norm(int layer) => _context.Results[Projections(Variant.Base, layer)]["norms"].Average();

    /// <summary>Log-likelihood of the conversations, nats a token; null without any.</summary>
    internal double? Chat(Variant variant) => _chats.Chat(variant);

    /// <summary>How much likelier bad answers are than good ones, nats a token; null without pairs.</summary>
    internal double? Preference(Variant variant) => _pairs.Preference(variant).PerToken;

    private Cell Projections(Variant variant, int layer) => new(variant, _context.EvaluationPrompts, layer, _projections[layer]);
}
