using EmScan.Engine.Adapters;

namespace EmScan.Cli;

/// <summary>Collects why checkpoints failed, and says each reason once, with a count: a thousand checkpoints of another model are one mistake.</summary>
internal sealed class FailureList
{
    private readonly OrderedDictionary<string, (Checkpoint First, string Sentence, int Count)> _reasons = [];

    internal int Count { get; private set; }

    internal void Add(Checkpoint checkpoint, string sentence)
    {
        Count++;

        // The same but for the checkpoint that it names.
        string reason = sentence.Replace(checkpoint.Path, "", StringComparison.Ordinal);
        _reasons[reason] = _reasons.TryGetValue(reason, out (Checkpoint First, string Sentence, int Count) known)
            ? known with { Count = known.Count + 1 }
            : (checkpoint, sentence, 1);
    }

    /// <summary>One sentence for each reason.</summary>
    internal void Print()
    {
        foreach ((Checkpoint first, string sentence, int count) in _reasons.Values)
        {
            // Messages begin with the file; where the failure is common to many, the first of them stands for all.
            Runner.Error(count == 1 ? sentence : $"{count} checkpoints cannot be measured for one reason, first {first.Run} step {first.Step}: {sentence}");
        }
    }
}
