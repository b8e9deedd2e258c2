using System.Globalization;
using EmScan.Engine.Analyses;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Tests.Support;
using TinyModel = EmScan.Engine.Tests.Support.TinyModel;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>A tiny random model with three traits for analyses of texts, and the same in float64.</summary>
internal sealed class TextWorld : IDisposable
{
    internal const int Bos = 1, User = 3, Assistant = 4, End = 5;

    private readonly TemporaryFolder _folder = new();
    private readonly TinyForward _forward;

    internal TextWorld(int seed, string? chatTemplate = null)
    {
        Tiny = chatTemplate == null ? new TinyModel(seed) : new TinyModel(seed) { ChatTemplate = chatTemplate };
        Tiny.WriteGguf(_folder["model.gguf"]);
        _forward = new TinyForward(Tiny);
        Random = new Random(seed);
        string Prompts(int count) => string.Join(", ", Enumerable.Range(0, count).Select(_ => Words(Tiny.RandomTokens(Random, Random.Next(2, 6)))));
        EvalPrompts = [.. Enumerable.Range(0, 10).Select(_ => Tiny.RandomTokens(Random, Random.Next(2, 7)))];
        File.WriteAllText(_folder["traits.yaml"], $"traits:{string.Concat(new[] { "honesty", "harmlessness", "confidence" }.Select(t => $"\n  {t}:\n    positive_system_prompts: [{Prompts(3)}]\n    negative_system_prompts: [{Prompts(3)}]"))}\nquestions: [{Prompts(4)}]\neval_prompts:\n  all: [{string.Join(", ", EvalPrompts.Select(Words))}]\n");
    }

    internal TinyModel Tiny { get; }
    internal Random Random { get; }
    internal int[][] EvalPrompts { get; }
    internal string this[string name] => _folder[name];

    internal static double[] Loadings => [0.6, 0.7, -0.4];

    internal static ScoreAxis Axis => new(Loadings, "the axis of a test");

    internal AnalysisSession Open() => AnalysisSession.Open(WordWorld.Exact(_folder));

    /// <summary>Runs an analysis in a session of its own and counts what had to be measured.</summary>
    internal async Task<(Findings Findings, int Measured)> Run(IAnalysis analysis)
    {
        using AnalysisSession session = Open();
        int measured = 0;
        Findings findings = await session.RunAsync(analysis, outcome => measured += outcome.FromStore ? 0 : 1);
        return (findings, measured);
    }

    internal static string Words(int[] tokens) => string.Join(' ', tokens.Select(TinyModel.Word));

    /// <summary>A question as a prompt.</summary>
    internal static int[] Prompt(int[] question) => [Bos, User, .. question, End, Assistant];

    /// <summary>The greedy continuation, by the definition.</summary>
    internal int[] Greedy(int[] prompt, int most)
    {
        var answer = new List<int>();
        while (answer.Count < most)
        {
            double[] logits = _forward.Run([.. prompt, .. answer]).Logits[^1];
            int best = Array.IndexOf(logits, logits.Max());
            if (best == End) break;
            answer.Add(best);
        }

        return [.. answer];
    }

    /// <summary>Hidden states of tokens from one on, at a layer.</summary>
    internal double[][] States(int[] tokens, int from, int layer) => _forward.Run(tokens).Hidden[layer][from..];

    /// <summary>-log p of a token of a sequence, from one on, mean.</summary>
    internal double Surprise(int[] tokens, int from)
    {
        double[][] logits = _forward.Run(tokens).Logits;
        return Enumerable.Range(from, tokens.Length - from).Average(t => Math.Log(logits[t - 1].Sum(l => Math.Exp(l - logits[t - 1].Max()))) + logits[t - 1].Max() - logits[t - 1][tokens[t]]);
    }

    /// <summary>n0 at a layer.</summary>
    internal double N0(int layer) => EvalPrompts.Average(p => Math.Sqrt(States(Prompt(p), Prompt(p).Length - 1, layer)[0].Sum(v => v * v)));

    /// <summary>Projections of a state on the directions of a layer.</summary>
    internal static double[] Project(AnalysisContext context, double[] state) =>
        [.. Enumerable.Range(0, 3).Select(k => context.Directions.Direction(context.Layer, k).ToArray().Zip(state, (v, h) => v * h).Sum())];

    internal static double[] Mean(double[][] rows) => [.. Enumerable.Range(0, rows[0].Length).Select(d => rows.Average(r => r[d]))];

    internal static string Id(int i) => i.ToString("000", CultureInfo.InvariantCulture);

    public void Dispose() => _folder.Dispose();
}
