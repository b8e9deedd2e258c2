using System.Text.Json.Nodes;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>How well quantities tell examples of bad sets from those of the others, and what chance would give.</summary>
internal sealed class ScreenSeparation
{
    private const int MostChoices = 10_000;
    private const int DrawnChoices = 1000;

    private readonly Dictionary<string, double> _auroc = [];
    private readonly Dictionary<string, double> _axisBySet = [];
    private double[] _controls = [];
    private int _choices;

    private ScreenSeparation()
    {
    }

    /// <summary>AUROC of all bad examples against all others.</summary>
    internal double this[string quantity] => _auroc[quantity];

    /// <summary>The quantities, in order.</summary>
    internal IEnumerable<string> Quantities => _auroc.Keys;

    /// <summary>Least and largest AUROC along random directions, each turned so that it is 0.5 or more.</summary>
    internal (double Low, double High) ControlRange => _controls.Length == 0 ? (double.NaN, double.NaN) : (_controls.Min(Turned), _controls.Max(Turned));

    /// <summary>Random directions that separate as well as the axis, in either direction.</summary>
    internal int ControlsAsGood => _controls.Count(c => Turned(c) >= Turned(_auroc["axis"]));

    /// <summary>Their share, (1 + n) / (1 + C).</summary>
    internal double ControlP => (1.0 + ControlsAsGood) / (1 + _controls.Length);

    /// <summary>
    /// Share of the ways to call as many sets bad that separate at least as well along the axis in either direction, the true one among them: the examples of
    /// a set are alike, so that sets and not examples are what is exchanged. Null where there is no other way.
    /// </summary>
    internal double? PermutationP { get; private set; }

    /// <summary>Computes it.</summary>
    /// <param name="sets">The scores.</param>
    /// <param name="bad">Of each set; some, not all.</param>
    /// <param name="quantities">Names and values, higher is worse; "axis" among them.</param>
    /// <param name="request">Controls and seed.</param>
    internal static ScreenSeparation Of(ScreenSets sets, bool[] bad, IEnumerable<(string Name, Func<ScreenScore, double> Value)> quantities, ScreenRequest request)
    {
        ScreenScore[] above = [.. sets.All.Where(s => bad[s.Index]).SelectMany(s => s.Scores)], below = [.. sets.All.Where(s => !bad[s.Index]).SelectMany(s => s.Scores)];
        var separation = new ScreenSeparation();
        foreach ((string name, Func<ScreenScore, double> value) in quantities) separation._auroc[name] = Auroc.Of(above.Select(value), below.Select(value));
        foreach (ScreenSetScores set in sets.All.Where(s => bad[s.Index])) separation._axisBySet[set.Name] = Auroc.Of(set.Scores.Select(s => s.Axis), below.Select(s => s.Axis));
        separation._controls = [.. Enumerable.Range(0, request.Controls).Select(c => Auroc.Of(above.Select(s => (double)s.Controls[c]), below.Select(s => (double)s.Controls[c])))];
        separation.Permute(sets, bad, request.Seed);
        return separation;
    }

    internal JsonObject Data()
    {
        var data = new JsonObject(_auroc.Select(q => KeyValuePair.Create(q.Key, (JsonNode?)new JsonObject { ["all_bad_against_all_good"] = FindingsData.Number(q.Value) })));
        foreach ((string set, double value) in _axisBySet) data["axis"]![$"{set}_against_all_good"] = FindingsData.Number(value);
        return data;
    }

    internal JsonObject ControlData() => new()
    {
        ["values"] = FindingsData.Numbers(_controls),
        ["lowest_turned"] = FindingsData.Number(ControlRange.Low),
        ["highest_turned"] = FindingsData.Number(ControlRange.High),
        ["p"] = FindingsData.Number(ControlP),
        ["sets_exchanged_p"] = FindingsData.Number(PermutationP),
        ["sets_exchanged_choices"] = _choices,
    };

    private static double Turned(double auroc) => Math.Max(auroc, 1 - auroc);

    private void Permute(ScreenSets sets, bool[] bad, int seed)
    {
        int count = bad.Length, chosen = bad.Count(b => b);
        double[][] sorted = [.. sets.All.Select(s => s.Scores.Select(e => e.Axis).Order().ToArray())];
        double[,] wins = new double[count, count];
        for (int i = 0; i < count; i++)
        {
            for (int j = 0; j < count; j++) wins[i, j] = i == j ? 0 : Auroc.Wins(sorted[i], sorted[j]);
        }

        double choices = Choose(count, chosen);
        if (choices < 2) return;
        bool all = choices <= MostChoices;
        int tried = 0, reached = 0;
        double observed = Turned(Value(bad)) - 1e-12;
        foreach (bool[] choice in all ? Every(count, chosen) : Drawn(bad, seed))
        {
            tried++;
            if (Turned(Value(choice)) >= observed) reached++;
        }

        _choices = tried;
        PermutationP = all ? (double)reached / tried : (1.0 + reached) / (1 + tried);

        double Value(bool[] choice)
        {
            double sum = 0, pairs = 0;
            for (int i = 0; i < count; i++)
            {
                for (int j = 0; j < count; j++)
                {
                    if (!choice[i] || choice[j]) continue;
                    sum += wins[i, j];
                    pairs += (double)sorted[i].Length * sorted[j].Length;
                }
            }

            return sum / pairs;
        }
    }

    private static double Choose(int n, int k)
    {
        double ways = 1;
        for (int i = 1; i <= k; i++) ways = ways * (n - k + i) / i;
        return Math.Round(ways);
    }

    private static IEnumerable<bool[]> Every(int count, int chosen)
    {
        int[] picks = [.. Enumerable.Range(0, chosen)];
        while (true)
        {
            bool[] choice = new bool[count];
            foreach (int pick in picks) choice[pick] = true;
            yield return choice;
            int i = chosen - 1;
            while (i >= 0 && picks[i] == count - chosen + i) i--;
            if (i < 0) yield break;
            picks[i]++;
            for (int j = i + 1; j < chosen; j++) picks[j] = picks[j - 1] + 1;
        }
    }

    private static IEnumerable<bool[]> Drawn(bool[] bad, int seed)
    {
        var random = new Random(seed);
        for (int draw = 0; draw < DrawnChoices; draw++)
        {
            bool[] choice = [.. bad];
            random.Shuffle(choice);
            yield return choice;
        }
    }
}
