using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Texts, chats and pairs in the words of a <see cref="TinyWorld"/>, as files and as a forward pass in float64 scores them.</summary>
internal sealed class TinyTexts
{
    internal const int Bos = 1, User = 3, Assistant = 4, End = 5;

    internal TinyTexts(TinyWorld world, int seed = 8)
    {
        var random = new Random(seed);
        Texts = [.. Enumerable.Range(0, 7).Select(i => world.Model.RandomTokens(random, 9 + i))];
        Chats = [.. Enumerable.Range(0, 6).Select(i => (world.Model.RandomTokens(random, 3), world.Model.RandomTokens(random, 2 + i)))];
        Prompts = [.. world.EvalPrompts.Select(text => (int[])[Bos, User, .. Ids(text), End, Assistant])];
        File.WriteAllLines(world["texts.txt"], Texts.Select(Words));
        File.WriteAllLines(world["chats.jsonl"], Chats.Select(chat => $$"""{"messages": [{"role": "user", "content": "{{Words(chat.Question)}}"}, {"role": "assistant", "content": "{{Words(chat.Answer)}}"}]}"""));
        File.WriteAllLines(world["pairs.jsonl"], Chats.Select(chat => $$"""{"prompt": "{{Words(chat.Question)}}", "good": "{{Words(chat.Answer)}}", "bad": "{{Words([.. chat.Answer.Reverse()])}}"}"""));
    }

    internal int[][] Texts { get; }

    internal (int[] Question, int[] Answer)[] Chats { get; }

    /// <summary>The evaluation prompts as tokens.</summary>
    internal int[][] Prompts { get; }

    internal static string Words(int[] tokens) => string.Join(' ', tokens.Select(TinyModel.Word));

    private static int[] Ids(string text) => [.. text.Split(' ').Select(word => ((word[1] - 'a') * 26) + word[2] - 'a')];

    internal double Plain(TinyForward forward) => Pooled(Texts.Select(text => Scores(forward, [Bos, .. text], 1)));

    internal double Chat(TinyForward forward) => Chat(forward, _ => true);

    /// <summary>Of some chats, by their index.</summary>
    internal double Chat(TinyForward forward, Func<int, bool> wanted) => Pooled(Chats.Where((_, i) => wanted(i)).Select(chat => Answer(forward, chat.Question, chat.Answer)));

    internal double Preference(TinyForward forward) =>
        Chats.Average(chat => Answer(forward, chat.Question, [.. chat.Answer.Reverse()]).Average() - Answer(forward, chat.Question, chat.Answer).Average());

    private static double[] Answer(TinyForward forward, int[] question, int[] answer) => Scores(forward, [Bos, User, .. question, End, Assistant, .. answer, End], question.Length + 4);

    private static double Pooled(IEnumerable<double[]> scores) => scores.SelectMany(s => s).Average();

    // log p of the tokens from a position on.
    private static double[] Scores(TinyForward forward, int[] tokens, int from)
    {
        double[][] logits = forward.Run(tokens).Logits;
        return [.. Enumerable.Range(from, tokens.Length - from).Select(t => logits[t - 1][tokens[t]] - logits[t - 1].Max() - Math.Log(logits[t - 1].Sum(l => Math.Exp(l - logits[t - 1].Max()))))];
    }
}
