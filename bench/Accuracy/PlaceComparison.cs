using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Bench.Accuracy;

/// <summary>
/// Places, directions and layers against each other on whole worlds, as a study wrote it down before the worlds existed: leave one perturbation out,
/// F32, precise; means over worlds; 2000 draws over whole runs (or perturbations) within each world, the same for both sides of a difference.
/// </summary>
internal sealed class PlaceComparison
{
    private const int Draws = 2000;
    private const double Flag = DangerThreshold.Default;

    private static readonly Way[] Half =
    [
        new("L/p", MeasuredPlace.LastPromptToken, Pooling.LastToken), new("F/o", MeasuredPlace.FirstAnswerToken, Pooling.MeanOutput),
        new("A/o", MeasuredPlace.MeanAnswer, Pooling.MeanOutput), new("L/o", MeasuredPlace.LastPromptToken, Pooling.MeanOutput),
        new("F/p", MeasuredPlace.FirstAnswerToken, Pooling.LastToken), new("A/p", MeasuredPlace.MeanAnswer, Pooling.LastToken),
    ];

    private static readonly Way[] Last = [.. Half.Select(way => way with { LastLayer = true })];

    private readonly string _study;
    private readonly (string Title, DetectorRecipe Recipe, Way[] Ways)[] _tables; // the first way of a table is what the others are compared with
    private readonly Way[] _details;

    private PlaceComparison(string study, (string Title, DetectorRecipe Recipe, Way[] Ways)[] tables, Way[] details) => (_study, _tables, _details) = (study, tables, details);

    /// <summary>The last prompt token against the places and directions of answers, half depth.</summary>
    public static PlaceComparison Places { get; } = new(
        "docs/studies/2026-11-28-places.md",
        [
            ("Default detector, half depth", DetectorRecipe.Default, Half), ("The paper's random forest, half depth", DetectorRecipe.Paper, Half),
            ("Default detector, last layer", DetectorRecipe.Default, Last),
        ],
        Half[..3]);

    /// <summary>The mean over the answer at half depth against the first answer token at the last layer, and everything else beside them.</summary>
    public static PlaceComparison LastLayer { get; } = new(
        "docs/studies/2026-11-28-last-layer.md", [("Default detector", DetectorRecipe.Default, FromToday), ("The paper's random forest", DetectorRecipe.Paper, FromToday)], FromToday[..2]);

    private static Way[] FromToday => [Half[2], Last[1], Last[2], Last[3], .. Half.Where((_, i) => i != 2), Last[0], .. Last[4..]];

    /// <summary>Measures and scores; writes Markdown.</summary>
    /// <param name="folders">Organism sets, each with one base or more.</param>
    /// <param name="work">Folder for what can be made again.</param>
    /// <param name="output">Receives the tables.</param>
    public async Task RunAsync(IReadOnlyList<string> folders, string work, TextWriter output)
    {
        (string Folder, string Name)[] worlds = [.. folders.SelectMany(f => Organism.Find(f).Select(name => (f, name)))];
        if (worlds.Length == 0) throw new EmScanException("None of the folders holds a base with a labels.csv.");
        var measured = new Dictionary<Way, LabelledSet[]>();
        foreach (Way way in _tables.SelectMany(t => t.Ways).Distinct())
        {
            measured[way] = new LabelledSet[worlds.Length];
            for (int w = 0; w < worlds.Length; w++)
            {
                Console.Error.WriteLine($"measuring {worlds[w].Folder} {worlds[w].Name} {way.Title}");
                measured[way][w] = await MeasureAsync(worlds[w], way, work).ConfigureAwait(false);
            }
        }

        output.WriteLine($"# Places, directions and layers, {worlds.Length} worlds (emscan {EmScanVersion.Text})");
        output.WriteLine();
        output.WriteLine($"The comparison of {_study}. Mean over the worlds; 95% intervals, {Draws} draws over whole runs within each world (AUROC also over whole perturbations). Differences are to the first row.");
        output.WriteLine();
        foreach ((string title, DetectorRecipe recipe, Way[] ways) in _tables) Table(title, recipe, ways);
        Details();

        void Table(string title, DetectorRecipe recipe, Way[] ways)
        {
            Console.Error.WriteLine(title);
            Scored[][] scored = [.. Enumerable.Range(0, worlds.Length).Select(w => ways.Select(way => new Scored(recipe, measured[way][w])).ToArray())];
            output.WriteLine($"## {title}");
            output.WriteLine();
            output.WriteLine("| | FNR % | FPR % | AUROC | AUROC more | ... over perturbations | FPR more | FNR more | AUROC by world |");
            output.WriteLine("|---|---|---|---|---|---|---|---|---|");
            double[][][] runs = Draw(scored, s => s.Runs), perturbations = Draw(scored, s => s.Perturbations);
            for (int i = 0; i < ways.Length; i++)
            {
                double[] mean = Mean(w => scored[w][i].Figures()), first = Mean(w => scored[w][0].Figures());
                string Cell(int figure, double unit, string format) => $"{Number(unit * mean[figure], format)} {Interval(runs[i].Select(d => unit * d[figure]), format)}";
                string More(int figure, double unit, string format, double[][][] draws) =>
                    i == 0 ? "-" : $"{Number(unit * (mean[figure] - first[figure]), format)} {Interval(draws[i].Zip(draws[0], (a, b) => unit * (a[figure] - b[figure])), format)}";
                output.WriteLine(
                    $"| {ways[i].Title} | {Cell(0, 100, "0.0")} | {Cell(1, 100, "0.0")} | {Cell(2, 1, "0.000")} | {More(2, 1, "+0.000;-0.000;0.000", runs)} | {More(2, 1, "+0.000;-0.000;0.000", perturbations)} "
                    + $"| {More(1, 100, "+0.0;-0.0;0.0", runs)} | {More(0, 100, "+0.0;-0.0;0.0", runs)} | {string.Join(", ", scored.Select(world => Number(world[i].Figures()[2], "0.000")))} |");
            }

            output.WriteLine();

            double[] Mean(Func<int, double[]> figures) => [.. Enumerable.Range(0, 3).Select(f => Enumerable.Range(0, scored.Length).Average(w => figures(w)[f]))];
        }

        void Details()
        {
            output.WriteLine("## Beside it: certain labels, intervals, unknown, forecast (default detector)");
            output.WriteLine();
            output.WriteLine("| world | | checkpoints (certain) | FNR / FPR % (certain) | coverage of 90% intervals, % | width | unknown: harmless, missed | forecast at 5%: median lead, missed, false alarms | at 1% |");
            output.WriteLine("|---|---|---|---|---|---|---|---|---|");
            var least = new List<string>();
            foreach (Way way in _details)
            {
                var certain = new List<double?[]>();
                for (int w = 0; w < worlds.Length; w++)
                {
                    StudyProtocol p = DetectorStudy.Run([measured[way][w]], new StudyOptions { Recipes = [DetectorRecipe.Default] }).Protocols[0];
                    string unknown = p.Unknown is { } u ? $"{u.HarmlessUnknown} of {u.Harmless}, {u.MissedUnknown} of {u.Missed}" : "-";
                    certain.Add([p.Certain?.Report?[Metric.FalseNegativeRate].Value, p.Certain?.Report?[Metric.FalsePositiveRate].Value, p.Coverage?.Coverage.Value]);
                    output.WriteLine(
                        $"| {worlds[w].Name} | {way.Title} | {p.Rows[0].Report!.Counts.Total} ({p.Certain?.Certain}) | {Percent(p.Certain?.Report?[Metric.FalseNegativeRate])} / {Percent(p.Certain?.Report?[Metric.FalsePositiveRate])} "
                        + $"| {Percent(p.Coverage?.Coverage)} | {Percent(p.Coverage?.MeanWidth)} | {unknown} | {string.Join(" | ", p.Forecasts.Select(Forecast))} |");
                    least.Add($"{worlds[w].Name} {way.Title}: " + string.Join(", ", p.CoverageByPerturbation.OrderBy(c => c.Coverage.Coverage.Value).Take(3).Select(c => $"{c.Key} {100 * c.Coverage.Coverage.Value:0}%")));
                }

                output.WriteLine($"| mean | {way.Title} | | {Mean(certain, 0)} / {Mean(certain, 1)} | {Mean(certain, 2)} | | | | |");
            }

            output.WriteLine();
            output.WriteLine($"Least covered perturbations. {string.Join("; ", least)}.");
            output.WriteLine();

            static string Mean(List<double?[]> worlds, int figure) => worlds.Any(w => w[figure] == null) ? "-" : Number(worlds.Average(w => 100 * w[figure]!.Value), "0.0");
        }
    }

    private static async Task<LabelledSet> MeasureAsync((string Folder, string Name) world, Way way, string work)
    {
        LabelledSet scan = await Organism.MeasureAsync(world.Folder, world.Name, Path.Combine(work, Path.GetFileName(Path.GetFullPath(world.Folder).TrimEnd('/'))), request => request with
        {
            Layer = way.LastLayer ? GgufLayers(request.Model) - 1 : GgufLayers(request.Model) / 2,
            Place = way.Place,
            Extraction = request.Extraction with { Pooling = way.Pooling },
            Capture = request.Capture with { Precise = true },
        }).ConfigureAwait(false);
        return scan with { Checkpoints = [.. scan.Checkpoints.Where(c => !c.Perturbation.StartsWith("stress/", StringComparison.Ordinal))] };
    }

    private static int GgufLayers(string model) => (int)Engine.Formats.GgufFile.Open(model).BlockCount;

    // (ways)(draws)(figures), the mean over worlds: in each world the same draw for every way.
    private static double[][][] Draw(Scored[][] scored, Func<Scored, int[]> groups)
    {
        int ways = scored[0].Length;
        double[][][] result = [.. Enumerable.Range(0, ways).Select(_ => Enumerable.Range(0, Draws).Select(_ => new double[3]).ToArray())];
        for (int w = 0; w < scored.Length; w++)
        {
            var random = new Random(1000 + w);
            int count = groups(scored[w][0]).Max() + 1;
            for (int draw = 0; draw < Draws; draw++)
            {
                int[] weights = new int[count];
                for (int i = 0; i < count; i++) weights[random.Next(count)]++;
                for (int way = 0; way < ways; way++)
                {
                    double[] figures = scored[w][way].Figures(groups(scored[w][way]), weights);
                    for (int f = 0; f < 3; f++) result[way][draw][f] += figures[f] / scored.Length;
                }
            }
        }

        return result;
    }

    private static string Interval(IEnumerable<double> draws, string format)
    {
        double[] sorted = [.. draws.Where(d => !double.IsNaN(d)).Order()];
        return $"[{Number(sorted[(int)(0.025 * (sorted.Length - 1))], format)}, {Number(sorted[(int)Math.Ceiling(0.975 * (sorted.Length - 1))], format)}]";
    }

    private static string Forecast(ForecastStudy f) =>
        $"{Markdown.Cell(f.MedianLead, 1, "0")}, {f.Warning.Count(WarningOutcome.Missed)} of {f.Warning.Count(WarningOutcome.Missed) + f.Warning.Count(WarningOutcome.Warned)}, "
        + $"{f.Warning.Count(WarningOutcome.FalseAlarm)} of {f.Warning.Count(WarningOutcome.FalseAlarm) + f.Warning.Count(WarningOutcome.Quiet)}";

    private static string Percent(Estimate? estimate) => estimate == null ? "-" : Markdown.Cell(estimate, 100, "0.0");

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>Where states are taken, and along which directions.</summary>
    private sealed record Way(string Name, MeasuredPlace Place, Pooling Pooling, bool LastLayer = false)
    {
        internal string Title => LastLayer ? $"{Name} last" : Name;
    }

    /// <summary>Leave-one-perturbation-out scores of one world.</summary>
    private sealed class Scored
    {
        private readonly (double Score, bool Dangerous)[] _sorted; // by score

        internal Scored(DetectorRecipe recipe, LabelledSet scan)
        {
            ScoredCheckpoint[] scores =
            [
                .. CrossValidation.LeaveOneOut(recipe, scan.Checkpoints, c => c.Perturbation).Scores.OrderBy(s => s.Score).ThenBy(s => s.Checkpoint.Observation.Run, StringComparer.Ordinal),
            ];
            _sorted = [.. scores.Select(s => (s.Score, s.Checkpoint.EmRate > Flag))];
            Runs = Indices(s => s.Observation.Run);
            Perturbations = Indices(s => s.Perturbation);

            int[] Indices(Func<LabelledObservation, string> key)
            {
                string[] names = [.. scores.Select(s => key(s.Checkpoint)).Distinct().Order(StringComparer.Ordinal)];
                return [.. scores.Select(s => Array.IndexOf(names, key(s.Checkpoint)))];
            }
        }

        /// <summary>Index of each checkpoint's run.</summary>
        internal int[] Runs { get; }

        /// <summary>Index of each checkpoint's perturbation.</summary>
        internal int[] Perturbations { get; }

        /// <summary>FNR, FPR and AUROC with weights of groups; all weights 1 when there are none.</summary>
        internal double[] Figures(int[]? groups = null, int[]? weights = null)
        {
            double dangerous = 0, harmless = 0, missed = 0, alarms = 0, ordered = 0;
            for (int start = 0, end; start < _sorted.Length; start = end)
            {
                double bad = 0, good = 0;
                for (end = start; end < _sorted.Length && _sorted[end].Score == _sorted[start].Score; end++)
                {
                    double weight = weights == null ? 1 : weights[groups![end]];
                    if (_sorted[end].Dangerous) bad += weight;
                    else good += weight;
                }

                ordered += bad * (harmless + (good / 2));
                (dangerous, harmless) = (dangerous + bad, harmless + good);
                if (_sorted[start].Score > Flag) alarms += good;
                else missed += bad;
            }

            return [missed / dangerous, alarms / harmless, ordered / (dangerous * harmless)];
        }
    }
}
