using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses;

/// <summary>Short names of adapters: their paths below the deepest folder that they have in common, with forward slashes.</summary>
internal static class AdapterNames
{
    /// <summary>A name for each adapter's path; the path itself where there is but one.</summary>
    internal static Dictionary<string, string> Of(IEnumerable<AdapterSource> adapters)
    {
        string[] paths = [.. adapters.Select(a => a.Path).Distinct()];
        string[][] parts = [.. paths.Select(path => System.IO.Path.GetFullPath(path).Split(System.IO.Path.DirectorySeparatorChar))];
        int common = 0;
        if (paths.Length > 1)
        {
            while (parts.All(p => p.Length > common + 1 && p[common] == parts[0][common])) common++;
        }

        return paths.Zip(parts).ToDictionary(pair => pair.First, pair => paths.Length > 1 ? string.Join('/', pair.Second[common..]) : pair.First);
    }

    /// <summary>
    /// The same without what all paths have in common at the same depth (a seed), and without the step of the last checkpoint of each run: "bad_medical",
    /// "bad_medical/checkpoint-10".
    /// </summary>
    /// <param name="adapters">The adapters.</param>
    /// <returns>For each path its name, and the run and the step that it is of; the step is empty where the path names none.</returns>
    internal static Dictionary<string, (string Name, string Run, string Step)> Short(IEnumerable<AdapterSource> adapters)
    {
        Dictionary<string, string> names = Of(adapters);
        if (names.Count == 1) return names.ToDictionary(pair => pair.Key, pair => (pair.Value, pair.Value, ""));
        Dictionary<string, string[]> parts = names.ToDictionary(pair => pair.Key, pair => pair.Value.Split('/'));
        string[] first = parts.Values.First();
        bool[] same = [.. first.Select((part, depth) => parts.Values.All(p => p.Length == first.Length && p[depth] == part))];
        Dictionary<string, (string Run, string Step)> split = parts.ToDictionary(pair => pair.Key, pair =>
        {
            string[] p = pair.Value;
            bool numbered = p.Length > 1 && PathName.OfFolder(p[^1]).Kind == NameKind.Numbered;
            string[] run = numbered ? p[..^1] : p;
            string[] kept = [.. run.Where((_, depth) => p.Length != first.Length || !same[depth])];
            return (string.Join('/', kept.Length > 0 ? kept : run), numbered ? p[^1] : "");
        });
        Dictionary<string, string> last = split.Values.GroupBy(s => s.Run).ToDictionary(run => run.Key, run => run.Select(s => s.Step).Order(NaturalOrder.Instance).Last());
        return split.ToDictionary(pair => pair.Key, pair =>
            (pair.Value.Step.Length == 0 || last[pair.Value.Run] == pair.Value.Step ? pair.Value.Run : $"{pair.Value.Run}/{pair.Value.Step}", pair.Value.Run, pair.Value.Step));
    }
}
