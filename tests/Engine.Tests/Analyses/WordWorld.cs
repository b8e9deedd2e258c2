using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using TinyModel = EmScan.Engine.Tests.Support.TinyModel;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>A tiny random model on disk and a trait set whose every prompt is one word of it, and how a session opens them: exactly, on one thread.</summary>
internal sealed class WordWorld : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    /// <param name="tiny">The model.</param>
    /// <param name="traits">How many traits, each with two system prompts a pole.</param>
    /// <param name="questions">How many questions.</param>
    /// <param name="evaluation">How many evaluation prompts.</param>
    internal WordWorld(TinyModel tiny, int traits, int questions, int evaluation)
    {
        Tiny = tiny;
        tiny.WriteGguf(_folder["model.gguf"]);
        int next = 7;
        string Words(int count) => string.Join(", ", Take(count).Select(TinyModel.Word));
        string poles = string.Concat(new[] { "honesty", "confidence" }.Take(traits).Select(
            t => $"\n  {t}:\n    positive_system_prompts: [{Words(2)}]\n    negative_system_prompts: [{Words(2)}]"));
        string asked = Words(questions);
        Evaluation = [.. Take(evaluation)];
        File.WriteAllText(_folder["traits.yaml"], $"traits:{poles}\nquestions: [{asked}]\neval_prompts:\n  all: [{string.Join(", ", Evaluation.Select(TinyModel.Word))}]\n");

        IEnumerable<int> Take(int count) => Enumerable.Range((next += count) - count, count);
    }

    internal TinyModel Tiny { get; }

    /// <summary>The evaluation prompts as the model reads them: &lt;|bos|>&lt;|user|>word&lt;|end|>&lt;|assistant|>.</summary>
    internal IEnumerable<int[]> Prompts => Evaluation.Select(word => (int[])[1, 3, word, 5, 4]);

    internal string this[string name] => _folder[name];

    internal ScanRequest Request => Exact(_folder);

    private int[] Evaluation { get; }

    /// <summary>What opens model.gguf and traits.yaml of a folder exactly and on one thread; test machines are busy, and ggml's threads spin.</summary>
    internal static ScanRequest Exact(TemporaryFolder folder) => new()
    {
        Model = folder["model.gguf"],
        TraitsFile = folder["traits.yaml"],
        CacheFolder = folder["cache"],
        Capture = new CaptureOptions { Precise = true, Threads = 1 },
        Parallel = 1,
    };

    /// <summary>Writes an adapter.</summary>
    internal AdapterSource Write(TinyAdapter adapter, string name) => new(adapter.Write(_folder[name]));

    public void Dispose() => _folder.Dispose();
}
