using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Runs;

namespace EmScan.Engine.Analyses.Personas;

/// <summary>What a persona is looked for in besides itself.</summary>
internal enum PersonaGrouping
{
    /// <summary>Every training seed (of every base model) is a group.</summary>
    Seed,

    /// <summary>Every base model is a group; runs of a perturbation in it are averaged.</summary>
    Model,
}

/// <summary>Final drifts of every persona in every group: a two-way table without gaps.</summary>
/// <param name="Personas">Names of the perturbations, (A), A at least 2.</param>
/// <param name="Groups">Names of the groups, (B), B at least 2.</param>
/// <param name="Drifts">x of persona i in group j, [A][B](K), in units of each model's n0.</param>
/// <param name="Notes">What was left out, averaged or differs.</param>
internal sealed record PersonaTable(IReadOnlyList<string> Personas, IReadOnlyList<string> Groups, double[][][] Drifts, IReadOnlyList<Remark> Notes)
{
    /// <summary>Gathers the final drifts of scans.</summary>
    /// <param name="scans">One of each base model.</param>
    /// <param name="by">What a group is; null for models where there are several, else seeds.</param>
    /// <exception cref="EmScanException">There are fewer than 2 groups, or fewer than 2 perturbations that all of them have.</exception>
    internal static PersonaTable Of(IReadOnlyList<DriftScan> scans, PersonaGrouping? by)
    {
        DriftScan.RequireComparable(scans);
        List<Remark> notes = [.. scans.SelectMany(s => s.Remarks)];
        PersonaGrouping grouping = by ?? (scans.Count > 1 ? PersonaGrouping.Model : PersonaGrouping.Seed);
        DriftRun[] all = [.. scans.SelectMany(s => s.Runs)];
        DriftRun[] runs = [.. all.Where(r => Group(r) != null)];
        if (runs.Length < all.Length)
            notes.Add(new Remark("no-seed", $"{string.Join(", ", all.Except(runs).Select(r => r.Name))}: nothing tells the seed, so that no group is known; left out."));
        string[] groups = [.. runs.Select(r => Group(r)!).Distinct().Order(NaturalOrder.Instance)];
        if (groups.Length < 2)
        {
            string there = groups.Length == 0 ? "no run whose seed is known" : $"one {(grouping == PersonaGrouping.Seed ? "seed" : "model")} ({groups[0]})";
            throw new EmScanException($"There is {there}, and a persona can only be compared between at least 2 groups; give runs of several seeds, or several models with their adapters.");
        }

        string[] named = [.. runs.Select(r => r.Perturbation).Distinct().Order(NaturalOrder.Instance)];
        ILookup<(string, string), DriftRun> cells = runs.ToLookup(r => (r.Perturbation, Group(r)!));
        string[] personas = [.. named.Where(p => groups.All(g => cells.Contains((p, g))))];
        if (personas.Length < 2)
            throw new EmScanException($"{(personas.Length == 0 ? "No perturbation" : $"Only one perturbation ({personas[0]})")} is in each of the groups {string.Join(", ", groups)}, and at least 2 must be; the perturbations are {string.Join(", ", named)}.");
        if (personas.Length < named.Length)
            notes.Add(new Remark("not-in-all-groups", $"{string.Join(", ", named.Except(personas))}: not in every group ({string.Join(", ", groups)}); left out."));
        if (personas.Any(p => groups.Any(g => cells[(p, g)].Count() > 1)))
            notes.Add(new Remark("averaged", "Where a group has several runs of a perturbation, the mean of their final drifts is taken."));
        string[] last = [.. personas.SelectMany(p => groups.SelectMany(g => cells[(p, g)])).Select(r => r.Last.Step.ToString()).Distinct().Order(NaturalOrder.Instance)];
        if (last.Length > 1) notes.Add(new Remark("different-ends", $"The last checkpoints are of different steps ({string.Join(", ", last)}); how far a run got is part of what differs."));
        if (scans.Select(s => s.Header.Layer).Distinct().Count() > 1)
            notes.Add(new Remark("different-layers", $"Each model is measured at a layer of its own: {string.Join(", ", scans.Select(s => $"{s.Model} {s.Header.Layer}"))}."));
        return new PersonaTable(personas, groups, [.. personas.Select(p => groups.Select(g => Mean([.. cells[(p, g)].Select(r => r.Last.Drift)])).ToArray())], notes);

        string? Group(DriftRun run) => grouping == PersonaGrouping.Model ? run.Model : run.Seed == null ? null : scans.Count > 1 ? $"{run.Model}/seed_{run.Seed}" : $"seed_{run.Seed}";
    }

    /// <summary>The same on directions; null where a drift is zero and has none.</summary>
    internal double[][][]? UnitNorm() => Drifts.Any(p => p.Any(x => Norm(x) == 0)) ? null
        : [.. Drifts.Select(p => p.Select(x => x.Select(v => v / Norm(x)).ToArray()).ToArray())];

    internal static double Norm(double[] x) => Math.Sqrt(x.Sum(v => v * v));

    private static double[] Mean(double[][] rows) => [.. rows[0].Select((_, k) => rows.Average(r => r[k]))];
}
