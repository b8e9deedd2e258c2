using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Tests.Measuring;

/// <summary>Which positions of which tokens are measured: of scored texts, of answers, and of positions that are often enough there.</summary>
public sealed class PromptSetTests
{
    /// <summary>A token is predicted from the one before it.</summary>
    [Fact]
    public void A_scored_token_is_read_at_the_position_before_it()
    {
        PromptSet scored = PromptSet.Scored("texts", [[7, 8, 9, 10], [7, 8]], (text, token) => text == 0 && token is (1 or 3));
        Assert.Equal([0, 2], Assert.Single(scored.Prompts).Positions);
        Assert.Equal("No token of texts can be scored.", Assert.Throws<EmScanException>(() => PromptSet.Scored("texts", [[7, 8]], (_, token) => token == 0)).Message);
    }

    [Fact]
    public void Positions_seen_in_exactly_as_many_contexts_are_kept()
    {
        PromptSet all = PromptSet.All("texts", [[1, 2, 3], [4, 5], [6]]), twice = all.SeenInAtLeast(2)!;
        Assert.Equal((int[][])[[0, 1], [0, 1], [0]], twice.Prompts.Select(p => p.Positions));
        Assert.Equal(5, twice.Rows);
        Assert.Equal(3, new PromptSet("pooled", twice.Prompts, RowPooling.MeanOfPrompt).Rows);
        Assert.Null(all.SeenInAtLeast(4));
    }

    [Fact]
    public void Sets_of_other_tokens_positions_or_pooling_are_other_sets()
    {
        PromptSet[] sets =
        [
            Set([1, 2, 3], [1]), Set([1, 2, 3], [2]), Set([1, 2, 4], [1]), Set([1, 2], [1]), Set([1, 2, 3], [1, 2]),
            new("pooled", Set([1, 2, 3], [1, 2]).Prompts, RowPooling.MeanOfPrompt),
            Set([2, 1, 0], [1]), Set([2, 1], [0, 1]), // the same numbers in the same order
        ];
        Assert.Equal(sets.Length, sets.Select(set => set.Identity).Distinct().Count());
        Assert.Equal(Set([1, 2, 3], [1]).Identity, new PromptSet("another name", Set([1, 2, 3], [1]).Prompts).Identity);

        static PromptSet Set(int[] tokens, int[] positions) => new("one", [new CapturePrompt(tokens, positions)]);
    }

    [Theory]
    [InlineData(MeasuredPlace.LastPromptToken, 2, new[] { 1 })]
    [InlineData(MeasuredPlace.FirstAnswerToken, 3, new[] { 2 })]
    [InlineData(MeasuredPlace.MeanAnswer, 4, new[] { 2, 3 })]
    public void Answers_are_measured_behind_their_prompts_and_the_prompt_where_there_is_none(MeasuredPlace place, int tokens, int[] positions)
    {
        CapturePrompt[] prompts = new BaseAnswers([[5, 6], []]).After([[1, 2], [3]], place);
        Assert.Equal(((int[])[1, 2, 5, 6])[..tokens], prompts[0].Tokens);
        Assert.Equal(positions, prompts[0].Positions);
        Assert.Equal([3], prompts[1].Tokens);
        Assert.Equal([0], prompts[1].Positions);
    }

    [Fact]
    public void Answers_that_are_too_long_or_of_other_prompts_are_refused()
    {
        _ = new BaseAnswers([new int[BaseAnswers.MaxTokens]]);
        Assert.Throws<ArgumentException>(() => new BaseAnswers([new int[BaseAnswers.MaxTokens + 1]]));
        Assert.Throws<ArgumentException>(() => new BaseAnswers([[1, -1]]));
        Assert.Throws<ArgumentException>(() => new BaseAnswers([]));
        Assert.Throws<ArgumentException>(() => new BaseAnswers([[1]]).After([[1], [2]], MeasuredPlace.MeanAnswer));
        Assert.NotEqual(new BaseAnswers([[1], [2, 3]]).Fingerprint, new BaseAnswers([[1, 2], [3]]).Fingerprint);
    }

    [Fact]
    public void A_pair_needs_tokens_in_both_of_its_answers()
    {
        ScoredConversation full = Conversation(TokenKind.UserWord, TokenKind.FirstAnswerWord, TokenKind.AnswerEnd), empty = Conversation(TokenKind.UserWord, TokenKind.AssistantToken);
        PromptSet answers = LogLikelihood.Answers([(full, full)])!;
        Assert.Equal((int[][])[[0, 1], [0, 1]], answers.Prompts.Select(p => p.Positions));
        Assert.Throws<EmScanException>(() => LogLikelihood.Answers([(full, full), (full, empty)]));
        Assert.Null(LogLikelihood.Answers((IReadOnlyList<(ScoredConversation, ScoredConversation)>)[]));

        static ScoredConversation Conversation(params TokenKind[] kinds) => new([.. Enumerable.Range(1, kinds.Length)], kinds);
    }

    /// <summary>Pieces are what the base's rows are kept of, so their size is what memory is bounded by.</summary>
    [Fact]
    public void Pieces_hold_every_row_once_and_no_more_than_they_may()
    {
        var random = new Random(47);
        PromptSet[] sets = [.. Enumerable.Range(0, 2).Select(s => PromptSet.All($"set {s}", Enumerable.Range(0, 30).Select(_ => Enumerable.Range(0, random.Next(1, 9)).Select(_ => random.Next(3)).ToArray())))];
        var seen = new HashSet<(int Set, int Prompt, int Position)>();
        foreach (PromptPiece piece in PromptPiece.Cut(sets, 5))
        {
            Assert.InRange(piece.Prompts.Sum(p => p.Positions.Length), 1, 5);
            foreach ((CapturePrompt part, PromptOrigin origin) in piece.Prompts.Zip(piece.Origins))
            {
                CapturePrompt whole = sets[origin.Set].Prompts[origin.Prompt];
                Assert.Equal(whole.Tokens, part.Tokens);
                Assert.Equal(whole.Positions[origin.Slot..(origin.Slot + part.Positions.Length)], part.Positions);
                Assert.All(part.Positions, position => Assert.True(seen.Add((origin.Set, origin.Prompt, position))));
            }
        }

        Assert.Equal(sets.Sum(set => set.Rows), seen.Count);
    }
}
