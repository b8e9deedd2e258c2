using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

public sealed class ShardTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("0/1", 0, 1)]
    [InlineData("7/8", 7, 8)]
    [InlineData("auto/8", 3, 8)]
    [InlineData("auto", 3, 16)]
    public void A_shard_is_read(string text, int index, int count) => Assert.Equal(new Shard(index, count), Shard.Parse(text, Array("3", "0", "16")));

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("8/8")]
    [InlineData("-1/8")]
    [InlineData("1/8/2")]
    [InlineData("a/8")]
    [InlineData("1/0")]
    [InlineData("auto/3")]
    [InlineData("auto/0")]
    [InlineData("auto/x")]
    [InlineData("1/99999999")]
    public void Anything_else_is_refused(string text) => Assert.Throws<InvalidSettingException>(() => Shard.Parse(text, Array("3", "0", "16")));

    [Fact]
    public void An_array_that_does_not_begin_at_0_does_not_say_how_many_there_are() =>
        Assert.Throws<InvalidSettingException>(() => Shard.Parse("auto", Array("3", "1", "16")));

    [Fact]
    public void Shares_are_balanced_whatever_the_costs()
    {
        var random = new Random(14);
        foreach (int count in new[] { 1, 2, 7, 100 })
        {
            ShardUnit[] units = [.. Enumerable.Range(0, 2000).Select(i => new ShardUnit($"run_{i}", 1 + Math.Exp(3 * random.NextDouble())))];
            int[] shards = ShardShares.Assign(units, count);
            double[] loads = [.. Enumerable.Range(0, count).Select(s => units.Where((_, u) => shards[u] == s).Sum(u => u.Cost))];
            double mean = units.Sum(u => u.Cost) / count;
            Assert.All(loads, load => Assert.InRange(load, 0, 1.05 * mean + 1e-9));

            // Not by the order in which they are found.
            int[] order = [.. Enumerable.Range(0, units.Length).OrderBy(_ => random.Next())];
            int[] again = ShardShares.Assign([.. order.Select(u => units[u])], count);
            Assert.All(order.Index(), pair => Assert.Equal(shards[pair.Item], again[pair.Index]));
        }
    }

    [Fact]
    public void A_run_more_moves_few_others()
    {
        ShardUnit[] units = [.. Enumerable.Range(0, 1000).Select(i => new ShardUnit($"run_{i}", 12))];
        int[] before = ShardShares.Assign(units, 10), after = ShardShares.Assign([.. units, new ShardUnit("another", 12)], 10);
        Assert.True(before.Zip(after).Count(pair => pair.First != pair.Second) < 50); // by remainders of a counter it would be nearly all
    }

    [Fact]
    public void Fewer_runs_than_shards_still_keep_every_shard_busy()
    {
        // One long run among short ones: it is cut into pieces of consecutive checkpoints.
        CheckpointRun[] runs = [Run("long", 96), Run("short", 4)];
        Dictionary<string, int> shards = ShardShares.OfCheckpoints(runs, 8);
        Assert.Equal(100, shards.Count);
        int[] loads = [.. Enumerable.Range(0, 8).Select(s => shards.Values.Count(v => v == s))];
        Assert.All(loads, load => Assert.InRange(load, 6, 18));
        int changes = runs[0].Checkpoints.Zip(runs[0].Checkpoints.Skip(1)).Count(pair => shards[pair.First.Path] != shards[pair.Second.Path]);
        Assert.InRange(changes, 1, 16);

        // The shares are all of it, each once, and no share has a run with nothing in it.
        var found = new DiscoveredCheckpoints(runs, [], []);
        Assert.All(Enumerable.Range(0, 8).SelectMany(s => ShardShares.Of(found, new Shard(s, 8)).Runs), run => Assert.NotEmpty(run.Checkpoints));
        Assert.Equal(100, Enumerable.Range(0, 8).Sum(s => ShardShares.Of(found, new Shard(s, 8)).Count));

        CheckpointRun Run(string name, int count) => new(name, name, [.. Enumerable.Range(1, count).Select(i => new Checkpoint(name, CheckpointStep.At(i), _folder[$"{name}/checkpoint-{i}"]))]);
    }

    [Fact]
    public async Task Work_is_done_once_and_the_others_wait()
    {
        string target = _folder["deep/result"];
        int done = 0, waited = 0;
        Task<string>[] processes =
        [
            .. Enumerable.Range(0, 6).Select(i => Task.Factory.StartNew(
                () => SharedWork.Once(target, $"process {i}", Find, Make, () => Interlocked.Increment(ref waited)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)),
        ];
        Assert.All(await Task.WhenAll(processes), result => Assert.Equal("made", result));
        Assert.Equal(1, done);
        Assert.True(waited > 0);
        Assert.Equal(["result"], Directory.GetFiles(_folder["deep"]).Select(Path.GetFileName));

        string? Find() => File.Exists(target) ? File.ReadAllText(target) : null;

        void Make()
        {
            Interlocked.Increment(ref done);
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref waited) > 0, TimeSpan.FromMinutes(1)), "Nobody came to wait.");
            SharedWork.Publish(target, path => File.WriteAllText(path, "made"));
        }
    }

    [Fact]
    public void A_claim_of_an_earlier_life_is_taken_over_and_a_failure_is_left_to_the_next()
    {
        string target = _folder["result"];
        File.WriteAllText(target + ".claim", "shard 1/2\n5f\n.....");
        Assert.Throws<InvalidDataException>(() => SharedWork.Once<string>(target, "shard 1/2", () => null, () => throw new InvalidDataException()));
        Assert.False(File.Exists(target + ".claim"));
        Assert.Equal("x", SharedWork.Once(target, "shard 0/2", () => File.Exists(target) ? "x" : null, () => File.WriteAllText(target, "")));
    }

    [Fact]
    public void Of_two_results_the_first_stays()
    {
        SharedWork.Publish(_folder["result"], path => File.WriteAllText(path, "first"));
        SharedWork.Publish(_folder["result"], path => File.WriteAllText(path, "second"));
        Assert.Equal("first", File.ReadAllText(_folder["result"]));
        Assert.Single(Directory.GetFiles(_folder.Root));
    }

    private static Func<string, string?> Array(string id, string min, string count) => name => name switch
    {
        "SLURM_ARRAY_TASK_ID" => id,
        "SLURM_ARRAY_TASK_MIN" => min,
        "SLURM_ARRAY_TASK_COUNT" => count,
        _ => null,
    };
}
