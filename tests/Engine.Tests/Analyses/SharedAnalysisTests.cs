using System.Text.Json.Nodes;
using EmScan.Engine.Analyses;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>Shards of an analysis whose second stage is planned from the results of the first.</summary>
public sealed class SharedAnalysisTests : IDisposable
{
    private readonly WordWorld _world = new(new TinyModel(41), traits: 1, questions: 2, evaluation: 2);
    private readonly AdapterSource[] _adapters;

    public SharedAnalysisTests() =>
        _adapters = [.. Enumerable.Range(0, 5).Select(i => _world.Write(new TinyAdapter(_world.Tiny, 42 + i), $"adapter_{i}"))];

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_after_the_other_or_at_the_same_time_they_measure_what_one_process_measures(bool together)
    {
        // One adapter cannot be read: every shard comes to know it, and the merge says what one process says.
        File.WriteAllText(Path.Combine(_adapters[1].Path, "adapter_model.safetensors"), "damaged");
        Findings one;
        using (AnalysisSession session = AnalysisSession.Open(Request("one"))) one = await session.RunAsync(new Strongest(_adapters));
        Assert.Equal("1", one.Data["failed"]!.ToJsonString());

        Task<(int All, int Own, int Failed)>[] shards = [.. Enumerable.Range(0, 3).Select(i => together ? Task.Run(() => Share(i)) : Task.FromResult(Share(i).GetAwaiter().GetResult()))];
        (int All, int Own, int Failed)[] done = await Task.WhenAll(shards);
        Assert.All(done, d => Assert.Equal(6, d.All)); // five adapters, and the strongest once more, at half its weight
        Assert.Equal(6, done.Sum(d => d.Own));
        Assert.Contains(done, d => d.Failed == 1);

        using AnalysisSession merge = AnalysisSession.Open(Request("out") with { Merged = ShardRecords.Read(_world["out"], "toy") });
        Findings merged = await merge.RunAsync(new Strongest(_adapters));
        Assert.Equal(one.Data.ToJsonString(), merged.Data.ToJsonString());
        Assert.Equal((one.Header!.Device, one.Header.Threads, one.Header.NumericMode, one.Header.Directions), (merged.Header!.Device, merged.Header.Threads, merged.Header.NumericMode, merged.Header.Directions));
    }

    [Fact]
    public async Task A_merge_says_what_is_missing()
    {
        await Share(0, again: false);
        using AnalysisSession merge = AnalysisSession.Open(Request("out") with { Merged = ShardRecords.Read(_world["out"], "toy") });
        ShardsMissingException missing = await Assert.ThrowsAsync<ShardsMissingException>(() => merge.RunAsync(new Strongest(_adapters, again: false)));
        Assert.Equal([1, 2], missing.Shards);
        Assert.Contains("it has not begun", missing.Message);
    }

    private async Task<(int All, int Own, int Failed)> Share(int index, bool again = true)
    {
        using AnalysisSession session = AnalysisSession.Open(Request("out") with { Shared = new ShardWork(new Shard(index, 3), "toy", ["toy"], ["toy"], []) });
        return await session.RunShareAsync(new Strongest(_adapters, again));
    }

    private ScanRequest Request(string output) => _world.Request with { OutputFolder = _world[output] };

    /// <summary>Measures every adapter, and then the one that projects farthest once more, at half its weight.</summary>
    private sealed class Strongest(IReadOnlyList<AdapterSource> adapters, bool again = true) : IAnalysis
    {
        public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
        {
            yield return adapters.Select(adapter => Of(context, Variant.Of(adapter)));
            if (again) yield return [Of(context, Variant.Of(Farthest(context), 0.5))];
        }

        public Findings Conclude(AnalysisContext context) => new()
        {
            Header = context.Header,
            Conclusion = "",
            Data = new JsonObject
            {
                ["farthest"] = Farthest(context).Path,
                ["half"] = context.Results[Of(context, Variant.Of(Farthest(context), 0.5))]["projections"][0],
                ["failed"] = adapters.Count(adapter => context.Results.Find(Of(context, Variant.Of(adapter))) == null),
            },
        };

        private AdapterSource Farthest(AnalysisContext context) =>
            adapters.MaxBy(adapter => context.Results.Find(Of(context, Variant.Of(adapter)))?["projections"].Sum(Math.Abs) ?? 0)!;

        private static Cell Of(AnalysisContext context, Variant variant) =>
            new(variant, context.EvaluationPrompts, context.Layer, new ProjectionReducer(context.Directions.Direction(context.Layer), context.Directions.Traits.Count));
    }
}
