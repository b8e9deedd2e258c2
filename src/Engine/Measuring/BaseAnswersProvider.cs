using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring;

/// <summary>The base model's answers for a prepared model: those of the calibration, else the cache, else generated now and put into the cache.</summary>
internal static partial class BaseAnswersProvider
{
    private const string Format = "emscan-answers";
    private const int PromptsPerCall = 32;

    /// <summary>Answers of a thousand prompts in the longest of JSON are a few megabytes.</summary>
    private const int MaxBytes = 256 << 20;

    /// <summary>The answers that the request's place needs; null where it needs none.</summary>
    /// <exception cref="EmScanException">The model cannot be run.</exception>
    internal static BaseAnswers? Get(LoadedModel prepared, IProgress<ScanProgress>? progress, List<Remark> remarks, CancellationToken cancellationToken)
    {
        if (prepared.Place == MeasuredPlace.LastPromptToken) return null;
        if (Find(prepared, remarks) is { } atHand) return atHand;
        string cached = CachePath(prepared);
        if (prepared.Request.Merged != null) throw new InputFileException(cached, "the base's answers that the shards measured on are not there; merge with the cache that they used.");
        if (prepared.Request.Shared is not { } work)
        {
            BaseAnswers made = Generate(prepared, progress, cancellationToken);
            Write(prepared, made, cached);
            return made;
        }

        return SharedWork.Once(
            cached, work.Owner, () => Find(prepared, []),
            () =>
            {
                BaseAnswers made = Generate(prepared, progress, cancellationToken);
                if (Find(prepared, []) != null) return;
                File.Delete(cached); // what is there, if anything, is damaged
                SharedWork.Publish(cached, path => Write(prepared, made, path));
            },
            () => progress?.Report(new ScanProgress("waiting for another shard: the base's answers", 0, 0)), cancellationToken);
    }

    private static BaseAnswers Generate(LoadedModel prepared, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        int[][] prompts = prepared.EncodedPrompts();
        var answers = new List<int[]>(prompts.Length);
        prepared.Source.SetAdapters([]);
        foreach (int[][] some in prompts.Chunk(PromptsPerCall))
        {
            progress?.Report(new ScanProgress("generating the base's answers", answers.Count, prompts.Length));
            answers.AddRange(prepared.Source.GenerateGreedy(some, BaseAnswers.MaxTokens, cancellationToken));
        }

        return new BaseAnswers(answers);
    }

    private static void Write(LoadedModel prepared, BaseAnswers answers, string path)
    {
        var file = new AnswersFile(Format, 1, prepared.Sha256, prepared.Encoder.Identity, prepared.NumericMode, BaseAnswers.MaxTokens, answers.Tokens);
        AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, file, Json.Default.AnswersFile));
    }

    /// <summary>Answers that need not be generated, or null.</summary>
    internal static BaseAnswers? Find(LoadedModel prepared, List<Remark> remarks)
    {
        if (prepared.Request.Answers is { } given)
        {
            if (Fits(given.Tokens, prepared)) return given;
            remarks.Add(new Remark("answers-not-used", "The calibration's answers of its base are to other prompts, or in tokens that this model does not have; this model's own are used."));
        }

        string path = CachePath(prepared);
        if (prepared.Request.Recompute || !File.Exists(path)) return null;
        try
        {
            AnswersFile? file = JsonSerializer.Deserialize(InputFile.ReadSmall(path, MaxBytes), Json.Default.AnswersFile);
            if (file is { Format: Format, Version: 1, Answers: { } answers } && Fits(answers, prepared)) return new BaseAnswers(answers);
        }
        catch (Exception e) when (e is JsonException or ArgumentException or InputFileException)
        {
            // Said below, in one way for every kind of damage.
        }

        remarks.Add(new Remark("answers-again", $"{path} is damaged; the base's answers are generated again."));
        return null;
    }

    private static bool Fits(IReadOnlyList<int[]> answers, LoadedModel prepared) =>
        answers.Count == prepared.Traits.EvalPrompts.Count && answers.All(a => a != null && a.All(id => id < prepared.Model.Vocabulary.Size));

    private static string CachePath(LoadedModel prepared)
    {
        string identity = string.Join(
            '\n', prepared.Sha256, prepared.Traits.ContentHash, prepared.Encoder.Identity, prepared.NumericMode, BaseAnswers.MaxTokens);
        return Path.Combine(prepared.Cache, "answers", $"{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(identity)))[..32]}.json");
    }

    /// <summary>The file in the cache; its name is the digest of all that the answers depend on.</summary>
    internal sealed record AnswersFile(
        string? Format, int Version, string? ModelSha256, string? PromptIdentity, string? NumericMode, int MaxTokens, IReadOnlyList<int[]>? Answers);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
    [JsonSerializable(typeof(AnswersFile))]
    private sealed partial class Json : JsonSerializerContext;
}
