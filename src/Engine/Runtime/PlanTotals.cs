namespace EmScan.Engine.Runtime;

/// <summary>The figures of one or more capture plans together.</summary>
/// <param name="Prompts">Prompts, P.</param>
/// <param name="PromptTokens">Tokens of all prompts.</param>
/// <param name="Tokens">Tokens that are decoded.</param>
/// <param name="Batches">Calls to llama_decode.</param>
/// <param name="LayersRun">Most blocks computed.</param>
/// <param name="LayersCaptured">Most layers captured.</param>
/// <param name="LayerCount">Blocks of the model, L.</param>
/// <param name="Rows">Hidden states handed out, over all layers.</param>
/// <param name="BytesRead">Bytes that leave the device.</param>
/// <param name="TokenLayers">Decoded tokens times computed blocks.</param>
/// <param name="TokensStoppedAtCache">Decoded tokens that go no further in the last computed block than their keys and values; that block
/// is counted in full for them in the figures of token-layers.</param>
/// <param name="FullTokenLayers">Token-layers of a full prefill of every prompt by itself.</param>
internal sealed record PlanTotals(
    int Prompts, long PromptTokens, long Tokens, int Batches, int LayersRun, int LayersCaptured, int LayerCount, long Rows, long BytesRead,
    long TokenLayers, long TokensStoppedAtCache, long FullTokenLayers)
{
    /// <summary>Tokens that are not decoded, because another prompt begins with the same ones.</summary>
    public long SharedTokens => PromptTokens - Tokens;

    /// <summary>Part of a full prefill's work that is done, 0 to 1.</summary>
    public double ShareOfPrefill => FullTokenLayers == 0 ? 0 : (double)TokenLayers / FullTokenLayers;

    /// <summary>Adds up plans of one model, one call after another.</summary>
    public static PlanTotals Of(IEnumerable<CapturePlan> plans)
    {
        ArgumentNullException.ThrowIfNull(plans);
        var totals = new PlanTotals(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        foreach (CapturePlan plan in plans)
        {
            totals = new PlanTotals(
                totals.Prompts + plan.Prompts.Count, totals.PromptTokens + plan.PromptTokens, totals.Tokens + plan.Tokens,
                totals.Batches + plan.BatchCount, Math.Max(totals.LayersRun, plan.LayersRun), Math.Max(totals.LayersCaptured, plan.Layers.Count),
                plan.LayerCount, totals.Rows + plan.RowsDelivered, totals.BytesRead + plan.BytesRead,
                totals.TokenLayers + plan.TokenLayers, totals.TokensStoppedAtCache + plan.TokensStoppedAtCache,
                totals.FullTokenLayers + plan.FullTokenLayers);
        }

        return totals;
    }
}
