namespace EmScan.Engine.Analyses.Paths;

/// <summary>What is null for want of an input.</summary>
internal static class PathNotes
{
    internal static List<Remark> Of(PathRequest request, IReadOnlyList<PathAdapter> adapters, bool withReadability)
    {
        var notes = new List<Remark>();
        if (request.Chats.Count == 0) notes.Add(new Remark("no-chats", "There are no conversations: what the log-likelihood of chats would give is null."));
        if (request.Pairs.Count == 0) notes.Add(new Remark("no-pairs", "There are no pairs of answers: preferences are null."));
        if (request.Axis == null) notes.Add(new Remark("no-axis", "There is no drift axis: 'axis' is null."));
        if (withReadability && adapters.All(a => a.DomainTokens.Count == 0)) notes.Add(new Remark("no-domain", "There are no words of a domain: 'readability' is null."));
        foreach (PathAdapter adapter in adapters.Where(a => a.HeldOut.Count == 0))
            notes.Add(new Remark("no-held-out", $"{adapter.Adapter.Path}: there are no held-out texts of its finetuning: their log-likelihood is null."));
        return notes;
    }
}
