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
}
