using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>How the wanted positions of a prompt become rows.</summary>
internal enum RowPooling
{
    /// <summary>Each position is a row.</summary>
    EachPosition,

    /// <summary>The mean over the positions of a prompt is its one row.</summary>
    MeanOfPrompt,
}

/// <summary>Token sequences, the positions of them that are measured, and how these become rows.</summary>
/// <remarks>
/// Where logits are wanted, they are those at the positions: the one at position p predicts token p + 1. Immutable and safe to share
/// between threads, as long as nobody writes to the prompts' arrays.
/// </remarks>
internal sealed class PromptSet
{
    private readonly Lazy<string> _identity;

    /// <summary>Makes a set.</summary>
    /// <param name="name">For people; not part of the identity.</param>
    /// <param name="prompts">At least one.</param>
    /// <param name="pooling">How positions become rows.</param>
    /// <exception cref="ArgumentException">There is no prompt.</exception>
    public PromptSet(string name, IReadOnlyList<CapturePrompt> prompts, RowPooling pooling = RowPooling.EachPosition)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(prompts);
        if (prompts.Count == 0) throw new ArgumentException($"The prompt set '{name}' is empty.", nameof(prompts));
        Name = name;
        Prompts = prompts;
        Pooling = pooling;
        Rows = pooling == RowPooling.MeanOfPrompt ? prompts.Count : prompts.Sum(p => (long)p.Positions.Length);
        _identity = new Lazy<string>(Hash);
    }

    /// <summary>For people.</summary>
    public string Name { get; }

    /// <summary>The prompts, P.</summary>
    public IReadOnlyList<CapturePrompt> Prompts { get; }

    /// <summary>How positions become rows.</summary>
    public RowPooling Pooling { get; }

    /// <summary>Rows that a measurement of one layer gives.</summary>
    public long Rows { get; }

    /// <summary>Tokens of all prompts together.</summary>
    public long Tokens => Prompts.Sum(p => (long)p.Tokens.Length);

    /// <summary>SHA-256, hex, over tokens, positions and pooling.</summary>
    public string Identity => _identity.Value;

    /// <summary>The positions of this set that satisfy a condition, in a set of their own; null when there are none.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="condition">Of the index of a prompt and a position of it.</param>
    public PromptSet? Where(string name, Func<int, int, bool> condition)
    {
        ArgumentNullException.ThrowIfNull(condition);
        var kept = new List<CapturePrompt>();
        for (int p = 0; p < Prompts.Count; p++)
        {
            int[] positions = [.. Prompts[p].Positions.Where(position => condition(p, position))];
            if (positions.Length > 0) kept.Add(new CapturePrompt(Prompts[p].Tokens, positions));
        }

        return kept.Count == 0 ? null : new PromptSet(name, kept, Pooling);
    }

    /// <summary>All positions of some token sequences.</summary>
    /// <exception cref="ArgumentException">There is no sequence.</exception>
    public static PromptSet All(string name, IEnumerable<int[]> sequences)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        return new PromptSet(name, [.. sequences.Select(tokens => CapturePrompt.From(tokens, 0))]);
    }

    /// <summary>The positions of some token sequences whose next token is scored; sequences without one are left out.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="sequences">The sequences.</param>
    /// <param name="scored">Whether the log-likelihood counts a token, by the index of its sequence and its own; the first token of a
    /// sequence is never scored.</param>
    /// <exception cref="EmScanException">No token is scored.</exception>
    public static PromptSet Scored(string name, IReadOnlyList<int[]> sequences, Func<int, int, bool> scored)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        ArgumentNullException.ThrowIfNull(scored);
        var prompts = new List<CapturePrompt>();
        for (int s = 0; s < sequences.Count; s++)
        {
            int[] positions = [.. Enumerable.Range(0, sequences[s].Length - 1).Where(p => scored(s, p + 1))];
            if (positions.Length > 0) prompts.Add(new CapturePrompt(sequences[s], positions));
        }

        return prompts.Count > 0 ? new PromptSet(name, prompts) : throw new EmScanException($"No token of {name} can be scored.");
    }

    /// <summary>Without the positions that fewer sequences reach: a mean over too few contexts says little of its position.</summary>
    /// <param name="contexts">Least number of sequences.</param>
    /// <returns>Null when nothing is left.</returns>
    public PromptSet? SeenInAtLeast(int contexts)
    {
        Dictionary<int, int> seen = Prompts.SelectMany(p => p.Positions).CountBy(position => position).ToDictionary();
        return Where(Name, (_, position) => seen[position] >= contexts);
    }

    private string Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"emscan prompts 1 {Pooling}\n"));
        Span<int> lengths = stackalloc int[2];
        foreach (CapturePrompt prompt in Prompts)
        {
            (lengths[0], lengths[1]) = (prompt.Tokens.Length, prompt.Positions.Length);
            hash.AppendData(MemoryMarshal.AsBytes(lengths));
            hash.AppendData(MemoryMarshal.AsBytes<int>(prompt.Tokens));
            hash.AppendData(MemoryMarshal.AsBytes<int>(prompt.Positions));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
