namespace EmScan.Engine.Adapters;

/// <summary>An adapter on its way into a run.</summary>
/// <param name="found">Where it lies.</param>
/// <param name="head">The run that its names tell.</param>
/// <param name="name">Its own name below its number; empty for most.</param>
internal sealed class RunEntry(FoundAdapter found, string head, string name)
{
    internal FoundAdapter Found { get; } = found;
    internal string Head { get; } = head;
    internal string Name { get; } = name;
    internal NameKind Kind { get; init; }
    internal string Type { get; init; } = "";
    internal decimal? Epoch { get; init; }
    internal string EpochAbove { get; init; } = "";
    internal bool IsReference { get; init; }
    internal long? Step { get; set; }
    internal string OnlyName { get; set; } = "";
    internal string Run { get; set; } = "";

    /// <summary>Of several that may be the end of a run, the run's own folder comes first, "best" last.</summary>
    internal int FinalRank => Kind != NameKind.Final ? 0
        : Found.Names.Any(n => n.Contains("best", StringComparison.OrdinalIgnoreCase)) ? 3
        : Found.Names.Any(n => n.Contains("final", StringComparison.OrdinalIgnoreCase)) ? 1 : 2;

    /// <summary>What the names on the way to an adapter say of it.</summary>
    /// <param name="found">The adapter.</param>
    /// <param name="runs">Real paths of folders that hold checkpoints: one that is called "2" is a run, and its own adapter the end of it.</param>
    internal static RunEntry Of(FoundAdapter found, HashSet<string> runs)
    {
        string[] names = found.Names;
        PathName[] parts = [.. names.Select((name, i) => found.IsFile && i == names.Length - 1 ? PathName.OfFile(name) : PathName.OfFolder(name))];
        int at = Array.FindLastIndex(parts, p => p is { Kind: NameKind.Numbered, Bare: false });
        if (at < 0 && !runs.Contains(found.Real)) at = BareStep(found, parts);
        if (at >= 0) return Numbered(found, parts, at);

        // final/medical is the final adapter "medical".
        int end = Array.FindLastIndex(parts, p => p.Kind == NameKind.Final);
        if (end >= 0 && parts[(end + 1)..].Count(p => p.Kind != NameKind.Shelf) <= 1)
        {
            string below = Join(Tail(found, parts, end + 1));
            string head = Join(names[..end]);
            return new RunEntry(found, head, below) { Kind = NameKind.Final, Type = parts[^1].Type, Run = Join([head, below]) };
        }

        int length = parts.Length;
        while (length > 0 && parts[length - 1].Kind == NameKind.Shelf) length--;
        string run = Join([.. names[..length].Select((name, i) => found.IsFile && i == names.Length - 1 ? parts[i].Run : name)]);
        return new RunEntry(found, run, "") { Kind = length > 0 && parts[length - 1].Kind == NameKind.Reference ? NameKind.Reference : NameKind.Plain, Type = length > 0 ? parts[^1].Type : "", Run = run };
    }

    private static int BareStep(FoundAdapter found, PathName[] parts)
    {
        int at = Array.FindLastIndex(parts, p => p.Kind != NameKind.Shelf);
        if (at < 0 || parts[at] is not { Kind: NameKind.Numbered }) return -1;
        if (found.IsFile && at == parts.Length - 1) return at;
        string parent = at > 0 ? found.Names[at - 1] : Path.GetFileName(found.Base);
        return PathName.CountsNoSteps(parent) ? -1 : at;
    }

    private static RunEntry Numbered(FoundAdapter found, PathName[] parts, int at)
    {
        PathName part = parts[at];
        int head = at;
        decimal? epoch = part.Epoch;
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
        return new RunEntry(found, run, Join(below)) { Kind = NameKind.Numbered, Step = part.Step, Epoch = epoch, EpochAbove = epochAbove, IsReference = reference, Type = type, Run = run };
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

    internal static string Join(IEnumerable<string> parts) => string.Join('/', parts.Where(p => p.Length > 0));
}
