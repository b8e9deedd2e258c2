namespace EmScan.Engine.Runtime;

/// <summary>What the contexts of one source have room for.</summary>
/// <param name="BatchTokens">Tokens in one graph.</param>
/// <param name="Sequences">
/// Sequences. llama.cpp bounds them and keeps room for logits of each; the prompts of a batch seldom need more.
/// </param>
internal readonly record struct ContextLimits(int BatchTokens, int Sequences)
{
    // ggml pads the cache to so many cells.
    private const int CellPadding = 256;

    /// <summary>What is asked for, or what suits the model and its device.</summary>
    internal static ContextLimits For(GgufModel model, CaptureOptions options)
    {
        bool frugal = model.Device.IsCpu && IsWide(model.HiddenSize);
        return new ContextLimits(
            options.BatchTokens > 0 ? options.BatchTokens : frugal ? 256 : 512,
            model.OneSequenceAtATime ? 1 : frugal ? 32 : 64);
    }

    /// <summary>Whether work buffers are large enough to be frugal with, and products large enough to lose nothing by it.</summary>
    internal static bool IsWide(int hiddenSize) => hiddenSize >= 2048;

    /// <summary>Rounds a number of KV cells up to what ggml allocates for it.</summary>
    internal static int PadCells(int cells) => checked((cells + CellPadding - 1) / CellPadding * CellPadding);
}
