using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Steering;

/// <content>What is told of it.</content>
internal sealed partial class SteerAnalysis
{
    private JsonObject Controls(double[] nulls) => new()
    {
        ["count"] = _controls.Length,
        ["seed"] = request.Seed,
        ["doses"] = FindingsData.Numbers(Linear),
        ["slopes"] = FindingsData.Numbers(nulls),
        ["r2"] = request.Pairs.Count == 0 ? [] : new JsonArray([.. _controls.Select(control => FindingsData.Number(Preference(control)!.R2))]),
        ["mean_absolute_slope"] = nulls.Length == 0 ? null : FindingsData.Number(nulls.Average(Math.Abs)),
        ["largest_absolute_slope"] = nulls.Length == 0 ? null : FindingsData.Number(nulls.Max(Math.Abs)),
    };

    private string Conclusion(AnalysisContext context, Reading[] readings, double[] nulls, Equivalence[] equivalences)
    {
        Reading[] traits = [.. readings.Where(r => r.Direction.Kind == SteeredKind.Trait)];
        if (traits[0].Preference == null)
        {
            Reading firm = traits.MaxBy(r => r.Own!.Slope)!;
            return string.Create(CultureInfo.InvariantCulture,
                $"{firm.Direction.Name} is carried furthest: {firm.Own!.Slope:0.00} n0 at layer {_layers[^1]} for each n0 added at layer {context.Layer}, usable {Usable(firm)}; without pairs of answers nothing is said of behaviour.");
        }

        Reading best = traits.MaxBy(r => Math.Abs(r.Preference!.Slope))!;
        string sentence = string.Create(CultureInfo.InvariantCulture,
            $"{best.Direction.Name}: {best.Preference!.Slope:+0.00;-0.00} nats of preference for bad answers per n0 (R2 {best.Preference.R2 ?? 0:0.00}), usable {Usable(best)}");
        if (nulls.Length > 0)
        {
            double largest = nulls.Max(Math.Abs);
            int above = traits.Count(r => Math.Abs(r.Preference!.Slope) > largest);
            sentence += string.Create(CultureInfo.InvariantCulture,
                $"; {(above == 0 ? "no trait steers" : above == 1 ? "1 trait steers" : $"{above} traits steer")} further than all of {nulls.Length} random directions (largest {largest:0.00})");
        }

        string[] same = [.. equivalences.Where(e => e.Adapter is { } change && Math.Abs(change) > 0).Select(e => string.Create(CultureInfo.InvariantCulture,
            $"{e.Name}: its mean activation change alone gives {100 * e.MeanChange!.Value / e.Adapter!.Value:0}% of its change of preference, and taken away from it leaves {100 * e.Subtracted!.Value / e.Adapter.Value:0}%."))];
        return string.Join('\n', same.Prepend(sentence + "."));
    }

    private static string Usable(Reading reading)
    {
        return $"from {Side(reading.Minus, "-")} to {Side(reading.Plus, "+")} n0";

        static string Side(double? at, string sign) => at is { } dose ? string.Create(CultureInfo.InvariantCulture, $"{sign}{dose:0.00}") : $"beyond {sign}1";
    }

    private static FindingsTable Table(Reading[] readings, double[] nulls)
    {
        var rows = readings.Select(r => (IReadOnlyList<object?>)
            [r.Direction.Name, r.Preference?.Slope, r.Preference?.R2, r.Chance, r.Own?.Slope, r.Own?.R2, r.Minus, r.Plus, r.MinusChat, r.PlusChat]).ToList();
        if (nulls.Length > 0)
        {
            rows.Add([$"{nulls.Length} random, mean |slope|", nulls.Average(Math.Abs), null, null, null, null, null, null, null, null]);
            rows.Add([$"{nulls.Length} random, largest |slope|", nulls.Max(Math.Abs), null, 1.0 / (nulls.Length + 1), null, null, null, null, null, null]);
        }

        return new FindingsTable(
            "per n0 added: preference for bad answers (nats a token) and own projection at the last layer; doses at which log-likelihoods have fallen by 0.5",
            [
                new("direction"), new("preference", "+0.000;-0.000;0.000"), new("R2", "0.00"), new("p random", "0.000"), new("own", "0.000"), new("R2", "0.000"),
                new("plain -", "0.00"), new("plain +", "0.00"), new("chat -", "0.00"), new("chat +", "0.00"),
            ],
            rows);
    }

    private static FindingsTable DoseTable(Reading[] readings) => new(
        "change of preference at dose c",
        [new("direction"), .. Grid.Select(c => new FindingsColumn(c.ToString("+0.##;-0.##;0", CultureInfo.InvariantCulture), "+0.000;-0.000;0.000"))],
        [.. readings.Select(r => (IReadOnlyList<object?>)[r.Direction.Name, .. r.Points.Select(p => (object?)p.Preference)])]);

    private static IEnumerable<FindingsTable> EquivalenceTable(Equivalence[] equivalences) => equivalences.Length == 0 ? [] :
    [
        new FindingsTable(
            "an adapter, and its mean activation change (m) at its own size: change of preference",
            [
                new("adapter"), new("adapter", "+0.000;-0.000;0.000"), new("m alone", "+0.000;-0.000;0.000"), new("first direction", "+0.000;-0.000;0.000"), new("adapter - m", "+0.000;-0.000;0.000"),
                new("|m| / n0", "0.000"), new("drift left by m", "0.000"), new("chat of m", "+0.000;-0.000;0.000"), new("chat of adapter", "+0.000;-0.000;0.000"),
            ],
            [.. equivalences.Select(e => (IReadOnlyList<object?>)[e.Name, e.Adapter, e.MeanChange, e.FirstDirection, e.Subtracted, e.RelativeNorm, e.DriftLeft, e.Chat, e.AdapterChat])]),
    ];

    private static IEnumerable<FindingsCurve> Curves(Reading reading)
    {
        if (reading.Preference != null) yield return Curve("dose-response: preference for bad answers", "change, nats a token", p => p.Preference!.Value);
        if (reading.Points[0].Plain != null) yield return Curve("dose-response: plain text", "log-likelihood, nats a token", p => p.Plain!.Value);

        FindingsCurve Curve(string plot, string label, Func<Point, double> value) =>
            new(plot, reading.Direction.Name, "dose c, n0", label, [.. reading.Direction.Doses], [.. reading.Points.Select(value)]);
    }

    private IEnumerable<FindingsCurve> ControlBand()
    {
        if (_controls.Length == 0 || request.Pairs.Count == 0) yield break;
        double[][] changes = [.. Enumerable.Range(0, Linear.Length).Select(i => _controls.Select(control => PreferenceChange(control.Variants[i])!.Value).ToArray())];
        yield return new FindingsCurve(
            "dose-response: preference for bad answers", $"{_controls.Length} random directions", "dose c, n0", "change, nats a token", Linear, [.. changes.Select(c => c.Average())])
        {
            Low = [.. changes.Select(c => c.Min())],
            High = [.. changes.Select(c => c.Max())],
        };
    }
}
