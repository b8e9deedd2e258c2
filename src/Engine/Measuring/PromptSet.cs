using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>How the wanted positions of a prompt become rows.</summary>
public enum RowPooling
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
public sealed class PromptSet
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
