using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>
/// A quadratic curve from A to B that bends where the loss is lowest: theta(u) = (1 - u) A + u B + 2 u (1 - u) g W, the Bezier curve with the
/// control point (A + B) / 2 + g W. W is a third weight change, or (A + B) / 2 for a curve in the plane of A and B and the base.
/// </summary>
/// <remarks>
/// Mode connectivity: Garipov et al. 2018 (arXiv 1802.10026), whose curves are trained; here one number g is searched, by the mean loss over three
/// points of the curve: <see cref="Coarse"/> first, then twice the vertex of the parabola through the best and its neighbours. The search looks
/// at every second text; what is said of the gain looks at the others.
/// </remarks>
internal sealed class Bend
{
    private const int Refinements = 2;
    private static readonly double[] Coarse = [-2, -1, 1, 2];
    private static readonly double[] Searched = [.25, .5, .75];

    private readonly PathAdapter _a;
    private readonly PathAdapter _b;
    private readonly AdapterSource? _third;
    private readonly Func<Variant, IEnumerable<Cell>> _cells;
    private readonly Func<Variant, int, double> _loss; // on every second text, from this one on
    private readonly SortedDictionary<double, double> _tried = [];

    /// <summary>Prepares a search.</summary>
    /// <param name="a">Where the curve begins.</param>
    /// <param name="b">Where it ends.</param>
    /// <param name="third">The direction that it bends along, or null for the plane.</param>
    /// <param name="cells">What is measured at a point.</param>
    /// <param name="loss">The loss of a point on every second text, from the first (0) or the second (1) on.</param>
    internal Bend(PathAdapter a, PathAdapter b, AdapterSource? third, Func<Variant, IEnumerable<Cell>> cells, Func<Variant, int, double> loss) =>
        (_a, _b, _third, _cells, _loss) = (a, b, third, cells, loss);

    /// <summary>g of the best curve found.</summary>
    internal double Best => _tried.MinBy(pair => pair.Value).Key;

    /// <summary>Whether the best lies at the end of what was searched, where a better one may lie beyond.</summary>
    internal bool AtEdge => Math.Abs(Best) >= Coarse[^1];

    /// <summary>Models that were measured for the curve and are not on the line.</summary>
    internal int Evaluations { get; private set; }

    /// <summary>A point of a curve.</summary>
    internal Variant At(double g, double u)
    {
        double along = 2 * u * (1 - u) * g;
        return _third == null
            ? Variant.Sum(_a.Adapter, 1 - u + (along / 2), _b.Adapter, u + (along / 2))
            : new Variant([new VariantTerm(_a.Adapter, 1 - u), new VariantTerm(_b.Adapter, u), new VariantTerm(_third, along)]);
    }

    /// <summary>What has to be measured, stage by stage; the last one is the best curve at all points of the line.</summary>
    /// <param name="line">The points of the line, which have been measured.</param>
    internal IEnumerable<IEnumerable<Cell>> Plan(double[] line)
    {
        _tried[0] = Mean(0, 0, Searched);
        yield return Curves(Coarse);
        foreach (double g in Coarse) _tried[g] = Mean(g, 0, Searched);
        for (int i = 0; i < Refinements; i++)
        {
            if (Next() is not { } g) break;
            yield return Curves([g]);
            _tried[g] = Mean(g, 0, Searched);
        }

        double[] rest = Best == 0 ? [] : [.. line.Except(Searched).Where(u => u is > 0 and < 1)];
        Evaluations += rest.Length;
        yield return rest.SelectMany(u => _cells(At(Best, u)));
    }

    /// <summary>Mean loss of a curve over some points, on every second text.</summary>
    internal double Mean(double g, int half, IEnumerable<double> points) => points.Average(u => _loss(At(g, u), half));

    /// <summary>What was tried, and how the best curve does against the line on texts that had no say in it.</summary>
    internal JsonObject ToJson(string through, string objective, double[] line, JsonArray points)
    {
        (double Mean, double Above) straight = Unseen(0, line), bent = Unseen(Best, line);
        return new JsonObject
        {
            ["through"] = through,
            ["objective"] = objective,
            ["gamma"] = Best,
            ["at_edge"] = AtEdge,
            ["evaluations"] = Evaluations,
            ["searched"] = new JsonArray([.. _tried.Select(pair => (JsonNode?)new JsonObject { ["gamma"] = pair.Key, ["mean_loss"] = FindingsData.Number(pair.Value) })]),
            ["points"] = points,
            ["unseen_texts"] = new JsonObject
            {
                ["line_mean_loss"] = FindingsData.Number(straight.Mean),
                ["curve_mean_loss"] = FindingsData.Number(bent.Mean),
                ["line_above_chord"] = FindingsData.Number(straight.Above),
                ["curve_above_chord"] = FindingsData.Number(bent.Above),
            },
        };
    }

    /// <summary>A sentence about the curve.</summary>
    internal string Conclusion(string through, string objective, double[] line)
    {
        if (Best == 0) return string.Create(CultureInfo.InvariantCulture, $"No curve {through} of {Evaluations} models tried has less {objective} than the line.");
        (double Mean, double Above) straight = Unseen(0, line), bent = Unseen(Best, line);
        double gain = straight.Mean - bent.Mean;
        return string.Create(CultureInfo.InvariantCulture,
            $"Bent {through} (g = {Best:+0.00;-0.00}{(AtEdge ? ", the end of the search" : "")}, {Evaluations} models tried), {objective} is {Math.Abs(gain):0.000} nats {(gain >= 0 ? "lower" : "higher")} than on the line in the mean, and {bent.Above:0.000} above the chord against {straight.Above:0.000}, on texts that had no say.");
    }

    /// <summary>A table of the curve beside the line.</summary>
    internal static FindingsTable Table<T>(string title, double[] line, T[] straight, T[] bent, Func<T, object?[]> values, string[] names) => new(
        title,
        [new("u", "0.000"), .. names.SelectMany(name => new[] { new FindingsColumn($"{name}: line", "0.0000"), new FindingsColumn("curve", "0.0000") })],
        [.. line.Select((u, i) => (IReadOnlyList<object?>)[u, .. values(straight[i]).Zip(values(bent[i])).SelectMany(pair => new[] { pair.First, pair.Second })])]);

    private (double Mean, double Above) Unseen(double g, double[] line)
    {
        double[] losses = [.. line.Select(u => _loss(At(g, u), 1))];
        return (losses[1..^1].Average(), Math.Max(0, losses.Select((loss, i) => loss - ((1 - line[i]) * losses[0]) - (line[i] * losses[^1])).Max()));
    }

    private IEnumerable<Cell> Curves(double[] bends)
    {
        Evaluations += bends.Length * Searched.Length;
        return bends.SelectMany(g => Searched.SelectMany(u => _cells(At(g, u))));
    }

    // The vertex of the parabola through the best and its neighbours, while it lies between them; null where nothing is left to try.
    private double? Next()
    {
        double[] tried = [.. _tried.Keys];
        int at = Array.IndexOf(tried, Best);
        if (at == 0 || at == tried.Length - 1) return null;
        (double left, double best, double right) = (tried[at - 1], tried[at], tried[at + 1]);
        double rise = (_tried[left] - _tried[best]) / (best - left), fall = (_tried[right] - _tried[best]) / (right - best);
        double vertex = best + (((rise * (right - best)) - (fall * (best - left))) / (2 * (rise + fall)));
        return rise + fall > 0 && vertex > left && vertex < right && !_tried.ContainsKey(vertex) ? vertex : null;
    }
}
