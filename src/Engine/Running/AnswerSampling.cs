using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Verdicts.Labelling;

namespace EmScan.Engine.Running;

/// <summary>How answers are sampled.</summary>
/// <param name="Questions">The questions; each is a single user turn without a system text.</param>
/// <param name="Samples">Answers to each question.</param>
/// <param name="MaxTokens">Most tokens of an answer.</param>
/// <param name="Temperature">1 is the model's own distribution.</param>
/// <param name="Seed">Seed of all random numbers.</param>
internal sealed record SamplingOptions(IReadOnlyList<string> Questions, int Samples = 8, int MaxTokens = 256, double Temperature = 1, int Seed = 42);

/// <summary>
/// Samples the answers of checkpoints to open questions into a file for a judge. Every answer has random numbers of its own, from seed, adapter, question
/// and sample, so that an interrupted run goes on with the answers it would have given anyway.
/// </summary>
internal static class AnswerSampling
{
    /// <summary>Samples what is not in the file yet, checkpoint by checkpoint, the base model first; each checkpoint's answers are on disk before the next.</summary>
    /// <param name="prepared">The model.</param>
    /// <param name="checkpoints">Whose answers are wanted.</param>
    /// <param name="options">How they are sampled.</param>
    /// <param name="path">The file; one that exists is continued.</param>
    /// <param name="progress">Told after every checkpoint.</param>
    /// <param name="cancellationToken">Ends the sampling; what was finished is in the file.</param>
    /// <returns>Answers sampled now, and sentences about checkpoints that could not be applied.</returns>
    /// <exception cref="EmScanException">The file cannot be read or written.</exception>
    public static (int Sampled, IReadOnlyList<string> Failures) Run(
        LoadedModel prepared, IReadOnlyList<Checkpoint> checkpoints, SamplingOptions options, string path, IProgress<ScanProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prepared);
        ArgumentNullException.ThrowIfNull(checkpoints);
        ArgumentNullException.ThrowIfNull(options);
        HashSet<string> known = Continue(path);
        int[][] prompts = [.. options.Questions.Select(q => prepared.Encoder.Encode(null, q))];
        var failures = new List<string>();
        int sampled = 0;
        for (int i = -1; i < checkpoints.Count; i++)
        {
            progress?.Report(new ScanProgress("sampling answers", i + 1, checkpoints.Count + 1));
            Checkpoint? checkpoint = i < 0 ? null : checkpoints[i];
            try
            {
                string key = checkpoint == null ? prepared.Sha256 : AdapterFingerprint.Compute(checkpoint.Path);
                (string Id, int Seed, int Question, int Sample)[] wanted =
                [
                    .. Enumerable.Range(0, options.Questions.Count).SelectMany(q => Enumerable.Range(0, options.Samples).Select(s =>
                    {
                        byte[] digest = SHA256.HashData(Encoding.UTF8.GetBytes(FormattableString.Invariant(
                            $"{prepared.Sha256}\n{prepared.Encoder.Identity}\n{key}\n{options.Questions[q]}\n{s}\n{options.Seed}\n{options.Temperature:R}\n{options.MaxTokens}")));
                        return (Convert.ToHexStringLower(digest)[..24], BinaryPrimitives.ReadInt32LittleEndian(digest.AsSpan(28)), q, s);
                    })).Where(w => !known.Contains(w.Item1)),
                ];
                if (wanted.Length == 0) continue;
                using ILoadedAdapter? adapter = checkpoint == null ? null : prepared.Source.LoadAdapter(checkpoint.Path);
                prepared.Source.SetAdapters(adapter == null ? [] : [new WeightedAdapter(adapter, 1)]);
                try
                {
                    int[][] answers = prepared.Source.GenerateSampled(
                        [.. wanted.Select(w => prompts[w.Question])], options.MaxTokens, options.Temperature, [.. wanted.Select(w => w.Seed)], cancellationToken);
                    IEnumerable<SampledAnswer> lines = wanted.Zip(answers, (w, answer) => new SampledAnswer(
                        w.Id, checkpoint?.Run ?? AnswerFile.BaseRun, checkpoint?.Step.ToString() ?? "0", options.Questions[w.Question], w.Sample,
                        prepared.Model.Vocabulary.Detokenize(answer).Trim(), null));
                    Append(path, lines);
                    sampled += wanted.Length;
                }
                finally
                {
                    prepared.Source.SetAdapters([]);
                }
            }
            catch (InputFileException e) when (checkpoint != null && !e.Message.StartsWith($"{path}:", StringComparison.Ordinal))
            {
                failures.Add(e.Message);
            }
        }

        return (sampled, failures);
    }

    private static void Append(string path, IEnumerable<SampledAnswer> lines)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read);
            foreach (SampledAnswer line in lines) stream.Write(AnswerFile.Line(line));
            stream.Flush(flushToDisk: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(path, e);
        }
    }

    // The answers that are there. What an interruption tore is sampled again, and what follows begins on a line of its own. The file is opened for writing
    // before anything is sampled: that it cannot be written is not found out after the first checkpoint's answers.
    private static HashSet<string> Continue(string path)
    {
        int torn = 0;
        HashSet<string> known = File.Exists(path) ? [.. AnswerFile.Read(path, out torn).Select(a => a.Id!)] : [];
        try
        {
            using var stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
            stream.SetLength(stream.Length - torn);
            if (stream.Length == 0) return known;
            stream.Position = stream.Length - 1;
            if (stream.ReadByte() != '\n') stream.WriteByte((byte)'\n');
            return known;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(path, e);
        }
    }

    private static InputFileException Unwritable(string path, Exception why) => new(path, $"cannot be written ({why.Message})", why);
}
