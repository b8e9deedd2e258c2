using System.IO.Enumeration;

namespace EmScan.Engine.Verdicts;

/// <summary>Names of perturbations or runs, with * for anything: "bad_medical", "stress/*", "*/seed_42". Immutable, thread safe.</summary>
internal sealed class NamePatterns
{
    private readonly string[] _patterns;

    /// <summary>Takes patterns; each may itself be a list separated by commas.</summary>
    public NamePatterns(IEnumerable<string> patterns)
    {
        ArgumentNullException.ThrowIfNull(patterns);
        _patterns = [.. patterns.SelectMany(p => p.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
    }

    /// <summary>True when there is none.</summary>
    public bool IsEmpty => _patterns.Length == 0;

    /// <summary>The patterns as they were given.</summary>
    public override string ToString() => string.Join(", ", _patterns);

    /// <summary>Whether the checkpoint's perturbation or run fits a pattern.</summary>
    public bool Matches(LabelledObservation checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return Matches(checkpoint.Perturbation, checkpoint.Observation.Run);
    }

    /// <summary>The same by names.</summary>
    internal bool Matches(string perturbation, string run) => _patterns.Any(p => Fits(p, perturbation, run));

    /// <summary>The checkpoints that fit.</summary>
    /// <exception cref="EmScanException">A pattern fits nothing; the sentence lists the perturbations.</exception>
    public IReadOnlyList<LabelledObservation> Select(IReadOnlyList<LabelledObservation> checkpoints)
    {
        RequireUse(checkpoints);
        return [.. checkpoints.Where(Matches)];
    }

    /// <summary>The checkpoints that do not fit.</summary>
    /// <exception cref="EmScanException">A pattern fits nothing; the sentence lists the perturbations.</exception>
    public IReadOnlyList<LabelledObservation> Without(IReadOnlyList<LabelledObservation> checkpoints)
    {
        RequireUse(checkpoints);
        return [.. checkpoints.Where(c => !Matches(c))];
    }

    private void RequireUse(IReadOnlyList<LabelledObservation> checkpoints)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);
        if (_patterns.FirstOrDefault(p => !checkpoints.Any(c => Fits(p, c))) is not { } useless) return;
        IEnumerable<string> names = checkpoints.Select(c => c.Perturbation).Distinct().Order(Adapters.NaturalOrder.Instance);
        throw new EmScanException($"No labelled checkpoint fits '{useless}'; the perturbations are {string.Join(", ", names)}.");
    }

    private static bool Fits(string pattern, LabelledObservation checkpoint) => Fits(pattern, checkpoint.Perturbation, checkpoint.Observation.Run);

    private static bool Fits(string pattern, string perturbation, string run) =>
        FileSystemName.MatchesSimpleExpression(pattern, perturbation, ignoreCase: false) || FileSystemName.MatchesSimpleExpression(pattern, run, ignoreCase: false);
}
