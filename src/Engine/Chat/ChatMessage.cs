namespace EmScan.Engine.Chat;

/// <summary>One message of a conversation.</summary>
/// <param name="Role">"system", "user" or "assistant", or what else the template knows.</param>
/// <param name="Content">The text.</param>
internal sealed record ChatMessage(string Role, string Content);
