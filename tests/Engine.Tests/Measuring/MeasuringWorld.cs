using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using TinyModel = EmScan.Engine.Tests.Support.TinyModel;

namespace EmScan.Engine.Tests.Measuring;

/// <summary>A tiny model with two adapters, measured exactly; its float64 forward pass is the reference.</summary>
internal sealed class MeasuringWorld : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly GgufModel _model;
    private readonly LlamaActivationSource _source;
    private int _stores;

    internal MeasuringWorld()
    {
        // qwen2 keeps the order of rows, so that a weight in the GGUF file is the weight of the reference.
        Tiny = new TinyModel(11, "qwen2");
        Tiny.WriteGguf(_folder["model.gguf"]);
        _model = GgufModel.Load(_folder["model.gguf"]);
        _source = new LlamaActivationSource(_model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = 64 });
        FirstReference = new TinyAdapter(Tiny, 21);
        SecondReference = new TinyAdapter(Tiny, 22, rank: 3);
        First = new AdapterSource(FirstReference.Write(_folder["first"]));
        Second = new AdapterSource(SecondReference.Write(_folder["second"]));
        var random = new Random(4);
        Sequences = [.. Enumerable.Range(0, 9).Select(i => (int[])[1, .. Tiny.RandomTokens(random, 3 + (2 * i))])];
        Directions = [.. Enumerable.Range(0, 2 * Tiny.Hidden).Select(_ => (float)TinyModel.Gaussian(random))];
    }

    internal TinyModel Tiny { get; }
    internal TinyAdapter FirstReference { get; }
    internal TinyAdapter SecondReference { get; }
    internal AdapterSource First { get; }
    internal AdapterSource Second { get; }
    internal int[][] Sequences { get; }
    internal float[] Directions { get; }
    internal GgufFile File => _model.File;
    internal ModelIdentity Identity { get; } = new(new string('a', 64), "exact, CPU");

    /// <summary>Measures cells in a store of their own.</summary>
    internal CellResult[] Measure(IReadOnlyList<Cell> cells, MeasuringLimits? limits = null)
    {
        using CellStore store = CellStore.Open(_folder[$"store-{_stores++}"]);
        var engine = new CellEngine([_source], Identity, _model.File, store, limits ?? MeasuringLimits.Default);
        var results = new List<CellResult>();
        foreach (CellOutcome outcome in engine.MeasureAsync(cells).ToBlockingEnumerable())
        {
            Assert.Null(outcome.Error);
            results.AddRange(outcome.Results!);
        }

        return [.. results];
    }

    /// <summary>The rows of a set in the reference: of every wanted position, prompt by prompt.</summary>
    internal static IEnumerable<double[]> Rows(TinyForward forward, PromptSet prompts, int layer) =>
        prompts.Prompts.SelectMany(prompt => forward.Run(prompt.Tokens).Hidden[layer] is var states ? prompt.Positions.Select(p => states[p]) : []);

    public void Dispose()
    {
        _source.Dispose();
        _model.Dispose();
        _folder.Dispose();
    }
}
