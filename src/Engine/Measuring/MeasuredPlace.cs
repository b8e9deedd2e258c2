namespace EmScan.Engine.Measuring;

/// <summary>Which positions the one hidden state of an evaluation prompt is the mean of.</summary>
public enum MeasuredPlace
{
    /// <summary>The last token of the prompt, where the assistant's answer would start.</summary>
    LastPromptToken,

    /// <summary>The first token of the base model's own greedy answer.</summary>
    FirstAnswerToken,

    /// <summary>All tokens of the base model's own greedy answer.</summary>
    MeanAnswer,
}
