using System.CommandLine;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;

namespace EmScan.Cli;

/// <summary><c>emscan extract</c>: trait directions as a file, with figures that say how far to trust them.</summary>
internal sealed class ExtractCommand
{
    private readonly SharedOptions _shared = new();
    private readonly Option<string> _output = new("--output", "-o") { Description = "The safetensors file to write.", HelpName = "FILE", Required = true };
    private readonly Option<string?> _controlVectors = new("--control-vectors") { Description = "Also write a control vector for each trait into this folder (GGUF, for llama.cpp's --control-vector and repeng).", HelpName = "DIR" };

    internal Command ToCommand()
    {
        var command = new Command("extract", "Extract trait directions from a model into a file that 'scan --directions' reads, and print their validity.");
        foreach (Option option in new Option[] { _output, _controlVectors }) command.Options.Add(option);
        _shared.AddMeasurementOptions(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => Task.FromResult(Run(parsed, cancellationToken))));
        return command;
    }

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        string file = parsed.GetValue(_output)!;
        OutputPath.RequireFile(file, ".safetensors");
        if (parsed.GetValue(_controlVectors) is { } folder) OutputPath.RequireFolder(folder, _controlVectors.Name);
        ScanRequest request = _shared.ToScanRequest(parsed);
        ModelCheck.Require(request, cancellationToken);
        using var progress = new ConsoleProgress();
        using LoadedModel prepared = LoadedModel.Load(request, progress, cancellationToken);
        ExtractionResult result = DirectionProvider.Extract(prepared, request.Extraction, progress, cancellationToken);
        progress.Clear();
        DirectionSet directions = result.Directions;
        directions.Save(file);

        Report(prepared, result, file);
        if (parsed.GetValue(_controlVectors) is { } vectors)
        {
            string[] written = directions.SaveControlVectors(vectors, prepared.Model.File.Architecture);
            Runner.Note($"{written.Length} control vectors in {vectors}, from layer 1 on; dose c is the scale c n0, and n0 is {N0(directions)}.");
        }

        if (result.EmptyGenerations > 0) Runner.Note($"{result.EmptyGenerations} prompts generated nothing and were taken at their last input token.");
        return ExitCode.Success;
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
