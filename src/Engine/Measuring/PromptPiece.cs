using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>Some prompts of some sets, or a part of a prompt's positions, that go through the model together.</summary>
internal sealed class PromptPiece
{
    private PromptPiece(IReadOnlyList<PromptOrigin> origins, IReadOnlyList<CapturePrompt> prompts) => (Origins, Prompts) = (origins, prompts);

    internal IReadOnlyList<PromptOrigin> Origins { get; }
    internal IReadOnlyList<CapturePrompt> Prompts { get; }

    internal static PromptPiece Whole(PromptSet[] sets)
    {
        PromptOrigin[] origins = [.. sets.SelectMany((set, s) => set.Prompts.Select((_, p) => new PromptOrigin(s, p, 0)))];
        return new PromptPiece(origins, [.. origins.Select(o => sets[o.Set].Prompts[o.Prompt])]);
    }

    /// <summary>Pieces of at most so many rows, prompts that begin alike side by side, so that what they share is computed once.</summary>
    internal static IEnumerable<PromptPiece> Cut(PromptSet[] sets, long mostRows)
    {
        var origins = new List<PromptOrigin>();
        var prompts = new List<CapturePrompt>();
        long rows = 0;
        foreach (PromptOrigin origin in Whole(sets).Origins.OrderBy(o => sets[o.Set].Prompts[o.Prompt].Tokens, TokenOrder.Instance))
        {
            CapturePrompt prompt = sets[origin.Set].Prompts[origin.Prompt];
            if (rows > 0 && rows + prompt.Positions.Length > mostRows)
            {
                yield return new PromptPiece([.. origins], [.. prompts]);
                origins.Clear();
                prompts.Clear();
                rows = 0;
            }

            // A prompt with more rows than a piece may have goes through several times.
            for (int slot = 0; slot < prompt.Positions.Length;)
            {
                int taken = (int)Math.Min(prompt.Positions.Length - slot, mostRows);
                bool all = taken == prompt.Positions.Length;
                origins.Add(origin with { Slot = slot });
                prompts.Add(all ? prompt : new CapturePrompt(prompt.Tokens, prompt.Positions[slot..(slot + taken)]));
                rows += taken;
                slot += taken;
                if (slot >= prompt.Positions.Length) continue;
                yield return new PromptPiece([.. origins], [.. prompts]);
                origins.Clear();
                prompts.Clear();
                rows = 0;
            }
        }

        if (prompts.Count > 0) yield return new PromptPiece(origins, prompts);
    }
}

/// <summary>Where a prompt of a piece comes from.</summary>
internal readonly record struct PromptOrigin(int Set, int Prompt, int Slot);

file sealed class TokenOrder : IComparer<int[]>
{
    internal static TokenOrder Instance { get; } = new();

    public int Compare(int[]? x, int[]? y) => x.AsSpan().SequenceCompareTo(y.AsSpan());
}
