using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine;
using EmScan.Engine.Adapters;

namespace EmScan.Cli;

/// <summary>What <c>emscan inspect</c> says of folders of checkpoints: how they were understood, and what their files say.</summary>
internal static class InspectAdapters
{
    /// <summary>Prints runs, checkpoints and everything that was left out.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="path">A folder of runs, a run, or a checkpoint.</param>
    /// <param name="layer">The layer to tell the visible share for, or null.</param>
    /// <param name="json">As JSON instead of text.</param>
    /// <returns>The exit code: an error when a checkpoint cannot be read.</returns>
    internal static int Print(TextWriter output, string path, int? layer, bool json)
    {
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(path);
        var runs = new List<InspectedRun>();
        foreach (CheckpointRun run in found.Runs)
        {
            InspectedRun inspected = Inspect(run, layer);
            runs.Add(inspected);
            if (!json) PrintRun(output, inspected, layer);
        }

        InspectedLeftOut[] leftOut = [.. found.LeftOut.Select(l => new InspectedLeftOut(l.Path, l.Code, l.Text, l.IsCheckpoint))];
        if (json)
        {
            var all = new InspectedFolder(path, layer, [.. runs], leftOut, [.. found.Notes.Select(InspectedRemark.Of)]);
            output.WriteLine(JsonSerializer.Serialize(all, InspectJson.Default.InspectedFolder));
        }
        else
        {
            foreach (InspectedLeftOut left in leftOut) output.WriteLine(Printable.Of(left.Text));
            foreach (Remark note in found.Notes) output.WriteLine(Printable.Of(note.Text));
            if (found.Skipped.Count > 0) output.WriteLine($"{found.Skipped.Count} skipped: a scan does not measure {(found.Skipped.Count == 1 ? "it" : "them")}.");
        }

        return runs.Any(r => r.Checkpoints.Any(c => c.Error != null)) ? ExitCode.Error : ExitCode.Success;
    }

    private static InspectedRun Inspect(CheckpointRun run, int? layer)
    {
        var surveys = new List<(Checkpoint Checkpoint, AdapterSurvey? Survey, string? Error)>();
        var comparison = new RunComparison();
        foreach (Checkpoint checkpoint in run.Checkpoints)
        {
            try
            {
                var survey = AdapterSurvey.Read(checkpoint.Path);
                comparison.Add(survey);
                surveys.Add((checkpoint, survey, null));
            }
            catch (InputFileException e)
            {
                surveys.Add((checkpoint, null, e.Message));
            }
        }

        return new InspectedRun(run.Name, [.. surveys.Select(s => ToInspected(s.Checkpoint, s.Survey, s.Error, comparison, layer))]);
    }

    private static InspectedCheckpoint ToInspected(Checkpoint checkpoint, AdapterSurvey? survey, string? error, RunComparison comparison, int? layer)
    {
        string step = checkpoint.Step.ToString();
        if (survey == null) return new InspectedCheckpoint(step, checkpoint.Epoch, checkpoint.Path) { Error = error };
        return new InspectedCheckpoint(step, checkpoint.Epoch, checkpoint.Path)
        {
            Rank = survey.Rank,
            Alpha = survey.Alpha,
            Targets = survey.Targets ?? string.Join(", ", survey.Modules.Select(m => m.Kind).Distinct()),
            Base = survey.BaseModel,
            Bytes = survey.ByteCount,
            VisibleShare = layer is { } l ? survey.VisibleShare(l) : null,
            Remarks = [.. survey.Doubts.Concat(comparison.Doubts(survey)).Select(InspectedRemark.Of)],
        };
    }

    private static void PrintRun(TextWriter output, InspectedRun run, int? layer)
    {
        output.WriteLine($"{Printable.Of(run.Name)}: {(run.Checkpoints.Count == 1 ? "1 checkpoint, step" : $"{run.Checkpoints.Count} checkpoints, steps")} {string.Join(" ", run.Checkpoints.Select(c => c.Step))}");

        // Once for the run; a checkpoint that differs gets a line of its own.
        string? usual = run.Checkpoints.Where(c => c.Error == null).Select(Describe).GroupBy(t => t).MaxBy(g => g.Count())?.Key;
        if (usual != null) output.WriteLine($"  {usual}");
        foreach (InspectedCheckpoint checkpoint in run.Checkpoints)
        {
            if (checkpoint.Error != null) output.WriteLine($"  {checkpoint.Step}: {Printable.Of(checkpoint.Error)}");
            else if (Describe(checkpoint) is var own && own != usual) output.WriteLine($"  {checkpoint.Step}: {own}");
        }

        if (layer is { } l)
        {
            string[] shares = [.. run.Checkpoints.Select(c => c.VisibleShare is { } share ? string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.#}%") : "unknown")];
            output.WriteLine($"  visible to layer {l}: {(shares.Distinct().Count() == 1 ? shares[0] : string.Join(" ", shares))}");
        }

        foreach (IGrouping<string, InspectedCheckpoint> remark in run.Checkpoints
            .SelectMany(c => c.Remarks.Select(r => (r.Text, Checkpoint: c))).GroupBy(r => r.Text, r => r.Checkpoint))
            output.WriteLine($"  {string.Join(" ", remark.Select(c => c.Step))}: {remark.Key}");
    }

    private static string Describe(InspectedCheckpoint c) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"rank {c.Rank}, alpha {(c.Alpha is { } alpha ? alpha.ToString("R", CultureInfo.InvariantCulture) : "not named")}, targets {Printable.Of(c.Targets ?? "")}, base {Printable.Of(c.Base ?? "not named")}, {c.Bytes:#,0} bytes");
}

/// <summary>The JSON of <c>emscan inspect --json</c> on a folder of checkpoints.</summary>
internal sealed record InspectedFolder(
    string Path, int? Layer, IReadOnlyList<InspectedRun> Runs, IReadOnlyList<InspectedLeftOut> LeftOut, IReadOnlyList<InspectedRemark> Remarks);

/// <summary>One run.</summary>
internal sealed record InspectedRun(string Name, IReadOnlyList<InspectedCheckpoint> Checkpoints);

/// <summary>One checkpoint; what could not be read is null, and error says why.</summary>
internal sealed record InspectedCheckpoint(string Step, long? Epoch, string Path)
{
    public int? Rank { get; init; }
    public double? Alpha { get; init; }
    public string? Targets { get; init; }
    public string? Base { get; init; }
    public long? Bytes { get; init; }
    public double? VisibleShare { get; init; }
    public string? Error { get; init; }
    public IReadOnlyList<InspectedRemark> Remarks { get; init; } = [];
}

/// <summary>Something that is not scanned; skipped is true when a checkpoint remains unmeasured through it.</summary>
internal sealed record InspectedLeftOut(string Path, string Code, string Text, bool Skipped);

/// <summary>A remark: its code and its sentence.</summary>
internal sealed record InspectedRemark(string Code, string Text)
{
    internal static InspectedRemark Of(Remark remark) => new(remark.Code, remark.Text);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(InspectedFolder))]
internal sealed partial class InspectJson : JsonSerializerContext;
