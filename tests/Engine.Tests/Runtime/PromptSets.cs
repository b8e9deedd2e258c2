using EmScan.Engine.Runtime;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>Random sets of prompts with everything in them that sharing could get wrong.</summary>
internal static class PromptSets
{
    /// <summary>
    /// Prompts that grow out of one another: continued, cut, repeated, or new; at random positions, all of them, or the last one. Tokens
    /// come from a small alphabet, so that beginnings agree by chance too.
    /// </summary>
    internal static CapturePrompt[] Random(Random random, int count, int longest, int vocabulary)
    {
        var prompts = new List<int[]>();
        while (prompts.Count < count)
        {
            int[] Fresh(int length) => [.. Enumerable.Range(0, length).Select(_ => random.Next(7, random.Next(4) == 0 ? vocabulary : 9))];
            int[] old = prompts.Count == 0 ? [] : prompts[random.Next(prompts.Count)];
            int[] prompt = random.Next(6) switch
            {
                0 => Fresh(random.Next(1, longest + 1)),
                1 => old,
                2 => old[..random.Next(old.Length + 1)],
                _ => [.. old[..random.Next(old.Length + 1)], .. Fresh(random.Next(1, (longest / 4) + 2))],
            };
            if (prompt.Length is > 0 && prompt.Length <= longest) prompts.Add(prompt);
        }

        return [.. prompts.Select(tokens => random.Next(3) switch
        {
            0 => CapturePrompt.Last(tokens),
            1 => CapturePrompt.From(tokens, random.Next(tokens.Length)),
            _ => Scattered(tokens),
        })];

        CapturePrompt Scattered(int[] tokens)
        {
            int[] positions = [.. Enumerable.Range(0, tokens.Length).Where(_ => random.Next(3) == 0)];
            return positions.Length == 0 ? new CapturePrompt(tokens, [random.Next(tokens.Length)]) : new CapturePrompt(tokens, positions);
        }
    }

    /// <summary>What a scan and an extraction see: a template's head, a few system texts, and questions; the last token of each.</summary>
    internal static CapturePrompt[] SystemTimesQuestion(Random random, int systems, int questions, int vocabulary)
    {
        int[] Tokens(int length) => [.. Enumerable.Range(0, length).Select(_ => random.Next(7, vocabulary))];
        int[] head = Tokens(5), tail = Tokens(3);
        int[][] systemTexts = [.. Enumerable.Range(0, systems).Select(_ => Tokens(random.Next(5, 15)))];
        int[][] questionTexts = [.. Enumerable.Range(0, questions).Select(_ => Tokens(random.Next(3, 9)))];
        return [.. systemTexts.SelectMany(s => questionTexts.Select(q => CapturePrompt.Last([.. head, .. s, .. q, .. tail])))];
    }
}
