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
        Entry[] entries = [.. found.Select(Parse)];
        List<Entry> kept = [.. entries.GroupBy(e => (e.Found.Base, e.Head)).SelectMany(group => ByName([.. group], entries))];
        JoinFinals(kept);
        kept = [.. WithoutReferences(kept)];
        var runs = new Dictionary<(string Base, string Run), List<Entry>>();
        foreach (IGrouping<(string Base, string Run), Entry> group in kept.GroupBy(e => (e.Found.Base, e.Run)))
        {
            foreach (Entry entry in EachStepOnce(group.Key.Run, [.. group]))
            {
                // A run that an adapter was moved to may have that step as well.
                for (int attempt = 0; runs.TryGetValue((group.Key.Base, entry.Run), out List<Entry>? taken) && taken.Any(e => e.Step == entry.Step); attempt++)
                    entry.Run = attempt == 0 ? entry.Found.Relative : $"{entry.Found.Relative}~{attempt}";
                var key = (group.Key.Base, entry.Run);
                if (!runs.TryGetValue(key, out List<Entry>? members)) runs.Add(key, members = []);
                members.Add(entry);
            }
        }

        return Display(runs);
    }

    // ---- one adapter ----

    private static Entry Parse(FoundAdapter found)
    {
        string[] names = found.Names;
        PathName[] parts = [.. names.Select((name, i) => found.IsFile && i == names.Length - 1 ? PathName.OfFile(name) : PathName.OfFolder(name))];
        int at = Array.FindLastIndex(parts, p => p is { Kind: NameKind.Numbered, Bare: false });
        if (at < 0) at = BareStep(found, parts);
        if (at >= 0) return Numbered(found, parts, at);

        // final/medical is the final adapter "medical".
        int end = Array.FindLastIndex(parts, p => p.Kind == NameKind.Final);
        if (end >= 0 && parts[(end + 1)..].Count(p => p.Kind != NameKind.Shelf) <= 1)
        {
            string below = Join(Tail(found, parts, end + 1));
            string head = Join(names[..end]);
            return new Entry(found, head, below) { Kind = NameKind.Final, Type = parts[^1].Type, Run = Join([head, below]) };
        }

        int length = parts.Length;
        while (length > 0 && parts[length - 1].Kind == NameKind.Shelf) length--;
        string run = Join([.. names[..length].Select((name, i) => found.IsFile && i == names.Length - 1 ? parts[i].Run : name)]);
        return new Entry(found, run, "") { Kind = length > 0 && parts[length - 1].Kind == NameKind.Reference ? NameKind.Reference : NameKind.Plain, Type = length > 0 ? parts[^1].Type : "", Run = run };
    }

    private static int BareStep(FoundAdapter found, PathName[] parts)
    {
        int at = Array.FindLastIndex(parts, p => p.Kind != NameKind.Shelf);
        if (at < 0 || parts[at] is not { Kind: NameKind.Numbered }) return -1;
        if (found.IsFile && at == parts.Length - 1) return at;
        string parent = at > 0 ? found.Names[at - 1] : Path.GetFileName(found.Base);
        return PathName.CountsNoSteps(parent) ? -1 : at;
    }

    private static Entry Numbered(FoundAdapter found, PathName[] parts, int at)
    {
        PathName part = parts[at];
        int head = at;
        long? epoch = part.Epoch;
        string epochAbove = "";
        if (at > 0 && parts[at - 1] is { Kind: NameKind.Numbered, Bare: false } above && above.Run.Length == 0)
        {
            if (above.Step == null && part.Step != null)
            {
                // epoch_1/step_200: steps are counted through, unless two epochs have the same (see EachStepOnce).
                head = at - 1;
                epoch ??= above.Epoch;
                epochAbove = found.Names[at - 1];
            }
            else if (above.Step == part.Step && above.Epoch == part.Epoch)
            {
                // checkpoint-10/medical-checkpoint-10.gguf
                head = at - 1;
            }
        }

        string run = Join([.. found.Names[..head], part.Run]);
        bool reference = false;
        var below = Tail(found, parts, at + 1);
        for (int i = at + 1; i < parts.Length; i++) reference |= parts[i].Kind == NameKind.Reference;
        string type = Join([part.Type, found.IsFile && at < parts.Length - 1 ? parts[^1].Type : ""]).Replace('/', '-');
        return new Entry(found, run, Join(below)) { Kind = NameKind.Numbered, Step = part.Step, Epoch = epoch, EpochAbove = epochAbove, IsReference = reference, Type = type, Run = run };
    }

    // Names below the number, without those that name nothing.
    private static List<string> Tail(FoundAdapter found, PathName[] parts, int from)
    {
        var tail = new List<string>();
        for (int i = from; i < parts.Length; i++)
        {
            bool file = found.IsFile && i == parts.Length - 1;
            if (parts[i].Kind is NameKind.Shelf or NameKind.Final || (file && found.IsOnlyFile)) continue;
            tail.Add(file && parts[i].Run.Length > 0 ? parts[i].Run : found.Names[i]);
        }

        return tail;
    }

    // ---- several adapters below one checkpoint ----

    private IEnumerable<Entry> ByName(Entry[] group, Entry[] all)
    {
        Entry[] numbered = [.. group.Where(e => e.Kind == NameKind.Numbered)];
        foreach (Entry reference in numbered.Where(e => e.IsReference).ToArray())
        {
            if (!numbered.Any(e => !e.IsReference && e.Step == reference.Step && e.Epoch == reference.Epoch)) continue;
            LeaveOut(reference, LeftOutReason.Reference, $"{reference.Found.Path} is the reference adapter of a preference training and is not scanned.");
            numbered = [.. numbered.Where(e => e != reference)];
        }

        string[] names = [.. numbered.Select(e => e.Name).Distinct()];
        bool one = names.Length == 1;
        foreach (Entry entry in numbered)
        {
            entry.OnlyName = one ? entry.Name : "";
            entry.Run = one ? entry.Head : Join([entry.Head, entry.Name]);
            yield return entry;
        }

        foreach (Entry entry in group.Where(e => e.Kind != NameKind.Numbered)) yield return entry;
    }

    // run/medical is the final adapter of run/checkpoint-N/medical, whose run is "run" when there is no other name.
    private static void JoinFinals(List<Entry> entries)
    {
        Dictionary<(string, string), string> collapsed = [];
        foreach (Entry entry in entries.Where(e => e.OnlyName.Length > 0)) collapsed.TryAdd((entry.Found.Base, Join([entry.Head, entry.OnlyName])), entry.Run);
        foreach (Entry entry in entries.Where(e => e.Kind is NameKind.Plain or NameKind.Final))
            if (collapsed.TryGetValue((entry.Found.Base, entry.Run), out string? run)) entry.Run = run;
    }

    private IEnumerable<Entry> WithoutReferences(List<Entry> entries)
    {
        HashSet<(string, string)> runs = [.. entries.Where(e => e.Kind != NameKind.Reference).Select(e => (e.Found.Base, e.Run))];
        foreach (Entry entry in entries)
        {
            // Beside the adapter that was trained against it; a folder of that name among other runs is a run.
            if (entry.Kind == NameKind.Reference && runs.Contains((entry.Found.Base, Parent(entry.Run))))
                LeaveOut(entry, LeftOutReason.Reference, $"{entry.Found.Path} is the reference adapter of a preference training and is not scanned.");
            else yield return entry;
        }
    }

    // ---- one run ----

    private List<Entry> EachStepOnce(string run, Entry[] members)
    {
        List<Entry> numbered = [.. members.Where(e => e.Kind == NameKind.Numbered)];
        CountEpochs(run, numbered);
        if (numbered.Where(e => e.EpochAbove.Length > 0).GroupBy(e => (e.Step, e.Type, e.Found.IsFile)).Any(g => g.Select(e => e.EpochAbove).Distinct().Count() > 1))
        {
            foreach (Entry entry in numbered.Where(e => e.EpochAbove.Length > 0)) entry.Run = Join([run, entry.EpochAbove]);
        }

        var result = new List<Entry>();
        foreach (IGrouping<string, Entry> part in numbered.GroupBy(e => e.Run)) result.AddRange(Variants(part.Key, [.. part]));
        Finals(run, [.. members.Where(e => e.Kind != NameKind.Numbered).OrderBy(e => e.FinalRank).ThenBy(e => e.Found.Relative, NaturalOrder.Instance)], result);
        return result;
    }

    // Epochs are counted in optimizer steps where trainer_state.json says at which it was; else the epochs are the steps.
    private void CountEpochs(string run, List<Entry> numbered)
    {
        Entry[] epochs = [.. numbered.Where(e => e.Step == null).OrderBy(e => e.Epoch)];
        if (epochs.Length == 0) return;
        long?[] steps = [.. epochs.Select(GlobalStep)];
        bool known = steps.All(s => s != null) && epochs.Zip(epochs.Skip(1)).Zip(steps.Zip(steps.Skip(1)))
            .All(pair => pair.First.First.Epoch == pair.First.Second.Epoch ? pair.Second.First == pair.Second.Second : pair.Second.First < pair.Second.Second);
        bool mixed = epochs.Length < numbered.Count;
        for (int i = 0; i < epochs.Length; i++)
        {
            epochs[i].Step = known ? steps[i] : epochs[i].Epoch;
            if (!known && mixed) epochs[i].Run = Join([run, "epochs"]);
        }

        string name = run.Length > 0 ? run : Path.GetFileName(epochs[0].Found.Base);
        if (known && epochs.Any(e => e.Step != e.Epoch))
            _notes.Add(new Remark("epochs-in-steps", $"{name}: epochs {string.Join(" ", epochs.Select(e => e.Epoch))} are shown as steps {string.Join(" ", steps)}, which their trainer_state.json names."));
        else if (!known)
            _notes.Add(new Remark("epochs-as-steps", $"{name}: the steps shown are epochs; no trainer_state.json in each of them says the optimizer's step."));
    }

    private static long? GlobalStep(Entry entry)
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
    private List<Entry> Variants(string run, Entry[] members)
    {
        var taken = new Dictionary<long, Entry>();
        var result = new List<Entry>();
        foreach (IGrouping<(bool IsFile, string Type), Entry> variant in members.GroupBy(e => (e.Found.IsFile, e.Type)).OrderBy(g => Precision(g.Key)).ThenBy(g => g.Key.Type, NaturalOrder.Instance))
        {
            List<Entry> own = [.. variant];
            foreach (Entry entry in own.ToArray())
            {
                if (!taken.TryGetValue(entry.Step!.Value, out Entry? other) || !_comparison.Same(entry.Found, other.Found)) continue;
                Repeated(entry, other);
                own.Remove(entry);
            }

            bool another = taken.Count > 0 && own.Any(e => taken.ContainsKey(e.Step!.Value));
            var kept = new Dictionary<long, Entry>();
            foreach (Entry entry in own)
            {
                if (another) entry.Run = $"{(run.Length > 0 ? run : Path.GetFileName(entry.Found.Base))}-{(variant.Key.Type.Length > 0 ? variant.Key.Type : "gguf")}";
                if (!kept.TryGetValue(entry.Step!.Value, out Entry? same))
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
            foreach ((long step, Entry entry) in kept) taken[step] = entry;
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
    private void Finals(string run, Entry[] finals, List<Entry> result)
    {
        Entry[] numbered = [.. result.OrderByDescending(e => e.Step)];
        var kept = new List<Entry>();
        foreach (Entry final in finals)
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

    private void Repeated(Entry entry, Entry same) => LeaveOut(
        entry, LeftOutReason.Repeated,
        $"{entry.Found.Path} is the same adapter as {(same.Found.Names.Length > 0 ? same.Found.Relative : same.Found.Path)} and is not scanned twice.");

    private void LeaveOut(Entry entry, LeftOutReason reason, string text) => _leftOut.Add(new LeftOut(entry.Found.Path, reason, text, false));

    // ---- names ----

    private static List<CheckpointRun> Display(Dictionary<(string Base, string Run), List<Entry>> runs)
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
                name, one ? key.Run : name,
                [
                    .. runs[key].Select(e => new Checkpoint(name, e.Step is { } step ? CheckpointStep.At(step) : CheckpointStep.Final, e.Found.Path) { Epoch = e.Epoch })
                        .OrderBy(c => c.Step).ThenBy(c => c.Path, NaturalOrder.Instance),
                ]));
        }

        return result;
    }

    // The run's path; where that is not enough to tell it from others, with as many of the folders above as it takes.
    private static string Name((string Base, string Run) key, int level)
    {
        string[] above = key.Base.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries);
        int take = Math.Min(above.Length, key.Run.Length == 0 ? level + 1 : level);
        string name = Join([.. above[^take..], key.Run]);
        return name.Length > 0 ? name : "run";
    }

    private static string Join(IEnumerable<string> parts) => string.Join('/', parts.Where(p => p.Length > 0));

    private static string Parent(string run) => run.LastIndexOf('/') is >= 0 and var slash ? run[..slash] : "";

    /// <summary>An adapter on its way into a run.</summary>
    /// <param name="found">Where it lies.</param>
    /// <param name="head">The run that its names tell.</param>
    /// <param name="name">Its own name below its number; empty for most.</param>
    private sealed class Entry(FoundAdapter found, string head, string name)
    {
        internal FoundAdapter Found { get; } = found;
        internal string Head { get; } = head;
        internal string Name { get; } = name;
        internal NameKind Kind { get; init; }
        internal string Type { get; init; } = "";
        internal long? Epoch { get; init; }
        internal string EpochAbove { get; init; } = "";
        internal bool IsReference { get; init; }
        internal long? Step { get; set; }
        internal string OnlyName { get; set; } = "";
        internal string Run { get; set; } = "";

        /// <summary>Of several that may be the end of a run, the run's own folder comes first, "best" last.</summary>
        internal int FinalRank => Kind != NameKind.Final ? 0
            : Found.Names.Any(n => n.Contains("best", StringComparison.OrdinalIgnoreCase)) ? 3
            : Found.Names.Any(n => n.Contains("final", StringComparison.OrdinalIgnoreCase)) ? 1 : 2;
    }
}
