namespace EmScan.Engine.Traits;

/// <summary>How far an extraction is.</summary>
/// <param name="Trait">The trait at work.</param>
/// <param name="PromptsDone">Prompts finished, over all traits.</param>
/// <param name="PromptsTotal">Prompts in all.</param>
internal readonly record struct ExtractionProgress(string Trait, int PromptsDone, int PromptsTotal);
