namespace EmScan.Engine.Chat;

/// <summary>How a system text reaches the model.</summary>
internal enum SystemHandling
{
    /// <summary>The template has a place for a system message.</summary>
    Native,

    /// <summary>
    /// The system text is a user turn of its own, a short acknowledgement of the assistant follows, and then the question.
    /// </summary>
    UserTurn,

    /// <summary>The template takes neither; only prompts without a system text can be rendered.</summary>
    None,
}
