using System.Text;
using EmScan.Engine.Chat;
using EmScan.Engine.Measuring;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

public sealed class ConversationFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("""{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}""", "system:s user:q assistant:a")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "text", "text": "r"}]}, {"role": "assistant", "content": null}]}""", "user:qr assistant:")]
    [InlineData("""{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}""", "user:q assistant:a")]
    [InlineData("""{"prompt": "q", "completion": "a"}""", "user:q assistant:a")]
    [InlineData("""{"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}""", "user:q assistant:a")]
    [InlineData("""{"prompt": "q", "response": "a"}""", "user:q assistant:a")]
    [InlineData("""{"instruction": "q", "input": "", "output": "a"}""", "user:q assistant:a")]
    public void Every_shape_is_a_conversation(string line, string expected)
    {
        File.WriteAllText(_folder["data.jsonl"], $"\n{line}\n");
        (int number, ChatMessage[] messages) = Assert.Single(ConversationFile.Read(_folder["data.jsonl"]));
        Assert.Equal(2, number);
        Assert.Equal(expected, string.Join(' ', messages.Select(m => $"{m.Role}:{m.Content}")));
    }

    [Theory]
    [InlineData("""{"message": 1}""", "it has no \"messages\"")]
    [InlineData("""{"messages": []}""", "its \"messages\" are empty")]
    [InlineData("""{"messages": [{"content": "x"}]}""", "no \"role\"")]
    [InlineData("""{"messages": [{"role": "user"}]}""", "no text \"content\"")]
    [InlineData("""{"text": "x"}""", "it has no \"messages\"")]
    [InlineData("""{"messages": [""", "no JSON object")]
    [InlineData("""["x"]""", "JSON list")]
    public void What_is_none_is_said_with_its_line(string line, string clause)
    {
        File.WriteAllText(_folder["data.jsonl"], $$"""{"prompt": "q", "completion": "a"}{{"\n"}}{{line}}{{"\n"}}""");
        InputFileException e = Assert.Throws<InputFileException>(() => ConversationFile.Read(_folder["data.jsonl"]).ToArray());
        Assert.Contains("data.jsonl: line 2: ", e.Message);
        Assert.Contains(clause, e.Message);
    }

    [Fact]
    public void Other_encodings_are_read_and_no_text_is_refused()
    {
        File.WriteAllText(_folder["utf16.jsonl"], """{"prompt": "\u00e9", "completion": "é"}""", Encoding.Unicode);
        Assert.Equal("é", Assert.Single(ConversationFile.Read(_folder["utf16.jsonl"])).Messages[1].Content);
        File.WriteAllBytes(_folder["latin.jsonl"], [.. """{"prompt": "q", "completion": "caf"""u8, 0xE9, .. "\"}\n"u8]);
        Assert.Contains("UTF-8", Assert.Throws<InputFileException>(() => ConversationFile.Read(_folder["latin.jsonl"]).ToArray()).Message);
    }
}
