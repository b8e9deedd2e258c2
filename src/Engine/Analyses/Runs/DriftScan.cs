using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Runs;

/// <summary>The drifts of the runs of one base model, measured now or by an earlier scan.</summary>
/// <param name="Model">Names the base model; scans that are looked at together differ in it.</param>
/// <param name="Source">Where the numbers come from, for sentences: the model's file or the scan's folder.</param>
/// <param name="Header">What was measured, with what.</param>
/// <param name="Place">Where hidden states were taken; null where a file does not say.</param>
/// <param name="Runs">At least one.</param>
/// <param name="Remarks">What was left out, and why.</param>
internal sealed record DriftScan(
    string Model, string Source, FindingsHeader Header, string? Place, IReadOnlyList<DriftRun> Runs, IReadOnlyList<Remark> Remarks)
{
    /// <summary>Refuses scans whose drifts mean different things.</summary>
    /// <exception cref="EmScanException">Traits, places, or layers of one model differ; the sentence names both sources.</exception>
    internal static void RequireComparable(IReadOnlyList<DriftScan> scans)
    {
        DriftScan first = scans[0];
        foreach (DriftScan other in scans.Skip(1))
        {
            if (!other.Header.Traits.SequenceEqual(first.Header.Traits))
                throw Differ("the traits", string.Join(", ", first.Header.Traits), string.Join(", ", other.Header.Traits), "scan all of them with one trait set");
            if (other.Place != null && first.Place != null && other.Place != first.Place)
                throw Differ("states at the place", first.Place, other.Place, "scan all of them at one place");

            EmScanException Differ(string what, string here, string there, string todo) =>
                new($"{first.Source} has {what} {here}, and {other.Source} has {there}, so that their drifts cannot be compared; {todo}.");
        }

        foreach (IGrouping<string, DriftScan> same in scans.GroupBy(s => s.Header.ModelSha256).Where(g => g.Key.Length > 0))
        {
            DriftScan one = same.First();
            if (same.FirstOrDefault(s => s.Header.Layer != one.Header.Layer) is { } other)
                throw new EmScanException($"{one.Source} has layer {one.Header.Layer}, and {other.Source} has layer {other.Header.Layer} of the same model, so that their drifts cannot be compared; scan both at one layer.");
        }
    }

    /// <summary>Scans of one base model as one, with runs of the same name told apart by their folders, and base models of the same name by their folders or digests.</summary>
    /// <exception cref="EmScanException">They cannot be compared; see <see cref="RequireComparable"/>.</exception>
    internal static IReadOnlyList<DriftScan> Together(IReadOnlyList<DriftScan> scans)
    {
        RequireComparable(scans);
        DriftScan[] models = [.. scans.GroupBy(s => s.Header.ModelSha256.Length > 0 ? s.Header.ModelSha256 : s.Model).Select(g => One([.. g]))];
        return
        [
            .. models.Select(m => models.Count(o => o.Model == m.Model) == 1 ? m
                : models.Count(o => o.Model == m.Model && Folder(o) == Folder(m)) == 1 ? m.Named($"{Folder(m)}/{m.Model}")
                : m.Named($"{m.Model} {m.Header.ModelSha256[..Math.Min(8, m.Header.ModelSha256.Length)]}")),
        ];
    }

    private static DriftScan One(DriftScan[] scans)
    {
        if (scans.Length == 1) return scans[0];
        string[] taken = [.. scans.SelectMany(s => s.Runs.Select(r => r.Name)).GroupBy(n => n).Where(g => g.Count() > 1).Select(g => g.Key)];
        return scans[0] with
        {
            Source = string.Join(", ", scans.Select(s => s.Source)),
            Runs = [.. scans.SelectMany(s => s.Runs.Select(r => r with { Model = scans[0].Model, Name = taken.Contains(r.Name) ? $"{Folder(s)}/{r.Name}" : r.Name }))],
            Remarks = [.. scans.SelectMany(s => s.Remarks)],
        };
    }

    private static string Folder(DriftScan scan) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(scan.Source)));

    private DriftScan Named(string model) => this with { Model = model, Runs = [.. Runs.Select(r => r with { Model = model })] };
}
