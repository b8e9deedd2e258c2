using System.Text.Json;
using EmScan.Engine.Chat;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Conversations in JSON Lines, in the shapes that trainers take: {"messages": [{"role", "content"}, ..]} (OpenAI, TRL),
/// {"conversations": [{"from", "value"}, ..]} (ShareGPT), {"prompt", "completion"} or {"prompt", "response"} (texts or lists of messages), and
/// {"instruction", "input", "output"} (Alpaca).
/// </summary>
internal static class ConversationFile
{
    internal const string Shapes = "\"messages\", \"conversations\", \"prompt\" with \"completion\", or \"instruction\" with \"output\"";

    /// <summary>Reads a file while conversations are asked for.</summary>
    /// <exception cref="InputFileException">The file cannot be read, or a line is no conversation.</exception>
    internal static IEnumerable<(int Line, ChatMessage[] Messages)> Read(string path) => JsonLineFile.Read(path, Messages);

    /// <summary>The conversation that an object holds, oldest message first.</summary>
    /// <exception cref="EmScanException">It holds none; the clause says what is missing.</exception>
    internal static ChatMessage[] Messages(JsonElement root)
    {
        if (List(root, "messages") is { } messages) return messages;
        if (List(root, "conversations") is { } conversations) return conversations;
        if (Side(root, "user", "prompt") is { } prompt && Side(root, "assistant", "completion", "response") is { } completion) return [.. prompt, .. completion];
        if (JsonLineFile.OptionalText(root, "instruction") is { } instruction && JsonLineFile.OptionalText(root, "output") is { } output)
        {
            string input = JsonLineFile.OptionalText(root, "input") ?? "";
            return [new("user", string.IsNullOrWhiteSpace(input) ? instruction : $"{instruction}\n\n{input}"), new("assistant", output)];
        }

        throw new EmScanException($"it has no {Shapes}");
    }

    /// <summary>One side of a conversation, a text or a list of messages, under the first name that there is; null where there is none.</summary>
    internal static ChatMessage[]? Side(JsonElement root, string role, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (JsonLineFile.OptionalText(root, name) is { } text) return [new ChatMessage(role, text)];
            if (List(root, name) is { } list) return list;
        }

        return null;
    }

    private static ChatMessage[]? List(JsonElement root, string name)
    {
        if (!root.TryGetProperty(name, out JsonElement list) || list.ValueKind != JsonValueKind.Array) return null;
        return list.GetArrayLength() > 0 ? [.. list.EnumerateArray().Select(Message)] : throw new EmScanException($"its \"{name}\" are empty");
    }

    private static ChatMessage Message(JsonElement message)
    {
        string role = JsonLineFile.OptionalText(message, "role") ?? JsonLineFile.OptionalText(message, "from") ?? throw new EmScanException("a message has no \"role\" (or \"from\")");
        return new ChatMessage(Role(role), Content(message, "content") ?? Content(message, "value") ?? throw new EmScanException("a message has no text \"content\" (or \"value\")"));
    }

    private static string? Content(JsonElement message, string name)
    {
        if (!message.TryGetProperty(name, out JsonElement content)) return null;
        return content.ValueKind switch
        {
            JsonValueKind.String => content.GetString(),
            // What calls a tool says nothing.
            JsonValueKind.Null => "",
            JsonValueKind.Array => string.Concat(content.EnumerateArray().Select(part => part.ValueKind == JsonValueKind.String ? part.GetString() : JsonLineFile.OptionalText(part, "text")
                ?? throw new EmScanException("a message has a part that is no text"))),
            _ => null,
        };
    }

    private static string Role(string role) => role switch
    {
        "human" => "user",
        "gpt" or "bot" or "model" or "chatgpt" => "assistant",
        "developer" => "system",
        _ => role,
    };
}
