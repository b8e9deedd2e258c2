using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>What is measured at every point between models: drift, and log-likelihoods of texts.</summary>
internal sealed class PathProbe
{
    private readonly AnalysisContext _context;
    private readonly double[]? _axis;
    private readonly TextScores _scores;

    internal PathProbe(AnalysisContext context, PathRequest request)
    {
        _context = context;
        _axis = request.Axis;
        _scores = new TextScores(context, request.Texts, request.Chats, request.Pairs);
    }

    /// <summary>The cells of a variant.</summary>
    /// <param name="variant">The variant.</param>
    /// <param name="heldOut">Further texts, each with a log-likelihood of its own.</param>
    internal IEnumerable<Cell> Cells(Variant variant, params IEnumerable<PromptSet?> heldOut) => _scores.Cells(variant, heldOut).Prepend(Projections(variant));

    /// <summary>The drift of a variant.</summary>
    internal Displacement Drift(Variant variant) => TraitDrift.Of(_context, variant, _context.Layer);

    /// <summary>m, the mean change of the hidden state over the evaluation prompts, (D), in activation units: the head's norm has an epsilon in them.</summary>
    internal double[] MeanChange(Variant variant) =>
        [.. _context.Results[Projections(variant)]["mean"].Zip(_context.Results[Projections(Variant.Base)]["mean"], (after, before) => after - before)];

    /// <summary>a = x . loadings; null without an axis.</summary>
    internal double? Axis(Displacement drift) => _axis == null ? null : drift.PerTrait.Zip(_axis, (x, loading) => x * loading).Sum();

    /// <summary>Standard error over prompts of |x| and of a.</summary>
    internal (double Magnitude, double Axis) StandardErrors(Variant variant, Displacement drift)
    {
        double[] after = _context.Results[Projections(variant)]["projections"], before = _context.Results[Projections(Variant.Base)]["projections"];
        int traits = _context.Directions.Traits.Count, prompts = after.Length / traits;
        return (drift.PromptDeviation / Math.Sqrt(prompts), _axis == null ? double.NaN : Error(_axis));

        double Error(double[] weights)
        {
            double[] values = [.. Enumerable.Range(0, prompts).Select(p => Enumerable.Range(0, traits).Sum(k => weights[k] * (after[(p * traits) + k] - before[(p * traits) + k]) / _context.Step0Norm))];
            return Sample.StandardError(values);
        }
    }

    /// <summary>Log-likelihood of the plain texts, nats per scored token; null without texts.</summary>
    internal double? Plain(Variant variant) => _scores.Plain(variant);

    /// <summary>The same of the answers of conversations.</summary>
    internal double? Chat(Variant variant) => _scores.Chat(variant);

    /// <summary>The same of further texts.</summary>
    internal double? Pooled(Variant variant, PromptSet? texts) => _scores.Pooled(variant, texts);

    /// <summary>The loss that a curve is searched by: of both held-out texts where there are some, else of chats, else of plain texts.</summary>
    internal string Objective((PromptSet? A, PromptSet? B) heldOut) => heldOut is { A: not null, B: not null } ? "loss_mixed" : _scores.Conversations != null ? "loss" : "loss_plain";

    /// <summary>That loss on every second text, from the first (0) or the second (1) on; on all where there is but one.</summary>
    internal double HalfLoss(Variant variant, (PromptSet? A, PromptSet? B) heldOut, int half)
    {
        PromptSet[] texts = heldOut is { A: { } a, B: { } b } ? [a, b] : [_scores.Conversations ?? _scores.Texts!];
        return texts.Average(some =>
        {
            CellResult result = _scores.Read(variant, some);
            double[] sum = result["sum"], count = result["count"];
            int[] chosen = sum.Length == 1 ? [0] : [.. Enumerable.Range(0, sum.Length).Where(i => i % 2 == half)];
            return -chosen.Sum(i => sum[i]) / chosen.Sum(i => count[i]);
        });
    }

    /// <summary>How much more likely bad answers are than good ones; null without pairs.</summary>
    internal (double? PerToken, double? Sum) Preference(Variant variant) => _scores.Preference(variant);

    private Cell Projections(Variant variant) => TraitDrift.Projections(_context, variant, _context.Layer);
}
