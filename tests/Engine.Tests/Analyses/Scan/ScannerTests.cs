using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses.Scan;

/// <summary>The scan's stages run side by side; what comes out must be as if one thread did everything in order.</summary>
public sealed class ScannerTests : IDisposable
{
    private const int Layer = 2;

    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _tiny = new(7);
    private readonly GgufModel _model;
    private readonly ScanDefinition _definition;
    private readonly List<LlamaActivationSource> _sources = [];

    public ScannerTests()
    {
        _tiny.WriteGguf(_folder["model.gguf"]);
        _model = GgufModel.Load(_folder["model.gguf"]);
        var random = new Random(3);
        float[] directions = [.. Enumerable.Range(0, 3 * _tiny.Hidden).Select(_ => (float)TinyModel.Gaussian(random))];
        _definition = new ScanDefinition(
            new string('a', 64), Layer, ["one", "two", "three"], directions, PromptSets.SystemTimesQuestion(random, 3, 8, _tiny.Vocabulary), "exact, CPU");
    }

    public void Dispose()
    {
        foreach (LlamaActivationSource source in _sources) source.Dispose();
        _model.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Every_checkpoint_gives_what_it_gives_alone_in_the_order_asked_for(int contexts)
    {
        Checkpoint[] checkpoints = Checkpoints(20);
        Directory.Delete(checkpoints[4].Path, recursive: true);
        Overwrite(checkpoints[9], "damage");
        CopyAdapter(checkpoints[6], checkpoints[7]);
        CopyAdapter(checkpoints[0], checkpoints[15]);

        using CellStore store = Store("first");
        List<ScanPoint> points = await Collect(Scanner(contexts, store).ScanAsync(checkpoints));

        Assert.Equal(checkpoints, points.Select(p => p.Checkpoint));
        Assert.Equal([4, 9], points.Index().Where(p => p.Item is FailedPoint).Select(p => p.Index));
        Assert.All(points.OfType<FailedPoint>(), p => Assert.Contains(p.Checkpoint.Path, p.Error));

        // Equal content is measured once.
        Assert.Equal([7, 15], points.Index().Where(p => p.Item is MeasuredPoint { FromRecord: true }).Select(p => p.Index));
        Assert.Equal(1 + 20 - 4, store.Count);
        LlamaActivationSource alone = Source();
        foreach (ScanPoint point in points.OfType<MeasuredPoint>())
        {
            using ILoadedAdapter adapter = alone.LoadAdapter(point.Checkpoint.Path);
            alone.SetAdapters([new WeightedAdapter(adapter, 1)]);
            double[] expected = Projections(alone);
            Assert.True(store.TryGet(Key(Variant.Of(new AdapterSource(point.Checkpoint.Path))), out CellResult? result));
            var measured = Measurement.From(result);
            double[] actual = measured.MeanProjections(3);
            for (int k = 0; k < 3; k++) Assert.Equal(expected[k], actual[k], 1e-5 * measured.MeanNorm * Math.Sqrt(_tiny.Hidden));
            alone.SetAdapters([]);
        }

        // A second pass finds all of it in the store, and says the same.
        List<ScanPoint> again = await Collect(Scanner(contexts, store).ScanAsync(checkpoints));
        Assert.All(again.OfType<MeasuredPoint>(), p => Assert.True(p.FromRecord));
        Assert.Equal(points.Select(Magnitude), again.Select(Magnitude));
        static double? Magnitude(ScanPoint point) => (point as MeasuredPoint)?.Displacement.Magnitude;
    }

    [Fact]
    public async Task Two_contexts_give_bit_for_bit_what_one_gives()
    {
        Checkpoint[] checkpoints = Checkpoints(12);
        using CellStore one = Store("one"), two = Store("two");
        await Collect(Scanner(1, one).ScanAsync(checkpoints));
        await Collect(Scanner(2, two).ScanAsync(checkpoints));
        foreach (Variant variant in checkpoints.Select(c => Variant.Of(new AdapterSource(c.Path))).Append(Variant.Base))
        {
            Assert.True(one.TryGet(Key(variant), out CellResult? expected) & two.TryGet(Key(variant), out CellResult? actual));
            Assert.True(expected!.SameNumbers(actual!));
        }
    }

    [Fact]
    public async Task The_store_has_the_order_of_the_checkpoints()
    {
        Checkpoint[] checkpoints = Checkpoints(30);
        using (CellStore store = Store("ordered")) await Collect(Scanner(3, store).ScanAsync(checkpoints));
        var keys = new List<CellKey>();
        using (var handle = File.OpenHandle(Directory.GetFiles(_folder["ordered"], "*.emscan").Single())) CellFile.Scan(handle, 0, (frame, _) => keys.Add(frame.Key));
        Assert.Equal(checkpoints.Select(c => Key(Variant.Of(new AdapterSource(c.Path)))).Prepend(Key(Variant.Base)), keys);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task A_cancelled_scan_has_on_record_what_it_gave_and_goes_on_from_there(int contexts)
    {
        Checkpoint[] checkpoints = Checkpoints(25);
        using CellStore store = Store("cancelled");
        using var cancellation = new CancellationTokenSource();
        Scanner scanner = Scanner(contexts, store);
        var points = new List<ScanPoint>();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (ScanPoint point in scanner.ScanAsync(checkpoints, cancellation.Token))
            {
                points.Add(point);
                if (points.Count == 6) await cancellation.CancelAsync();
            }
        });
        Assert.InRange(points.Count, 6, 24);
        Assert.All(points, p => Assert.True(store.Contains(Key(Variant.Of(new AdapterSource(p.Checkpoint.Path))))));
        List<ScanPoint> rest = await Collect(scanner.ScanAsync(checkpoints));
        Assert.Equal(checkpoints, rest.Select(p => p.Checkpoint));
        Assert.InRange(rest.Count(p => p is MeasuredPoint { FromRecord: true }), points.Count, 24);
    }

    [Fact]
    public async Task A_caller_that_leaves_early_finds_the_sources_idle_and_without_an_adapter()
    {
        Checkpoint[] checkpoints = Checkpoints(20);
        using CellStore store = Store("left");
        Scanner scanner = Scanner(2, store);
        await foreach (ScanPoint point in scanner.ScanAsync(checkpoints))
        {
            if (point.Checkpoint == checkpoints[2]) break;
        }

        double[] expected = Projections(Source());
        foreach (LlamaActivationSource source in _sources[..2]) Assert.Equal(expected, Projections(source));
    }

    [Fact]
    public async Task A_failure_while_checkpoints_are_listed_comes_behind_the_points_before_it()
    {
        Checkpoint[] checkpoints = Checkpoints(5);
        using CellStore store = Store("failing");
        var points = new List<ScanPoint>();
        await Assert.ThrowsAsync<InvalidTimeZoneException>(async () =>
        {
            await foreach (ScanPoint point in Scanner(2, store).ScanAsync(Failing())) points.Add(point);
        });
        Assert.Equal(checkpoints, points.Select(p => p.Checkpoint));

        IEnumerable<Checkpoint> Failing()
        {
            foreach (Checkpoint checkpoint in checkpoints) yield return checkpoint;
            throw new InvalidTimeZoneException();
        }
    }

    [Fact]
    public async Task A_checkpoint_that_is_rotated_away_or_saved_anew_is_a_counted_miss()
    {
        Checkpoint[] checkpoints = Checkpoints(4);
        Directory.Delete(checkpoints[1].Path, recursive: true);
        Overwrite(checkpoints[2], "half");
        using CellStore store = Store("rotated");
        List<ScanPoint> points = await Collect(Scanner(1, store).ScanAsync(checkpoints));
        Assert.Equal([null, LeftOutReason.Gone, LeftOutReason.Incomplete, null], points.Select(p => (p as FailedPoint)?.Skipped?.Reason));
        Assert.Equal([true, false, false, true], points.Select(p => p is MeasuredPoint));
        Assert.Contains("disappeared", Assert.IsType<FailedPoint>(points[1]).Error);
    }

    private Checkpoint[] Checkpoints(int count) =>
        [.. Enumerable.Range(1, count).Select(i => new Checkpoint("run", CheckpointStep.At(i), new TinyAdapter(_tiny, 100 + i).Write(_folder[$"run/checkpoint-{i}"])))];

    private static void Overwrite(Checkpoint checkpoint, string text) => File.WriteAllText(Path.Combine(checkpoint.Path, "adapter_model.safetensors"), text);

    private static void CopyAdapter(Checkpoint from, Checkpoint to)
    {
        foreach (string file in Directory.GetFiles(from.Path)) File.Copy(file, Path.Combine(to.Path, Path.GetFileName(file)), overwrite: true);
    }

    private CellStore Store(string name) => CellStore.Open(_folder[name]);

    private CellKey Key(Variant variant) => new Cell(
        variant, new PromptSet("prompts", _definition.Prompts), Layer, new ProjectionReducer(_definition.Directions, 3)).Key(_definition.Model);

    private LlamaActivationSource Source()
    {
        var source = new LlamaActivationSource(_model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = 64 });
        _sources.Add(source);
        return source;
    }

    private Scanner Scanner(int contexts, CellStore store) => new([.. Enumerable.Range(0, contexts).Select(_ => Source())], _definition, store);

    // The mean projections, one prompt at a time and by hand.
    private double[] Projections(LlamaActivationSource source)
    {
        double[] means = new double[3];
        foreach (CapturePrompt prompt in _definition.Prompts)
        {
            var rows = new CollectingSink(_tiny.Hidden);
            source.Capture([prompt], [Layer], rows);
            float[] state = rows.Rows.Values.Single();
            for (int k = 0; k < 3; k++)
            {
                for (int i = 0; i < state.Length; i++) means[k] += (double)state[i] * _definition.Directions[(k * state.Length) + i] / _definition.Prompts.Count;
            }
        }

        return means;
    }

    private static async Task<List<ScanPoint>> Collect(IAsyncEnumerable<ScanPoint> points)
    {
        var list = new List<ScanPoint>();
        await foreach (ScanPoint point in points) list.Add(point);
        return list;
    }
}
