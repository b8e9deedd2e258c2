using System.CommandLine;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.LayerChoice;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Cli;

/// <summary><c>emscan extract</c>: trait directions as a file, with figures that say how far to trust them, and the choice of the layer.</summary>
internal sealed class ExtractCommand
{
    private readonly SharedOptions _shared = new();
    private readonly TextOptions _texts = new();
    private readonly Option<string> _output = new CommonOption<string>("--output", "-o") { Description = "The safetensors file to write.", HelpName = "FILE", Required = true };
    private readonly Option<string?> _controlVectors = new CommonOption<string?>("--control-vectors") { Description = "Also write a control vector for each trait into this folder (GGUF, for llama.cpp's --control-vector and repeng).", HelpName = "DIR" };
    private readonly Option<bool> _chooseLayer = new CommonOption<bool>("--choose-layer") { Description = "Also choose the layer, by steering: where directions change most of what the model says. That is before its text breaks; beside it stand separability, and labels where there are some. The file then carries steering's choice, and scans with it measure there unless --layer says otherwise." };
    private readonly Option<string[]> _adapters = MadeOnce.Adapters();
    private readonly Option<string[]> _labels = MadeOnce.Labels();
    private readonly Option<bool> _json = MadeOnce.Json();

    internal Command ToCommand()
    {
        var command = new Verb("extract", "Extract trait directions of a model, say how far to trust them, and choose the layer. A scan takes the file by --directions. --adapters with --labels, --texts and --json belong to --choose-layer.", "emscan extract --model model.gguf --output directions.safetensors");
        foreach (Option option in new Option[] { _output, _controlVectors, _chooseLayer, _adapters, _labels, _texts.Texts, _json }) command.Options.Add(option);
        _shared.AddMeasurementOptions(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        string file = parsed.GetValue(_output)!;
        bool choose = parsed.GetValue(_chooseLayer), json = parsed.GetValue(_json);
        string[] adapters = parsed.GetValue(_adapters) ?? [];
        if (!choose && (json || adapters.Length > 0 || parsed.GetValue(_labels) is { Length: > 0 } || parsed.GetValue(_texts.Texts) != null))
            throw new UsageException("--adapters, --labels, --texts and --json belong to --choose-layer.");
        if (choose && adapters.Length > 0 != parsed.GetValue(_labels) is { Length: > 0 }) throw new UsageException("--adapters and --labels belong together: the labels say what the checkpoints are.");
        if (parsed.GetValue(_labels) is { Length: > 1 }) throw new UsageException("Give --labels once; directions are of one model.");
        OutputPath.RequireFile(file, ".safetensors");
        if (parsed.GetValue(_controlVectors) is { } folder) OutputPath.RequireFolder(folder, _controlVectors.Name);
        ScanRequest request = _shared.ToScanRequest(parsed);
        LabelMatch? labels = parsed.GetValue(_labels) is [var path, ..] ? Match(path, adapters) : null;
        ModelCheck.Require(request, cancellationToken);
        using var progress = new ConsoleProgress();
        using LoadedModel prepared = LoadedModel.Load(request, progress, cancellationToken);
        ExtractionResult result = DirectionProvider.Extract(prepared, prepared.Request.Extraction, progress, cancellationToken);
        progress.Clear();
        DirectionSet directions = result.Directions;
        directions.Save(file);
        DirectionProvider.Remember(prepared, directions);

        if (!json) Report(prepared, result, file);
        if (parsed.GetValue(_controlVectors) is { } vectors)
        {
            string[] written = directions.SaveControlVectors(vectors, prepared.Model.File.Architecture);
            Runner.Note($"{written.Length} control vectors in {vectors}, from layer 1 on; dose c is the scale c n0, and n0 is {N0(directions)}.");
        }

        if (result.EmptyGenerations > 0) Runner.Note($"{result.EmptyGenerations} prompts generated nothing and were taken at their last input token.");
        return choose ? await ChooseAsync(parsed, prepared, result, labels, file, progress, cancellationToken) : ExitCode.Success;
    }

    private async Task<int> ChooseAsync(
        ParseResult parsed, LoadedModel prepared, ExtractionResult result, LabelMatch? labels, string file, ConsoleProgress progress, CancellationToken cancellationToken)
    {
        using AnalysisSession session = AnalysisSession.Open(
            prepared.Request with { Loaded = prepared.Model, DirectionsFile = file, Layer = prepared.ChooseLayer() }, progress, cancellationToken);
        var remarks = new List<Remark>();
        BaseAnswers? answers = labels == null ? null : BaseAnswersProvider.Get(prepared, progress, remarks, cancellationToken);
        progress.Clear();
        foreach (Remark remark in remarks) Runner.Note(remark.Text);
        var analysis = new LayerChoiceAnalysis(new LayerChoiceRequest
        {
            Texts = _texts.ReadTexts(parsed, session.Context),
            Validity = result.Validity,
            Labels = labels,
            Measured = new PromptSet("measured prompts", prepared.MeasuredPrompts(answers)),
            Seed = parsed.GetValue(_shared.Seed),
        });
        Findings findings;
        try
        {
            findings = await session.RunAsync(analysis, null, progress, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            Runner.Note("Interrupted; what was measured is on record, and the same command continues from there.");
            return ExitCode.Interrupted;
        }

        progress.Clear();
        result.Directions.WithMetadata(result.Directions.Metadata with { ChosenLayer = analysis.Chosen }).Save(file);
        if (parsed.GetValue(_json)) FindingsJson.Write(Console.OpenStandardOutput(), findings);
        else FindingsText.Write(Console.Out, findings);
        return ExitCode.Success;
    }

    private static LabelMatch Match(string path, string[] adapters)
    {
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(AdapterList.Expand(adapters, Console.In));
        foreach (Remark remark in found.Remarks) Runner.Note(remark.Text);
        LabelMatch match = LabelFile.Read(path).Match(found.Runs, null);
        foreach (string remark in match.Remarks) Runner.Note(remark);
        return match;
    }

    private static void Report(LoadedModel prepared, ExtractionResult result, string file)
    {
        DirectionSet directions = result.Directions;
        int layer = prepared.ChooseLayer();
        Console.Out.WriteLine($"{Printable.Of(file)}: {directions.Traits.Count} traits, layers {directions.Layers[0]} to {directions.Layers[^1]}, hidden size {directions.HiddenSize}");
        Console.Out.WriteLine($"How far to trust them, at layer {layer} (held-out questions):");
        Console.Out.WriteLine($"{"trait",-16}{"probe accuracy",16}{"AUC",8}{"split-half cosine",19}{"p-value",10}");
        foreach (DirectionValidity v in result.Validity.Where(v => v.Layer == layer))
        {
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{v.Trait,-16}{v.ProbeAccuracy,16:0.000}{v.Auc,8:0.000}{v.SplitHalfCosine,19:0.000}{v.PermutationP,10:0.0000}"));
        }

        PrintCosines(directions, layer);
    }

    private static string N0(DirectionSet directions) => string.Join(", ", (directions.Metadata.N0 ?? new Dictionary<int, double>())
        .Where(pair => pair.Key > 0).OrderBy(pair => pair.Key).Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Value:G4} at layer {pair.Key}")));

    private static void PrintCosines(DirectionSet directions, int layer)
    {
        double[] cosines = directions.Cosines(layer);
        int count = directions.Traits.Count;
        Console.Out.WriteLine("Cosines between them:");
        for (int i = 0; i < count; i++)
        {
            IEnumerable<string> row = Enumerable.Range(0, count).Select(j => cosines[(i * count) + j].ToString("0.00", CultureInfo.InvariantCulture).PadLeft(7));
            Console.Out.WriteLine($"{directions.Traits[i],-16}{string.Concat(row)}");
        }
    }
}
