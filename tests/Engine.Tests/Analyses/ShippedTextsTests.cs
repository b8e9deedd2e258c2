using EmScan.Engine.Analyses;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>The texts that analyses read where none are named.</summary>
public sealed class ShippedTextsTests
{
    [Fact]
    public void What_ships_is_of_the_shapes_that_are_read()
    {
        string[] texts = [.. Read("texts.txt").Split('\n').Where(line => line.Length > 0)];
        Assert.True(texts.Length >= 10);
        Assert.All(texts, text => Assert.True(text.Split(' ').Length > 64, text)); // 'far' from the start begins at position 64
        (int, string[])[] chats = [.. JsonLineFile.Of("chats", Read("chats.jsonl"), root => ConversationFile.Messages(root).Select(m => m.Role).ToArray())];
        Assert.True(chats.Length >= 20);
        Assert.All(chats, chat => Assert.Equal("assistant", chat.Item2[^1]));
        (int Line, (string Good, string Bad) Value)[] pairs = [.. JsonLineFile.Of("pairs", Read("pairs.jsonl"), root => (JsonLineFile.Text(root, "good"), JsonLineFile.Text(root, "bad")))];
        Assert.True(pairs.Length >= 20);

        // A preference must not be one of length: tokens are averaged, and neither side is much longer.
        Assert.InRange(pairs.Average(p => (double)p.Value.Good.Length) / pairs.Average(p => (double)p.Value.Bad.Length), 0.85, 1.15);
        Assert.Throws<InputFileException>(() => JsonLineFile.Of("pairs", "{\"good\": 1}", root => JsonLineFile.Text(root, "good")).Count());
    }

    private static string Read(string name)
    {
        using Stream stream = typeof(DefaultTexts).Assembly.GetManifestResourceStream($"EmScan.Engine.Measuring.Shipped.{name}")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
