using System.Globalization;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Compares the checkpoints of one training run with each other: a run saves the same modules with the same rank and alpha every time, and
/// a row of lora_B that was once trained does not become exactly zero again.
/// </summary>
/// <remarks>Holds each different set of modules once, so a run of thousands costs no more than one of few. Not thread safe.</remarks>
internal sealed class RunComparison
{
    /// <summary>More rows of zeros than an earlier checkpoint had, by this share of all rows, are rows that were lost.</summary>
    private const double LostRows = 0.1;

    /// <summary>Code of the doubt that other checkpoints have modules which this one lacks.</summary>
    internal const string FewerModules = "fewer-modules-than-its-run";

    private readonly Dictionary<string, (HashSet<string> Modules, int Count)> _sets = [];
    private readonly Dictionary<(int Rank, double? Alpha), int> _settings = [];
    private int _count;
    private double _fewestZeroRows = 1;

    /// <summary>Takes a checkpoint in; headers are enough.</summary>
    public void Add(AdapterSurvey survey)
    {
        ArgumentNullException.ThrowIfNull(survey);
        HashSet<string> modules = Names(survey);
        string key = Key(modules);
        _sets[key] = _sets.TryGetValue(key, out (HashSet<string> Modules, int Count) known) ? (known.Modules, known.Count + 1) : (modules, 1);
        _settings[(survey.Rank, survey.Alpha)] = _settings.GetValueOrDefault((survey.Rank, survey.Alpha)) + 1;
        _count++;
    }

    /// <summary>How a checkpoint that was taken in differs from the rest of its run. To be asked in the order of the steps.</summary>
    /// <param name="survey">The checkpoint's survey; with values, rows are compared as well.</param>
    public IReadOnlyList<Remark> Doubts(AdapterSurvey survey)
    {
        ArgumentNullException.ThrowIfNull(survey);
        var doubts = new List<Remark>();
        if (Lacking(survey) is { } lacking) doubts.Add(lacking);
        if (OtherSettings(survey) is { } settings) doubts.Add(settings);
        if (survey.ZeroRowShare is { } zero && !survey.ChangesNothing)
        {
            if (zero > _fewestZeroRows + LostRows)
            {
                doubts.Add(new Remark("lost-rows", string.Create(
                    CultureInfo.InvariantCulture,
                    $"incomplete: {100 * zero:0.#}% of the rows of lora_B are exactly zero, and {100 * _fewestZeroRows:0.#}% in an earlier checkpoint of its run")));
            }

            _fewestZeroRows = Math.Min(_fewestZeroRows, zero);
        }

        return doubts;
    }

    // Modules that at least half of the other checkpoints have.
    private Remark? Lacking(AdapterSurvey survey)
    {
        if (_sets.Count < 2) return null;
        HashSet<string> own = Names(survey);
        int others = _count - 1;
        string[] lacking =
        [
            .. _sets.Values.SelectMany(set => set.Modules).Distinct().Where(name => !own.Contains(name)
                && 2 * _sets.Values.Where(set => set.Modules.Contains(name)).Sum(set => set.Count) >= others),
        ];
        return lacking.Length == 0 ? null
            : new Remark(FewerModules, string.Create(
                CultureInfo.InvariantCulture, $"incomplete: the file lacks {lacking.Length} modules that other checkpoints of its run have, {lacking[0]} for one"));
    }

    private Remark? OtherSettings(AdapterSurvey survey)
    {
        if (_settings.Count < 2) return null;
        (int Rank, double? Alpha) own = (survey.Rank, survey.Alpha);
        ((int Rank, double? Alpha) usual, int count) = _settings.Where(s => s.Key != own).MaxBy(s => s.Value);
        return _settings.GetValueOrDefault(own) > count ? null
            : new Remark("other-settings-than-its-run", string.Create(
                CultureInfo.InvariantCulture,
                $"it has rank {own.Rank} and alpha {own.Alpha}, where other checkpoints of its run have rank {usual.Rank} and alpha {usual.Alpha}"));
    }

    private static HashSet<string> Names(AdapterSurvey survey) => [.. survey.Modules.Select(m => m.Name)];

    private static string Key(HashSet<string> names) => string.Join('\n', names.Order(StringComparer.Ordinal));
}
