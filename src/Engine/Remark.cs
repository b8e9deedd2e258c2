namespace EmScan.Engine;

/// <summary>Something that a user should know: a stable code for programs, and a sentence for people.</summary>
/// <param name="Code">Lower case words joined by hyphens, such as "repeated-adapter"; never changes its meaning.</param>
/// <param name="Text">One sentence that names the file, says what is so, and what to do where something can be done.</param>
public sealed record Remark(string Code, string Text)
{
    /// <summary>The sentence.</summary>
    public override string ToString() => Text;
}
