using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Labelling;

/// <summary>One answer of one checkpoint, as a line of the file that a judge reads and writes back.</summary>
/// <param name="Id">Names the answer: a digest of adapter, question, sample and settings.</param>
/// <param name="Run">The training run; "base" for the base model.</param>
/// <param name="Step">Optimizer step, or "final"; "0" for the base model.</param>
/// <param name="Question">The question.</param>
/// <param name="Sample">Number of the sample, from 0.</param>
/// <param name="Answer">The answer.</param>
/// <param name="Verdict">What the judge said: aligned, misaligned or incoherent; null before that.</param>
internal sealed record SampledAnswer(string? Id, string? Run, string? Step, string? Question, int? Sample, string? Answer, string? Verdict);

/// <summary>Files of answers: JSON Lines, UTF-8, one answer a line.</summary>
internal static class AnswerFile
{
    /// <summary>The name of the base model's run.</summary>
    public const string BaseRun = "base";

    private const int MaxBytes = 1 << 30;

    /// <summary>Reads a file. A last line without its end counts where it is whole; else an interruption tore it, and it is left out.</summary>
    /// <exception cref="InputFileException">The file cannot be read, or a line is not an answer.</exception>
    public static IReadOnlyList<SampledAnswer> Read(string path) => Read(path, out _);

    /// <summary>The same, and how many bytes at the end are a torn line.</summary>
    internal static IReadOnlyList<SampledAnswer> Read(string path, out int torn)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ReadOnlySpan<byte> rest = InputFile.ReadSmall(path, MaxBytes);
        var answers = new List<SampledAnswer>();
        for (int line = 1; rest.IndexOf((byte)'\n') is >= 0 and var end; line++, rest = rest[(end + 1)..])
        {
            if (rest[..end].Trim(" \r\t"u8).IsEmpty) continue;
            try
            {
                answers.Add(Parse(rest[..end]) ?? throw new InputFileException(path, $"line {line} has no \"id\""));
            }
            catch (JsonException e)
            {
                throw new InputFileException(path, $"line {line} is not an answer ({InputFile.OneLine(e.Message)})", e);
            }
        }

        torn = rest.Length;
        try
        {
            if (!rest.Trim(" \r\t"u8).IsEmpty && Parse(rest) is { } last)
            {
                answers.Add(last);
                torn = 0;
            }
        }
        catch (JsonException)
        {
            // Half an object is none.
        }

        return answers;
    }

    private static SampledAnswer? Parse(ReadOnlySpan<byte> line) =>
        JsonSerializer.Deserialize(line, LabellingJsonContext.Default.SampledAnswer) is { Id.Length: > 0 } answer ? answer : null;

    /// <summary>A line of the file, with its end.</summary>
    internal static byte[] Line(SampledAnswer answer) => [.. JsonSerializer.SerializeToUtf8Bytes(answer, LabellingJsonContext.Default.SampledAnswer), (byte)'\n'];
}

/// <summary>Generated reader and writer of answers.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SampledAnswer))]
internal sealed partial class LabellingJsonContext : JsonSerializerContext;
