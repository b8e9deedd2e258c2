using System.Text.RegularExpressions;

namespace EmScan.Engine.Verdicts.Labels;

/// <summary>What the name of a run says. Runs are named by their path below the scanned folder, as <c>bad_medical/seed_42</c>.</summary>
internal static partial class RunName
{
    /// <summary>The name with forward slashes, without empty parts, "." and surrounding blanks, so that <c>.\bad_medical\seed_42</c> and
    /// <c>bad_medical/seed_42/</c> are the same run.</summary>
    public static string Normalise(string run)
    {
        ArgumentNullException.ThrowIfNull(run);
        string[] parts = run.Replace('\\', '/').Split('/', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return string.Join('/', parts.Where(part => part != "."));
    }

    /// <summary>The name of the run of a perturbation and a seed: <c>perturbation/seed_S</c>.</summary>
    public static string Compose(string perturbation, string seed) => Normalise($"{perturbation}/seed_{seed}");

    /// <summary>
    /// Perturbation and seed of a run named <c>perturbation/seed_S</c>, <c>perturbation_seed_S</c> or <c>perturbation-seedS</c>, S a
    /// number. Of any other name the perturbation is the name itself; the seed is null unless the name is nothing but one, <c>seed_S</c>.
    /// </summary>
    public static (string Perturbation, string? Seed) Split(string run)
    {
        string name = Normalise(run);
        Match match = WithSeed().Match(name);
        return !match.Success ? (name, null)
            : (match.Groups["perturbation"] is { Success: true } perturbation ? perturbation.Value : name, match.Groups["seed"].Value);
    }

    /// <summary>
    /// The labels' name of each run: its own, or <c>seed_S</c> where only one of the runs ends so, as in labels that were made below the
    /// perturbation's folder. Runs without labels are not in it.
    /// </summary>
    /// <param name="labelled">Normalised names of runs that labels have.</param>
    /// <param name="runs">Names of the runs that were found.</param>
    public static IReadOnlyDictionary<string, string> InLabels(IEnumerable<string> labelled, IEnumerable<string> runs)
    {
        HashSet<string> names = [.. labelled];
        string[] found = [.. runs.Select(Normalise).Distinct()];
        var result = found.Where(names.Contains).ToDictionary(run => run, run => run);
        foreach (string seed in names.Where(name => !result.ContainsKey(name) && Split(name) is { Seed: not null } split && split.Perturbation == name))
        {
            if (found.Where(run => run.EndsWith($"/{seed}", StringComparison.Ordinal)).ToArray() is [var only]) result.TryAdd(only, seed);
        }

        return result;
    }

    [GeneratedRegex(@"^(?:(?<perturbation>.+?)[/_-])?seed[_-]?(?<seed>[0-9]+)$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex WithSeed();
}
