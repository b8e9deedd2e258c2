using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>A checkpoint that cannot be applied to the model, and why.</summary>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Error">One sentence that names the file.</param>
internal sealed record UnusableCheckpoint(Checkpoint Checkpoint, string Error);

/// <summary>
/// What the headers of all checkpoints say before anything is computed: which cannot be applied to the model, which bases they were trained
/// on by their own account, and how the checkpoints of a run compare with each other.
/// </summary>
/// <remarks>Configurations and headers are read, no weights. Not thread safe.</remarks>
internal sealed class AdapterCensus
{
    private readonly Dictionary<string, RunComparison> _runs = [];
    private readonly Dictionary<string, Remark> _otherBase = [];
    private readonly List<UnusableCheckpoint> _unusable = [];
    private readonly OrderedDictionary<(string Name, string? Revision), List<Checkpoint>> _bases = new();
    private readonly List<(Checkpoint Checkpoint, IReadOnlyList<string> Modules)> _leftOut = [];
    private readonly HashSet<string> _said = [];
    private readonly GgufFile _model;

    /// <summary>A census of no checkpoints yet.</summary>
    /// <param name="model">The base model's header.</param>
    public AdapterCensus(GgufFile model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
    }

    /// <summary>Checkpoints that cannot be applied, in the order of the scan.</summary>
    public IReadOnlyList<UnusableCheckpoint> Unusable => _unusable;

    /// <summary>What the user should know before the scan begins: other bases, modules that are left out.</summary>
    public IReadOnlyList<Remark> Remarks { get; private set; } = [];

    /// <summary>Reads the headers of all checkpoints.</summary>
    /// <param name="found">The checkpoints.</param>
    /// <param name="model">The base model's header.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public static AdapterCensus Take(DiscoveredCheckpoints found, GgufFile model, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(found);
        var census = new AdapterCensus(model);
        foreach (Checkpoint checkpoint in found.Runs.SelectMany(run => run.Checkpoints))
        {
            cancellationToken.ThrowIfCancellationRequested();
            census.TakeIn(checkpoint);
        }

        census.Remarks = [.. census.Bases(census._bases), .. LeftOut(census._leftOut)];
        return census;
    }

    /// <summary>Takes in one more checkpoint, as a training saves it.</summary>
    /// <returns>What is new about the bases and modules of all of them; every kind is said once.</returns>
    public IReadOnlyList<Remark> Add(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        TakeIn(checkpoint);
        return [.. Bases(_bases).Concat(LeftOut(_leftOut)).Where(remark => _said.Add(remark.Code))];
    }

    private void TakeIn(Checkpoint checkpoint)
    {
        var before = AdapterStamp.Of(checkpoint.Path);
        try
        {
            // The survey first: what names the base is known even where the adapter then cannot be applied.
            var survey = AdapterSurvey.Read(checkpoint.Path, values: false);
            if (!_runs.TryGetValue(checkpoint.Run, out RunComparison? run)) _runs.Add(checkpoint.Run, run = new RunComparison());
            run.Add(survey);
            if (survey.BaseModel is { } name)
            {
                if (!_bases.TryGetValue((name, survey.BaseRevision), out List<Checkpoint>? of)) _bases.Add((name, survey.BaseRevision), of = []);
                of.Add(checkpoint);
            }

            if (AdapterReader.Check(checkpoint.Path, _model) is { Count: > 0 } modules) _leftOut.Add((checkpoint, modules));
        }
        catch (InputFileException)
        {
            // What a running training took away, or is writing, is no adapter that cannot be used: the measurement says so when its turn comes.
            if (Adapters.LeftOut.WhyNotReady(checkpoint.Path, checkpoint.Step, before) == null) _unusable.Add(new UnusableCheckpoint(checkpoint, WhyNot(checkpoint.Path, _model)));
        }
    }

    /// <summary>All doubts about a checkpoint: its own, its run's, its base's. To be asked once each, in the order of the scan.</summary>
    /// <param name="checkpoint">A checkpoint that the census was taken of.</param>
    /// <param name="survey">Its survey, with values.</param>
    public IReadOnlyList<Remark> Doubts(Checkpoint checkpoint, AdapterSurvey survey)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(survey);
        List<Remark> doubts = [.. AdapterDoubts.Of(survey, checkpoint.Step, _model)];
        if (_runs.TryGetValue(checkpoint.Run, out RunComparison? run))
        {
            // What the model says is missing says more than that other checkpoints of the run have it.
            bool missing = doubts.Exists(d => d.Code == AdapterDoubts.MissingModules);
            doubts.AddRange(run.Doubts(survey).Where(d => !missing || d.Code != RunComparison.FewerModules));
        }

        if (_otherBase.TryGetValue(checkpoint.Path, out Remark? other)) doubts.Add(other);
        return doubts;
    }

    // The reader's own sentence is the better one: it is the one that the scan would fail with.
    private static string WhyNot(string path, GgufFile model)
    {
        try
        {
            AdapterReader.Check(path, model);
            _ = AdapterSurvey.Read(path, values: false);
            return $"{path}: could not be read a moment ago; it is being written or removed.";
        }
        catch (InputFileException e)
        {
            return e.Message;
        }
    }

    private IEnumerable<Remark> Bases(OrderedDictionary<(string Name, string? Revision), List<Checkpoint>> bases)
    {
        IReadOnlyList<string> own = BaseNames.OfModel(_model);
        string modelName = Path.GetFileName(_model.Path) + (own.Count > 0 ? $" ({InputFile.OneLine(own[0])})" : "");
        string[] tell = [.. own.Where(BaseNames.Tells)];
        bool IsOther(string name) => tell.Length > 0 && tell.All(mine => BaseNames.Differ(mine, name));
        (string Name, List<Checkpoint> Of)[] byName = [.. bases.GroupBy(b => b.Key.Name).Select(g => (g.Key, g.SelectMany(b => b.Value).ToList()))];
        (string Name, List<Checkpoint> Of)[] others = [.. byName.Where(b => IsOther(b.Name))];
        if (others.Length > 0)
        {
            yield return new Remark(
                "other-base", $"{string.Join("; ", others.Select(b => $"{Many(b.Of)} by its own account trained on {InputFile.OneLine(b.Name)}"))}; "
                    + $"the model is {modelName}, and what is measured holds only for adapters of this model.");

            // Where the rest of the folder names this very model, the others are not just called by another name.
            if (others.Length < byName.Length && byName.Except(others).Any(b => tell.Any(mine => BaseNames.Tells(b.Name) && !BaseNames.Differ(mine, b.Name))))
            {
                foreach ((string name, List<Checkpoint> of) in others)
                {
                    foreach (Checkpoint checkpoint in of)
                        _otherBase[checkpoint.Path] = new Remark("other-base", $"it was trained on another base, {InputFile.OneLine(name)}");
                }
            }
        }
        else if (byName.Any(x => byName.Any(y => BaseNames.Differ(x.Name, y.Name))))
        {
            yield return new Remark(
                "several-bases", $"the adapters name different base models: {string.Join("; ", byName.Select(b => $"{InputFile.OneLine(b.Name)} ({Many(b.Of)})"))}; "
                    + $"what is measured holds only for those of {modelName}.");
        }

        foreach (IGrouping<string, KeyValuePair<(string Name, string? Revision), List<Checkpoint>>> name in bases.GroupBy(b => b.Key.Name))
        {
            string[] revisions = [.. name.Select(b => b.Key.Revision).OfType<string>().Distinct().Order(StringComparer.Ordinal)];
            if (revisions.Length > 1)
            {
                yield return new Remark(
                    "several-revisions", $"the adapters name different revisions of {InputFile.OneLine(name.Key)}: {string.Join(", ", revisions.Select(InputFile.OneLine))}; "
                        + "the model can only be one of them.");
            }
        }
    }

    private static IEnumerable<Remark> LeftOut(List<(Checkpoint Checkpoint, IReadOnlyList<string> Modules)> leftOut)
    {
        if (leftOut.Count == 0) yield break;
        (Checkpoint first, IReadOnlyList<string> modules) = leftOut[0];
        yield return new Remark("left-out", string.Create(
            CultureInfo.InvariantCulture,
            $"{Many([.. leftOut.Select(l => l.Checkpoint)])} with {modules.Count} modules that the model does not have, {InputFile.OneLine(modules[0])} for one in {first.Path}; their lora_B is zero, so leaving them out changes nothing."));
    }

    private static string Many(List<Checkpoint> checkpoints) => checkpoints.Count == 1
        ? $"{checkpoints[0].Run} step {checkpoints[0].Step}"
        : string.Create(CultureInfo.InvariantCulture, $"{checkpoints.Count} checkpoints, first {checkpoints[0].Run} step {checkpoints[0].Step},");
}
