using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Cli;

/// <summary><c>--explain</c>: what a scan will compute, for people, without computing it.</summary>
internal static class ExplainText
{
    internal static void Print(TextWriter output, ScanRequest request, int checkpoints, CancellationToken cancellationToken)
    {
        using LoadedModel prepared = LoadedModel.Load(request, cancellationToken: cancellationToken);
        ScanExplanation explanation = ScanExplanation.Create(prepared);
        foreach (Remark remark in explanation.Remarks) Runner.Note(remark.Text);

        GgufModel model = prepared.Model;
        (int contexts, int threads) = prepared.Parallel;
        output.WriteLine($"model   {request.Model}  ({model.Description}, {model.LayerCount} layers, hidden size {model.HiddenSize})");
        output.WriteLine($"traits  {prepared.TraitSource}, directions {explanation.DirectionsSource}");
        output.WriteLine($"device  {model.Device.Description}, {Many(contexts, "context")} with {Many(threads, "thread")} each, {prepared.NumericMode} mode");
        output.WriteLine();
        if (explanation.Extraction is { } extraction)
        {
            output.WriteLine($"Extracting trait directions, once{(explanation.Generates ? " (and what the model generates for each prompt, which is not counted here)" : "")}:");
            Print(output, extraction);
        }

        output.WriteLine($"Measuring layer {explanation.Layer}, once for the base and once for each of {Many(checkpoints, "checkpoint")}:");
        Print(output, explanation.Evaluation);
    }

    private static void Print(TextWriter output, PlanTotals plan)
    {
        void Line(string name, FormattableString text) => output.WriteLine($"  {name,-15}{text.ToString(CultureInfo.InvariantCulture)}");
        Line("prompts", $"{plan.Prompts}");
        Line("tokens", $"{plan.PromptTokens}");
        Line("shared tokens", $"{plan.SharedTokens} ({Percent(plan.SharedTokens, plan.PromptTokens)}), computed for another prompt that begins with them");
        Line("computed", $"{plan.Tokens} tokens in {plan.Batches} {(plan.Batches == 1 ? "batch" : "batches")}");
        Line("layers run", $"{plan.LayersRun} of {plan.LayerCount}, {plan.LayersCaptured} captured, no vocabulary head");
        if (plan.TokensStoppedAtCache > 0)
            Line("", $"in the last of them {plan.TokensStoppedAtCache} tokens ({Percent(plan.TokensStoppedAtCache, plan.Tokens)}) go no further than their keys and values");
        Line("captured", $"{plan.Rows} hidden states, {plan.BytesRead / 1e6:0.0##} MB from the device");
        Line("token-layers", $"{plan.TokenLayers}, {Percent(plan.TokenLayers, plan.FullTokenLayers)} of the {plan.FullTokenLayers} of a full prefill of every prompt");
        output.WriteLine();
    }

    private static string Percent(long part, long whole) =>
        string.Create(CultureInfo.InvariantCulture, $"{(whole == 0 ? 0 : 100.0 * part / whole):0.0}%");

    private static string Many(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";
}
