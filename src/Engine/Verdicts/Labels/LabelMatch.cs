using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Labels;

/// <summary>A checkpoint on disk whose EM rate is known.</summary>
/// <param name="Checkpoint">The adapter.</param>
/// <param name="Label">Its label.</param>
internal sealed record LabelledCheckpoint(Checkpoint Checkpoint, EmLabel Label);

/// <summary>Which labels belong to which checkpoints. A label fits by the name of its run and its step.</summary>
/// <param name="Checkpoints">Labelled checkpoints, in the order of discovery; at least one.</param>
/// <param name="BaseLabels">Labels of step 0, which belong to the base model and need no adapter.</param>
/// <param name="NotFound">Other labels for which there is no checkpoint.</param>
/// <param name="NotLabelled">Checkpoints for which there is no label.</param>
internal sealed record LabelMatch(
    IReadOnlyList<LabelledCheckpoint> Checkpoints, IReadOnlyList<EmLabel> BaseLabels, IReadOnlyList<EmLabel> NotFound,
    IReadOnlyList<Checkpoint> NotLabelled)
{
    private const int Examples = 3;

    /// <summary>One sentence for each kind of leftover, with examples; empty when everything fits.</summary>
    public IEnumerable<string> Remarks
    {
        get
        {
            if (NotFound.Count > 0)
            {
                yield return $"{NotFound.Count} of {NotFound.Count + LabelCount} labels have no checkpoint here, for example "
                    + $"{Some(NotFound.Select(label => label.Name))}.";
            }

            if (NotLabelled.Count > 0)
            {
                yield return $"{NotLabelled.Count} of {NotLabelled.Count + Checkpoints.Count} checkpoints have no label, for example "
                    + $"{Some(NotLabelled.Select(Name))}.";
            }
        }
    }

    private int LabelCount => Checkpoints.Select(c => c.Label).Distinct().Count();

    /// <param name="file">Where the labels are from.</param>
    /// <param name="labels">Labels of one base model, or of one that is not named.</param>
    /// <param name="runs">What was found on disk.</param>
    /// <exception cref="InputFileException">No label fits any checkpoint, or two fit the same.</exception>
    internal static LabelMatch Compute(LabelFile file, EmLabel[] labels, CheckpointRun[] runs)
    {
        var byCheckpoint = new Dictionary<(string, CheckpointStep), EmLabel>();
        foreach (EmLabel label in labels)
        {
            if (byCheckpoint.TryAdd((label.Run, label.Step), label)) continue;
            int other = byCheckpoint[(label.Run, label.Step)].Line;
            throw new InputFileException(
                file.Path, $"labels {label.Name} with a model and without one, in lines {other} and {label.Line}; keep one of them");
        }

        IReadOnlyDictionary<string, string> names = RunName.InLabels(labels.Select(label => label.Run), runs.Select(run => run.Name));
        var matched = new List<LabelledCheckpoint>();
        var unlabelled = new List<Checkpoint>();
        foreach (Checkpoint checkpoint in runs.SelectMany(run => run.Checkpoints))
        {
            string run = RunName.Normalise(checkpoint.Run);
            if (byCheckpoint.TryGetValue((names.GetValueOrDefault(run, run), checkpoint.Step), out EmLabel? label))
                matched.Add(new LabelledCheckpoint(checkpoint, label));
            else
                unlabelled.Add(checkpoint);
        }

        HashSet<EmLabel> used = [.. matched.Select(m => m.Label)];
        EmLabel[] ofBase = [.. labels.Where(IsOfBase)], notFound = [.. labels.Where(label => !IsOfBase(label) && !used.Contains(label))];
        return matched.Count > 0
            ? new LabelMatch(matched, ofBase, notFound, unlabelled)
            : throw new InputFileException(file.Path, Nothing(notFound, unlabelled));
    }

    private static bool IsOfBase(EmLabel label) => label.Step == CheckpointStep.Base;

    private static string Nothing(EmLabel[] labels, List<Checkpoint> checkpoints)
    {
        if (labels.Length == 0) return "labels only step 0, which is the base model; label checkpoints as well";
        if (checkpoints.Count == 0) return "cannot be matched, because no checkpoint was found";

        // The same run with other steps is the more telling pair, if there is one.
        HashSet<string> runs = [.. checkpoints.Select(c => RunName.Normalise(c.Run))];
        EmLabel label = labels.FirstOrDefault(l => runs.Contains(l.Run)) ?? labels[0];
        Checkpoint checkpoint = checkpoints.FirstOrDefault(c => RunName.Normalise(c.Run) == label.Run) ?? checkpoints[0];
        return $"none of its labels fits a checkpoint: it names {label.Name}, while the folder holds {Name(checkpoint)}; "
            + "a run is named by its path below the scanned folder";
    }

    private static string Name(Checkpoint checkpoint) => $"step {checkpoint.Step} of run '{InputFile.OneLine(checkpoint.Run)}'";

    private static string Some(IEnumerable<string> names) => string.Join(", ", names.Take(Examples));
}
