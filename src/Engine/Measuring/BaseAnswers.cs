using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>
/// The base model's own greedy answers to the evaluation prompts. They are made once, and given to every checkpoint as they are
/// (teacher-forced), so that all are measured on the same words.
/// </summary>
/// <remarks>Immutable and thread safe, as long as nobody writes to the arrays.</remarks>
internal sealed class BaseAnswers
{
    /// <summary>Most tokens of an answer.</summary>
    public const int MaxTokens = 64;

    /// <summary>Takes answers.</summary>
    /// <param name="tokens">Token ids of each answer, (P), without an end-of-generation token; an answer may be empty.</param>
    /// <exception cref="ArgumentException">There is no answer, one is longer than <see cref="MaxTokens"/>, or an id is negative.</exception>
    public BaseAnswers(IReadOnlyList<int[]> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (tokens.Count == 0) throw new ArgumentException("There must be at least one answer.", nameof(tokens));
        if (tokens.Any(answer => answer.Length > MaxTokens || answer.Any(id => id < 0)))
            throw new ArgumentException($"An answer has at most {MaxTokens} token ids, all from 0 on.", nameof(tokens));
        Tokens = tokens;
        Fingerprint = ComputeFingerprint(tokens);
    }

    /// <summary>Token ids of each answer, (P).</summary>
    public IReadOnlyList<int[]> Tokens { get; }

    /// <summary>SHA-256 over all token ids, hex.</summary>
    public string Fingerprint { get; }

    /// <summary>The prompts with what of their answers a place needs, and its positions. An empty answer leaves the last prompt token.</summary>
    /// <param name="prompts">Token ids of each prompt, (P).</param>
    /// <param name="place">The place.</param>
    /// <exception cref="ArgumentException">There are not as many prompts as answers.</exception>
    public CapturePrompt[] After(IReadOnlyList<int[]> prompts, MeasuredPlace place)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (prompts.Count != Tokens.Count) throw new ArgumentException($"There are {Tokens.Count} answers to {prompts.Count} prompts.", nameof(prompts));
        return [.. prompts.Zip(Tokens, (prompt, answer) => place switch
        {
            MeasuredPlace.FirstAnswerToken when answer.Length > 0 => CapturePrompt.Last([.. prompt, answer[0]]),
            MeasuredPlace.MeanAnswer when answer.Length > 0 => CapturePrompt.From([.. prompt, .. answer], prompt.Length),
            _ => CapturePrompt.Last(prompt),
        })];
    }

    private static string ComputeFingerprint(IReadOnlyList<int[]> tokens)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (int[] answer in tokens)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"answer {answer.Length}\n"));
            hash.AppendData(MemoryMarshal.AsBytes<int>(answer));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
