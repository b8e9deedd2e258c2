using EmScan.Engine.Adapters;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Engine.Analyses.Invariance;

/// <summary>Which traits predict the EM rate with the same slope in every environment, and does a detector do better with those alone?</summary>
/// <remarks>Definitions: docs/invariance.md. Invariant prediction: Peters, Bühlmann and Meinshausen 2016 (arXiv 1501.01332).</remarks>
internal sealed partial class InvarianceStudy
{
    private const int FewestEnvironments = 3, RandomDraws = 20;

    private readonly InvarianceRequest _request;
    private readonly FindingsHeader _header;
    private readonly LabelledObservation[] _all;
    private readonly string[] _environments;
    private readonly IReadOnlyList<string> _traits;
    private readonly List<Remark> _notes = [];
    private readonly TraitSlopes[] _slopes;
    private readonly TraitSlopes[] _roots;

    private InvarianceStudy(InvarianceRequest request, FindingsHeader header)
    {
        _request = request;
        _header = header;
        _all = [.. request.Sets.SelectMany(s => s.Checkpoints)];
        _traits = _all[0].Observation.Traits;
        if (_all.FirstOrDefault(c => !c.Observation.Traits.SequenceEqual(_traits)) is { } other)
            throw new EmScanException($"The traits of {other.Observation.Model} ({string.Join(", ", other.Observation.Traits)}) are not those of {_all[0].Observation.Model} ({string.Join(", ", _traits)}); measure all models with one trait set.");
        LabelledObservation[] known = [.. _all.Where(c => Environment(c) != null)];
        if (known.Length < _all.Length)
            _notes.Add(new Remark("no-seed", $"{string.Join(", ", _all.Except(known).Select(c => c.Observation.Run).Distinct())}: nothing tells the seed; left out."));
        _all = known;
        _environments = [.. _all.Select(c => Environment(c)!).Distinct().Order(NaturalOrder.Instance)];
        if (_environments.Length < FewestEnvironments)
        {
            throw new EmScanException(
                $"There {(_environments.Length == 1 ? "is 1 environment" : $"are {_environments.Length} environments")} by {Kind} ({string.Join(", ", _environments)}), and invariance needs at least {FewestEnvironments}; label runs of more, or look at another kind of environment.");
        }

        _slopes = [.. _traits.Select((_, k) => TraitSlopes.Of(Points(c => c.Observation.Displacement.PerTrait[k], root: false)))];
        _roots = [.. _traits.Select((_, k) => TraitSlopes.Of(Points(c => c.Observation.Displacement.PerTrait[k], root: true)))];
    }

    private string Kind => _request.By.ToString().ToLowerInvariant();

    /// <summary>Looks for traits that are invariant.</summary>
    /// <param name="request">The checkpoints, and what an environment is.</param>
    /// <exception cref="EmScanException">There are fewer than three environments, or the traits differ.</exception>
    internal static Findings Conclude(InvarianceRequest request)
    {
        FindingsHeader header = (request.Sets.Count > 0 ? request.Sets[0].Header : null) ?? throw new EmScanException("There are no labelled checkpoints.");
        return new InvarianceStudy(request, header).ToFindings();
    }

    private string? Environment(LabelledObservation c)
    {
        string? name = _request.By switch { EnvironmentKind.Model => c.Observation.Model, EnvironmentKind.Seed => c.Seed == null ? null : $"seed_{c.Seed}", _ => c.Perturbation };
        return name == null || _request.By == EnvironmentKind.Model || _request.Sets.Count == 1 ? name : $"{c.Observation.Model}: {name}";
    }

    private (string Name, SlopePoint[] Points)[] Points(Func<LabelledObservation, double> x, bool root) =>
    [
        .. _environments.Select(e => (e, _all.Where(c => Environment(c) == e).Select(c => new SlopePoint(
            $"{c.Observation.Model}\n{c.Observation.Run}", x(c), root ? Math.Sqrt(c.EmRate) : c.EmRate, Noise(c, root))).ToArray())),
    ];

    /// <summary>Sampling variance of a measured rate, at a rate that is never 0 or 1 (Agresti and Coull 1998); of its root, 1 / 4n.</summary>
    private static double Noise(LabelledObservation c, bool root)
    {
        if (c.ScoredCount is not { } n || n <= 0) return 0;
        double rate = ((c.EmRate * n) + 2) / (n + 4);
        return root ? 0.25 / n : rate * (1 - rate) / n;
    }

    private double Flag => _request.Learner.FlaggedAbove(_request.DangerousAbove);

    /// <summary>The same slopes along directions that mean nothing, one set of them for each base model.</summary>
    private TraitSlopes[] RandomDirections()
    {
        var directions = new Dictionary<string, double[][]>();
        foreach (LabelledObservation c in _all)
        {
            if (directions.ContainsKey(c.Observation.Model)) continue;
            var random = new Random(_request.Seed);
            var drawn = new double[RandomDraws][];
            for (int r = 0; r < RandomDraws; r++) Normal.Direction(random, drawn[r] = new double[c.Observation.Displacement.ActivationChange.Length]);
            directions.Add(c.Observation.Model, drawn);
        }

        return [.. Enumerable.Range(0, RandomDraws).Select(r => TraitSlopes.Of(Points(c => System.Numerics.Tensors.TensorPrimitives.Dot(
            c.Observation.Displacement.ActivationChange.AsSpan(), directions[c.Observation.Model][r]), root: false)))];
    }

    private int[] StableWithout(string left) =>
        [.. Enumerable.Range(0, _traits.Count).Where(k => TraitSlopes.Without(Points(c => c.Observation.Displacement.PerTrait[k], root: false), left).Stable)];

    /// <summary>Detectors on as many traits, drawn at random in each fold.</summary>
    private ScoredEnvironments[] SameSize()
    {
        Dictionary<string, int> sizes = _environments.ToDictionary(e => e, e => StableWithout(e).Length);
        if (sizes.Values.All(s => s == 0 || s == _traits.Count)) return [];
        var found = new ScoredEnvironments?[RandomDraws];
        Parallel.For(0, RandomDraws, draw =>
        {
            var random = new Random(_request.Seed + draw);
            var chosen = new Dictionary<string, int[]>();
            foreach (string environment in _environments)
            {
                int[] traits = [.. Enumerable.Range(0, _traits.Count)];
                random.Shuffle(traits);
                chosen[environment] = [.. traits.Take(sizes[environment]).Order()];
            }

            found[draw] = Score("random traits", e => chosen[e], remark: false);
        });
        return [.. found.OfType<ScoredEnvironments>()];
    }

    /// <summary>Scores every environment with a detector fitted on the others, on the traits that are chosen without it.</summary>
    private ScoredEnvironments? Score(string name, Func<string, int[]> traitsWithout, bool remark = true)
    {
        var scores = new List<ScoredCheckpoint>();
        var folds = new List<(string, int[])>();
        foreach (string left in _environments)
        {
            int[] traits = traitsWithout(left);
            folds.Add((left, traits));
            if (traits.Length == 0) continue;
            LabelledObservation[] test = [.. _all.Where(c => Environment(c) == left)];
            LabelledObservation[] training =
                [.. _all.Where(c => Environment(c) != left && (_request.By == EnvironmentKind.Model || c.Observation.Model == test[0].Observation.Model))];
            var features = new SimpleFeature(
                "drift-of-some", name, o => [.. traits.Select(k => $"drift_{o.Traits[k]}")], o => [.. traits.Select(k => o.Displacement.PerTrait[k])]);
            try
            {
                Detector detector = new DetectorRecipe(features, _request.Learner).Fit(training, _request.DangerousAbove, _request.Seed);
                scores.AddRange(test.Select(c => new ScoredCheckpoint(c, detector.Score(c.Observation))));
            }
            catch (EmScanException e)
            {
                if (remark) _notes.Add(new Remark("not-fitted", $"The detector on {name} could not be fitted without {left}: {e.Message}"));
            }
        }

        if (scores.Count == 0) return null;
        return ScoredEnvironments.Of(name, folds, new EvaluationSet(scores.Select(s => s.ToEvaluated())), Flag, _request);
    }
}
