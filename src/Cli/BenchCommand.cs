using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;

namespace EmScan.Cli;

/// <summary><c>emscan bench</c>: how fast a model is scanned on this machine, and how far from the ceiling.</summary>
internal sealed class BenchCommand
{
    private readonly SharedOptions _shared = new();
    private readonly Option<string?> _adapter = new CommonOption<string?>("--adapters", "-a") { Description = "A checkpoint to measure with, or a folder to take the first one from. Default: a synthetic adapter.", HelpName = "PATH" };
    private readonly Option<int> _rank = new CommonOption<int>("--rank") { Description = "Rank of the synthetic adapter.", HelpName = "R", DefaultValueFactory = _ => new BenchmarkOptions().Rank }.Within(1, 4096);
    private readonly Option<int> _rounds = new CommonOption<int>("--rounds") { Description = "Times that emscan and llama.cpp alone are measured in turns; medians are reported.", HelpName = "N", DefaultValueFactory = _ => new BenchmarkOptions().Rounds }.Within(5, 1000);
    private readonly Option<bool> _json = MadeOnce.Json();

    internal Command ToCommand()
    {
        var command = new Verb("bench", "How fast is a model scanned on this machine, and how much faster could it be? Takes less than a minute.", "emscan bench --model model.gguf");
        command.Options.Add(_adapter);
        command.Options.Add(_rank);
        command.Options.Add(_rounds);
        command.Options.Add(_shared.Parallel);
        command.Options.Add(_json);
        _shared.AddMeasurementOptions(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        int rank = parsed.GetValue(_rank), rounds = parsed.GetValue(_rounds);
        string? given = parsed.GetValue(_adapter);
        string? adapter = given == null ? null : CheckpointDiscovery.Find(given).Runs[0].Checkpoints[0].Path;
        ScanRequest request = _shared.ToScanRequest(parsed);
        ModelCheck.Require(request, cancellationToken);
        using var progress = new ConsoleProgress();
        using LoadedModel prepared = LoadedModel.Load(request, progress, cancellationToken);
        BenchmarkResult result = await ScanBenchmark.RunAsync(
            prepared, new BenchmarkOptions { Adapter = adapter, Rank = rank, Rounds = rounds }, progress, cancellationToken);
        progress.Clear();
        if (result.MachineWasBusy)
            Runner.Note(Text($"the machine is busy: {result.IdleProcessors:0.0} of {result.Processors} processors were idle. These times are too long; run again when it is quiet."));
        if (parsed.GetValue(_json)) PrintJson(prepared, result);
        else PrintTable(prepared, result);
        return ExitCode.Success;
    }

    private static void PrintTable(LoadedModel prepared, BenchmarkResult result)
    {
        GgufModel model = prepared.Model;
        PlanTotals plan = result.Plan;
        CheckpointTime time = result.Checkpoint;
        Line("model", $"{prepared.Request.Model}  ({model.Description}, {model.LayerCount} layers, hidden size {model.HiddenSize})");
        Line("device", $"{model.Device.Description}, contexts x threads: {result.Contexts} x {result.ThreadsEach}, {prepared.NumericMode} mode");
        Line("adapter", result.Adapter == null ? (FormattableString)$"synthetic, rank {result.Rank}, on the attention of every block" : $"{result.Adapter}");
        Line("plan", $"{plan.Prompts} prompts, {plan.PromptTokens} tokens, of which {plan.SharedTokens} shared; layers 0 to {result.Layer} of {plan.LayerCount}: {100 * plan.ShareOfPrefill:0.0}% of a full prefill");
        if (result.MeasuredPrompts < plan.Prompts) Line("", $"measured with {result.MeasuredPrompts} of the prompts, and scaled up");
        Console.Out.WriteLine();
        Line("scan", $"{result.CheckpointsPerMinute:0.0} checkpoints per minute, {result.Contexts} at a time");
        Line("", $"{result.TokensPerSecond:0} prompt tokens per second in one context");
        Console.Out.WriteLine();
        Line("checkpoint", $"{time.Measuring,9:0.0} ms  in one context, median of {result.Rounds}");
        Line("  decode", $"{time.Decode,9:0.0} ms");
        Line("  capture", $"{time.Capture,9:0.0} ms  {Percent(time.Capture)}");
        Line("  kernel", $"{time.Kernel,9:0.0} ms  {Percent(time.Kernel)}");
        Line("  load", $"{time.Load,9:0.0} ms  {Percent(time.Load)}, while the checkpoint before is measured");
        Line("  record", $"{time.Journal,9:0.0} ms  {Percent(time.Journal)}, while the next checkpoint is measured");
        Console.Out.WriteLine();
        Line("ceiling", $"{result.IdealTime,9:0.0} ms  for this plan at the speed of llama.cpp's own packed prefill; share reached {100 * result.ShareOfCeiling:0}%");
        Line("prefill", $"{result.RawPrefill,9:0.0} ms  packed, whole network, by llama.cpp alone; emscan takes 1/{result.Speedup:0.00} of it");
        Line("memory", $"{result.PeakBytes / 1e6,9:0} MB  at the peak, of which the model file {result.ModelBytes / 1e6:0} MB");

        string Percent(double part) => Text($"{100 * part / time.Measuring:0.0}%");
        static void Line(string name, FormattableString text) => Console.Out.WriteLine($"{name,-12}{Text(text)}".TrimEnd());
    }

    private static void PrintJson(LoadedModel prepared, BenchmarkResult result)
    {
        GgufModel model = prepared.Model;
        CheckpointTime time = result.Checkpoint;
        var record = new BenchRecord(
            EmScanVersion.Text, model.LlamaVersion, prepared.Request.Model, model.Description, model.Device.Description, prepared.NumericMode,
            result.Contexts, result.ThreadsEach, result.Adapter == null ? result.Rank : null, result.Adapter, result.Layer, result.Plan.LayerCount,
            result.Plan.Prompts, result.MeasuredPrompts, result.Plan.PromptTokens, result.Plan.SharedTokens, result.Plan.ShareOfPrefill, result.Rounds,
            result.CheckpointsPerMinute, result.TokensPerSecond, new StagesRecord(time.Load, time.Decode, time.Capture, time.Kernel, time.Journal),
            result.RawPrefill, result.IdealTime, result.ShareOfCeiling, result.PeakBytes, result.ModelBytes, result.Processors, result.IdleProcessors,
            result.MachineWasBusy);
        using (var writer = new Utf8JsonWriter(Console.OpenStandardOutput(), new JsonWriterOptions { Indented = true }))
            JsonSerializer.Serialize(writer, record, BenchJsonContext.Default.BenchRecord);
        Console.Out.WriteLine();
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
