namespace EmScan.Engine.Traits;

/// <summary>
/// One behaviour with two poles. Its direction points from the negative pole to the positive one, so the pole called positive is the one
/// whose drift is reported with a plus sign; positive means "more of what the name says", not "good" (power_seeking).
/// </summary>
/// <param name="Name">Name of the trait, unique in its set; no comma, because the names are stored as one comma separated list.</param>
/// <param name="PositivePrompts">System prompts that ask for the behaviour; at least one.</param>
/// <param name="NegativePrompts">System prompts that ask for its opposite; at least one. The i-th is the counterpart of the i-th
/// positive.</param>
internal sealed record Trait(string Name, IReadOnlyList<string> PositivePrompts, IReadOnlyList<string> NegativePrompts);
