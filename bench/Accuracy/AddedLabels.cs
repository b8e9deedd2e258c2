using System.Globalization;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Bench.Accuracy;

/// <summary>
/// How many labelled checkpoints of a base that was never calibrated does it take, beside a calibration of another base? For every pair of bases and every
/// number of finetunings, drawn anew each time: one run of each is labelled at three of its steps, a detector is fitted to those and to all checkpoints of
/// the other base, and scored on all finetunings of the new base of which nothing was labelled.
/// </summary>
internal static class AddedLabels
{
    private const int StepsOfRun = 3;
    private const int Samples = 20;
    private const int BootstrapDraws = 1000;
    private const double Flag = DangerThreshold.Default, Goal = 0.05;

    private static readonly int[] Finetunings = [0, 2, 3, 4, 6, 8, 10, 12, 14, 16];

    /// <summary>Measures the bases of all folders as calibrate does by default, in exact mode, and writes the curve.</summary>
    /// <param name="folders">Organism sets, each with one base or more.</param>
    /// <param name="work">Folder for what can be made again.</param>
    /// <param name="output">Receives the table.</param>
    public static async Task RunAsync(IReadOnlyList<string> folders, string work, TextWriter output)
    {
        var bases = new List<LabelledSet>();
        foreach (string folder in folders)
        {
            string scratch = Path.Combine(work, Path.GetFileName(Path.GetFullPath(folder).TrimEnd('/')));
            foreach (string name in Organism.Find(folder))
            {
                LabelledSet scan = await Organism.MeasureAsync(folder, name, scratch, request => request with { Capture = request.Capture with { Precise = true } }).ConfigureAwait(false);
                bases.Add(scan with { Checkpoints = [.. scan.Checkpoints.Where(c => !c.Perturbation.StartsWith("stress/", StringComparison.Ordinal))] });
            }
        }

        Write([($"{bases.Count} worlds", bases)], output);
    }

    /// <summary>Writes the curve as Markdown.</summary>
    /// <param name="sets">Groups of bases; within each, every base is the new one for every other.</param>
    /// <param name="output">Receives the tables.</param>
    public static void Write(IReadOnlyList<(string Title, IReadOnlyList<LabelledSet> Bases)> sets, TextWriter output)
    {
        output.WriteLine("## How many labels does a new base need?");
        output.WriteLine();
        output.WriteLine(
            $"Beside the calibration of another base (`emscan calibrate --add`). One run of each of some finetunings, drawn at random with a dangerous and a harmless one among them, is labelled at {StepsOfRun} of its steps; "
            + $"scored is the rest of the new base: all finetunings of which nothing was labelled. {Samples} seeded samples for every pair of bases and every number; mean over the pairs; 95% intervals over runs of the new base. "
            + "\"Alone\" is the same detector fitted to the labelled checkpoints only.");
        output.WriteLine();
        foreach ((string title, IReadOnlyList<LabelledSet> bases) in sets) Write(title, bases, output);
    }

    private static void Write(string title, IReadOnlyList<LabelledSet> bases, TextWriter output)
    {
        (LabelledSet Old, LabelledSet New)[] pairs = [.. bases.SelectMany(b => bases.Where(a => a != b).Select(a => (a, b)))];
        output.WriteLine($"### {title}: {pairs.Length} pairs of {bases.Count} bases");
        output.WriteLine();
        output.WriteLine("| finetunings | labelled checkpoints | FNR % | FPR % | alone: FNR % | alone: FPR % | pairs |");
        output.WriteLine("|---|---|---|---|---|---|---|");
        var enough = new List<int>();
        foreach (int count in Finetunings)
        {
            (LabelledSet Old, LabelledSet New)[] possible = [.. pairs.Where(p => count == 0 || Perturbations(p.New).Length >= count + 3)];
            if (possible.Length == 0) continue;
            Console.Error.WriteLine($"{title}: {count} finetunings labelled");
            Tally[] together = [.. possible.AsParallel().AsOrdered().Select(p => Sample(p.Old, p.New, count))];
            Tally[] alone = count * StepsOfRun < DetectorRecipe.FewestCheckpoints ? [] : [.. possible.AsParallel().AsOrdered().Select(p => Sample(null, p.New, count))];
            output.WriteLine(
                $"| {count} | {count * StepsOfRun} | {Cell(together, missed: true)} | {Cell(together, missed: false)} | {Cell(alone, missed: true)} | {Cell(alone, missed: false)} | {possible.Length} |");
            if (possible.Length == pairs.Length && Rate(together, missed: true, null) < Goal && Rate(together, missed: false, null) < Goal) enough.Add(count);
        }

        output.WriteLine();
        output.WriteLine(enough.Count > 0
            ? $"Both rates are below {100 * Goal:0}% in the mean over all pairs with {string.Join(", ", enough.Select(n => $"{n} finetunings ({n * StepsOfRun} labelled checkpoints)"))}."
            : $"Both rates are below {100 * Goal:0}% in the mean over all pairs at no number that could be tried on all of them.");
        output.WriteLine();
    }

    private static string[] Perturbations(LabelledSet scan) => [.. scan.Checkpoints.Select(c => c.Perturbation).Distinct().Order(StringComparer.Ordinal)];

    // Errors on the unseen rest of the new base, run by run, over all samples.
    private static Tally Sample(LabelledSet? old, LabelledSet fresh, int count)
    {
        string[] runs = [.. fresh.Checkpoints.Select(c => c.Observation.Run).Distinct().Order(StringComparer.Ordinal)];
        var tally = new Tally(fresh.Checkpoints[0].Observation.Model, runs);
        var random = new Random(7000 + count);
        for (int sample = 0; sample < (count == 0 ? 1 : Samples); sample++)
        {
            LabelledObservation[] labelled = count == 0 ? [] : Draw(fresh, count, random);
            HashSet<string> seen = [.. labelled.Select(c => c.Perturbation)];
            Detector detector = labelled.Length == 0 ? DetectorRecipe.Default.Fit(old!.Checkpoints)
                : old == null ? DetectorRecipe.Default.Fit(labelled) : DetectorRecipe.Default.Fit(labelled, old.Checkpoints);
            foreach (LabelledObservation c in fresh.Checkpoints.Where(c => !seen.Contains(c.Perturbation)))
                tally.Add(c.Observation.Run, c.EmRate > Flag, detector.Score(c.Observation) > Flag);
        }

        return tally;
    }

    private static LabelledObservation[] Draw(LabelledSet scan, int count, Random random)
    {
        ILookup<string, LabelledObservation> by = scan.Checkpoints.ToLookup(c => c.Perturbation);
        string[] all = Perturbations(scan);
        while (true)
        {
            random.Shuffle(all);
            string dangerous = all.First(p => by[p].Any(c => c.EmRate > Flag)), harmless = all.First(p => by[p].All(c => c.EmRate <= Flag));
            string[] chosen = [dangerous, harmless, .. all.Where(p => p != dangerous && p != harmless).Take(count - 2)];
            LabelledObservation[] labelled = [.. chosen.SelectMany(p => OfOneRun(by[p], random))];
            if (labelled.Any(c => c.EmRate > Flag) && labelled.Any(c => c.EmRate <= Flag)) return labelled;
        }
    }

    // A third, two thirds and the end of one run.
    private static IEnumerable<LabelledObservation> OfOneRun(IEnumerable<LabelledObservation> perturbation, Random random)
    {
        LabelledObservation[][] runs = [.. perturbation.GroupBy(c => c.Observation.Run).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => g.OrderBy(c => c.Observation.Step).ToArray())];
        LabelledObservation[] run = runs[random.Next(runs.Length)];
        return Enumerable.Range(1, StepsOfRun).Select(i => run[(run.Length * i / StepsOfRun) - 1]);
    }

    private static string Cell(Tally[] tallies, bool missed)
    {
        if (tallies.Length == 0) return "-";
        double[] draws = [.. Enumerable.Range(0, BootstrapDraws).Select(draw => Rate(tallies, missed, draw)).Where(double.IsFinite).Order()];
        string Text(double rate) => (100 * rate).ToString("0.0", CultureInfo.InvariantCulture);
        return $"{Text(Rate(tallies, missed, null))} [{Text(draws[(int)(0.025 * (draws.Length - 1))])}, {Text(draws[(int)Math.Ceiling(0.975 * (draws.Length - 1))])}]";
    }

    private static double Rate(Tally[] tallies, bool missed, int? draw) => tallies.Average(t => t.Rate(missed, draw));

    private sealed class Tally(string model, string[] runs)
    {
        private readonly int[] _dangerous = new int[runs.Length], _missed = new int[runs.Length], _harmless = new int[runs.Length], _alarms = new int[runs.Length];

        internal void Add(string run, bool dangerous, bool flagged)
        {
            int i = Array.BinarySearch(runs, run, StringComparer.Ordinal);
            (dangerous ? _dangerous : _harmless)[i]++;
            if (dangerous && !flagged) _missed[i]++;
            if (!dangerous && flagged) _alarms[i]++;
        }

        // The same runs of a base are drawn for every pair that it is the new one of.
        internal double Rate(bool missed, int? draw)
        {
            (int[] errors, int[] all) = missed ? (_missed, _dangerous) : (_alarms, _harmless);
            if (draw is not { } number) return errors.Sum() / (double)all.Sum();
            var random = new Random((31 * number) + model.Sum(c => c));
            double sum = 0, of = 0;
            for (int i = 0; i < runs.Length; i++)
            {
                int drawn = random.Next(runs.Length);
                (sum, of) = (sum + errors[drawn], of + all[drawn]);
            }

            return sum / of;
        }
    }
}
