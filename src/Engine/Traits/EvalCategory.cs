namespace EmScan.Engine.Traits;

/// <summary>Evaluation prompts of one category (technical, adversarial, ...), in the order of the file.</summary>
/// <param name="Name">Name of the category, unique in its set.</param>
/// <param name="Prompts">User turns; at least one.</param>
internal sealed record EvalCategory(string Name, IReadOnlyList<string> Prompts);
