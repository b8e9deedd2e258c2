using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Puts adapters into runs, by the names on the way to them. Within a run each step occurs once: what repeats an adapter is left out and
/// said, what merely has the same step becomes a run of its own.
/// </summary>
internal sealed class RunNaming
{
    private readonly List<LeftOut> _leftOut;
    private readonly List<Remark> _notes;
    private readonly AdapterComparison _comparison = new();

    private RunNaming(List<LeftOut> leftOut, List<Remark> notes) => (_leftOut, _notes) = (leftOut, notes);

    /// <summary>Groups adapters into runs.</summary>
    /// <param name="found">Adapters in any order.</param>
    /// <param name="leftOut">Gets what is not to be scanned.</param>
    /// <param name="notes">Gets what a user should know of how names were understood.</param>
    internal static IReadOnlyList<CheckpointRun> ToRuns(IEnumerable<FoundAdapter> found, List<LeftOut> leftOut, List<Remark> notes) =>
        new RunNaming(leftOut, notes).Build([.. found.OrderBy(f => f.Relative, NaturalOrder.Instance).ThenBy(f => f.Path, NaturalOrder.Instance)]);

    private List<CheckpointRun> Build(FoundAdapter[] found)
    {
        HashSet<string> holdCheckpoints =
        [
            .. found.Where(f => !f.IsFile && f.Names is [.., var name] && PathName.OfFolder(name) is { Kind: NameKind.Numbered, Bare: false })
                .Select(f => Path.GetDirectoryName(f.Real)).OfType<string>(),
        ];
        RunEntry[] entries = [.. found.Select(f => RunEntry.Of(f, holdCheckpoints))];
        List<RunEntry> kept = [.. entries.GroupBy(e => (e.Found.Base, e.Head)).SelectMany(group => ByName([.. group], entries))];
        JoinFinals(kept);
        kept = [.. WithoutReferences(kept)];
        var runs = new Dictionary<(string Base, string Run), List<RunEntry>>();
        foreach (IGrouping<(string Base, string Run), RunEntry> group in kept.GroupBy(e => (e.Found.Base, e.Run)))
        {
            foreach (RunEntry entry in EachStepOnce(group.Key.Run, [.. group]))
            {
                // A run that an adapter was moved to may have that step as well.
                for (int attempt = 0; runs.TryGetValue((group.Key.Base, entry.Run), out List<RunEntry>? taken) && taken.Any(e => e.Step == entry.Step); attempt++)
                    entry.Run = attempt == 0 ? entry.Found.Relative : $"{entry.Found.Relative}~{attempt}";
                var key = (group.Key.Base, entry.Run);
                if (!runs.TryGetValue(key, out List<RunEntry>? members)) runs.Add(key, members = []);
                members.Add(entry);
            }
        }

        return Display(runs);
    }

    // ---- several adapters below one checkpoint ----

    private IEnumerable<RunEntry> ByName(RunEntry[] group, RunEntry[] all)
    {
        RunEntry[] numbered = [.. group.Where(e => e.Kind == NameKind.Numbered)];
        foreach (RunEntry reference in numbered.Where(e => e.IsReference).ToArray())
        {
            if (!numbered.Any(e => !e.IsReference && e.Step == reference.Step && e.Epoch == reference.Epoch)) continue;
            LeaveOut(reference, LeftOutReason.Reference, $"{reference.Found.Path} is the reference adapter of a preference training and is not scanned.");
            numbered = [.. numbered.Where(e => e != reference)];
        }

        string[] names = [.. numbered.Select(e => e.Name).Distinct()];
        bool one = names.Length == 1;
        foreach (RunEntry entry in numbered)
        {
            entry.OnlyName = one ? entry.Name : "";
            entry.Run = one ? entry.Head : RunEntry.Join([entry.Head, entry.Name]);
            yield return entry;
        }

        foreach (RunEntry entry in group.Where(e => e.Kind != NameKind.Numbered)) yield return entry;
    }

    // run/medical is the final adapter of run/checkpoint-N/medical, whose run is "run" when there is no other name.
    private static void JoinFinals(List<RunEntry> entries)
    {
        Dictionary<(string, string), string> collapsed = [];
        foreach (RunEntry entry in entries.Where(e => e.OnlyName.Length > 0)) collapsed.TryAdd((entry.Found.Base, RunEntry.Join([entry.Head, entry.OnlyName])), entry.Run);
        foreach (RunEntry entry in entries.Where(e => e.Kind is NameKind.Plain or NameKind.Final))
            if (collapsed.TryGetValue((entry.Found.Base, entry.Run), out string? run)) entry.Run = run;
    }

    private IEnumerable<RunEntry> WithoutReferences(List<RunEntry> entries)
    {
        HashSet<(string, string)> runs = [.. entries.Where(e => e.Kind != NameKind.Reference).Select(e => (e.Found.Base, e.Run))];
        foreach (RunEntry entry in entries)
        {
            // Beside the adapter that was trained against it; a folder of that name among other runs is a run.
            if (entry.Kind == NameKind.Reference && runs.Contains((entry.Found.Base, Parent(entry.Run))))
                LeaveOut(entry, LeftOutReason.Reference, $"{entry.Found.Path} is the reference adapter of a preference training and is not scanned.");
            else yield return entry;
        }
    }

    // ---- one run ----

    private List<RunEntry> EachStepOnce(string run, RunEntry[] members)
    {
        List<RunEntry> numbered = [.. members.Where(e => e.Kind == NameKind.Numbered)];
        CountEpochs(run, numbered);
        if (numbered.Where(e => e.EpochAbove.Length > 0).GroupBy(e => (e.Step, e.Type, e.Found.IsFile)).Any(g => g.Select(e => e.EpochAbove).Distinct().Count() > 1))
        {
            foreach (RunEntry entry in numbered.Where(e => e.EpochAbove.Length > 0)) entry.Run = RunEntry.Join([run, entry.EpochAbove]);
        }

        var result = new List<RunEntry>();
        foreach (IGrouping<string, RunEntry> part in numbered.GroupBy(e => e.Run)) result.AddRange(Variants(part.Key, [.. part]));
        Finals(run, [.. members.Where(e => e.Kind != NameKind.Numbered).OrderBy(e => e.FinalRank).ThenBy(e => e.Found.Relative, NaturalOrder.Instance)], result);
        return result;
    }

    // Epochs are counted in optimizer steps where trainer_state.json says at which it was; else the epochs are the steps.
    private void CountEpochs(string run, List<RunEntry> numbered)
    {
        RunEntry[] epochs = [.. numbered.Where(e => e.Step == null).OrderBy(e => e.Epoch)];
        if (epochs.Length == 0) return;
        long?[] steps = [.. epochs.Select(GlobalStep)];
        bool known = steps.All(s => s != null) && epochs.Zip(epochs.Skip(1)).Zip(steps.Zip(steps.Skip(1)))
            .All(pair => pair.First.First.Epoch == pair.First.Second.Epoch ? pair.Second.First == pair.Second.Second : pair.Second.First < pair.Second.Second);
        bool mixed = epochs.Length < numbered.Count;
        int parts = Parts(epochs);
        for (int i = 0; i < epochs.Length; i++)
        {
            epochs[i].Step = known ? steps[i] : (long)(epochs[i].Epoch!.Value * parts);
            if (!known && mixed) epochs[i].Run = RunEntry.Join([run, "epochs"]);
        }

        string name = run.Length > 0 ? run : Path.GetFileName(epochs[0].Found.Base);
        if (known && epochs.Any(e => e.Step != e.Epoch))
        {
            string shown = string.Join(" ", epochs.Select(e => e.Epoch!.Value.ToString("0.####", CultureInfo.InvariantCulture)));
            _notes.Add(new Remark("epochs-in-steps", $"{name}: epochs {shown} are shown as steps {string.Join(" ", steps)}, which their trainer_state.json names."));
        }
        else if (!known)
        {
            string what = parts switch { 1 => "epochs", 10 => "tenths of epochs", 100 => "hundredths of epochs", _ => "ten-thousandths of epochs" };
            _notes.Add(new Remark("epochs-as-steps", $"{name}: the steps shown are {what}; no trainer_state.json in each of them says the optimizer's step. A forecast holds for them only if the runs of its calibration were counted so too."));
        }
    }

    // Steps are whole numbers: into how many parts an epoch is cut so that all of them are.
    private static int Parts(RunEntry[] epochs) =>
        Array.Find([1, 10, 100], parts => epochs.All(e => e.Epoch!.Value * parts % 1 == 0)) is > 0 and var found ? found : 10_000;

    private static long? GlobalStep(RunEntry entry)
    {
        string? folder = entry.Found.IsFile ? Path.GetDirectoryName(entry.Found.Path) : entry.Found.Path;
        for (int up = 0; up < 3 && folder != null; up++, folder = Path.GetDirectoryName(folder))
        {
            string path = Path.Combine(folder, TrainerState.FileName);
            try
            {
                if (File.Exists(path)) return TrainerState.Read(path).GlobalStep;
            }
            catch (InputFileException)
            {
                // Damaged: the epoch stands for itself.
                return null;
            }

            // Not above the epoch's own folder.
            if (PathName.OfFolder(Path.GetFileName(folder)).Kind == NameKind.Numbered) return null;
        }

        return null;
    }

    // The same step as PEFT and as GGUF, or in several types: once if it is the same adapter, else a run for each type.
    private List<RunEntry> Variants(string run, RunEntry[] members)
    {
        var taken = new Dictionary<long, RunEntry>();
        var result = new List<RunEntry>();
        foreach (IGrouping<(bool IsFile, string Type), RunEntry> variant in members.GroupBy(e => (e.Found.IsFile, e.Type)).OrderBy(g => Precision(g.Key)).ThenBy(g => g.Key.Type, NaturalOrder.Instance))
        {
            List<RunEntry> own = [.. variant];
            foreach (RunEntry entry in own.ToArray())
            {
                if (!taken.TryGetValue(entry.Step!.Value, out RunEntry? other) || !_comparison.Same(entry.Found, other.Found)) continue;
                Repeated(entry, other);
                own.Remove(entry);
            }

            bool another = taken.Count > 0 && own.Any(e => taken.ContainsKey(e.Step!.Value));
            var kept = new Dictionary<long, RunEntry>();
            foreach (RunEntry entry in own)
            {
                if (another) entry.Run = $"{(run.Length > 0 ? run : Path.GetFileName(entry.Found.Base))}-{(variant.Key.Type.Length > 0 ? variant.Key.Type : "gguf")}";
                if (!kept.TryGetValue(entry.Step!.Value, out RunEntry? same))
                {
                    kept.Add(entry.Step.Value, entry);
                }
                else if (_comparison.Same(entry.Found, same.Found))
                {
                    Repeated(entry, same);
                    continue;
                }
                else
                {
                    // checkpoint-10 and step_10: each is measured, the second under its whole name.
                    entry.Run = entry.Found.Relative;
                }

                result.Add(entry);
            }

            if (another) continue;
            foreach ((long step, RunEntry entry) in kept) taken[step] = entry;
        }

        return result;
    }

    private static int Precision((bool IsFile, string Type) variant)
    {
        if (!variant.IsFile) return variant.Type.Length == 0 ? 0 : 1;
        string[] types = ["", "f32", "fp32", "f16", "fp16", "bf16", "q8_0"];
        int at = Array.FindIndex(types, type => variant.Type.Split('-').Contains(type));
        return 2 + (at < 0 ? types.Length : at);
    }

    // Trainers save an adapter again at the end: the last one, or the best one (load_best_model_at_end).
    private void Finals(string run, RunEntry[] finals, List<RunEntry> result)
    {
        RunEntry[] numbered = [.. result.OrderByDescending(e => e.Step)];
        var kept = new List<RunEntry>();
        foreach (RunEntry final in finals)
        {
            if (numbered.Concat(kept).FirstOrDefault(e => _comparison.Same(final.Found, e.Found)) is { } same)
            {
                Repeated(final, same);
                continue;
            }

            if (kept.Any(e => e.Run == run)) final.Run = final.Found.Relative.Length > 0 ? final.Found.Relative : Path.GetFileName(final.Found.Base);
            kept.Add(final);
        }

        result.AddRange(kept);
    }

    private void Repeated(RunEntry entry, RunEntry same) => LeaveOut(
        entry, LeftOutReason.Repeated,
        $"{entry.Found.Path} is the same adapter as {(same.Found.Names.Length > 0 ? same.Found.Relative : same.Found.Path)} and is not scanned twice.");

    private void LeaveOut(RunEntry entry, LeftOutReason reason, string text) => _leftOut.Add(new LeftOut(entry.Found.Path, reason, text, false));

    // ---- names ----

    private static List<CheckpointRun> Display(Dictionary<(string Base, string Run), List<RunEntry>> runs)
    {
        bool one = runs.Keys.Select(k => k.Base).Distinct().Count() <= 1;
        var keys = runs.Keys.ToList();
        Dictionary<(string Base, string Run), string> names = keys.ToDictionary(k => k, k => Name(k, 0));
        for (int level = 1; names.Values.Distinct().Count() < names.Count && level < 64; level++)
        {
            foreach ((string Base, string Run)[] same in keys.GroupBy(k => names[k]).Where(g => g.Count() > 1).Select(g => g.ToArray()).ToArray())
                foreach ((string Base, string Run) key in same) names[key] = Name(key, level);
        }

        var result = new List<CheckpointRun>();
        foreach ((string Base, string Run) key in keys.OrderBy(k => one ? k.Run : names[k], NaturalOrder.Instance))
        {
            string name = names[key];
            result.Add(new CheckpointRun(
                name, one && key.Run.Length == 0 ? "" : name, // RUN/trajectory.json is where its name says
                [
                    .. runs[key].Select(e => new Checkpoint(name, e.Step is { } step ? CheckpointStep.At(step) : CheckpointStep.Final, e.Found.Path) { Epoch = e.Epoch is { } epoch && epoch % 1 == 0 ? (long)epoch : null })
                        .OrderBy(c => c.Step).ThenBy(c => c.Path, NaturalOrder.Instance),
                ]));
        }

        return result;
    }

    // The run's path; where that is not enough to tell it from others, with as many of the folders above as it takes. "seed_42" alone
    // tells of no run what it was finetuned on, so that it always has the folder above.
    private static string Name((string Base, string Run) key, int level)
    {
        string[] above = key.Base.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries);
        int take = Math.Min(above.Length, key.Run.Length == 0 ? level + 1 : level);
        string name = RunEntry.Join([.. above[^take..], key.Run]);
        if (take < above.Length && PathName.IsSeed(name)) name = RunEntry.Join([above[^(take + 1)], name]);
        return name.Length > 0 ? name : "run";
    }

    private static string Parent(string run) => run.LastIndexOf('/') is >= 0 and var slash ? run[..slash] : "";
}
