using EmScan.Engine.Runtime;

namespace EmScan.Engine.Tests.Runtime;

public sealed class ThreadCountTests
{
    [Fact]
    public void Proc_stat_is_read_as_idle_and_total_ticks() =>
        Assert.Equal((450, 810, 2), ThreadCount.ParseTimes(["cpu  100 50 200 400 50 4 5 1 77 7", "cpu0 1 1 1 1 1", "cpu1 1 1 1 1 1", "intr 5"]));

    [Theory]
    [InlineData("")]
    [InlineData("cpu  1 2 3")]
    [InlineData("cpu  a b c d e f")]
    public void Another_form_of_proc_stat_says_nothing(string line) => Assert.Null(ThreadCount.ParseTimes([line]));

    [Fact]
    public void Small_models_get_one_thread_and_large_ones_no_more_than_there_are_processors()
    {
        Assert.Equal(1, ThreadCount.Default(1_000_000));
        Assert.InRange(ThreadCount.Default(8_000_000_000), 1, Environment.ProcessorCount);
    }

    [Theory]
    [InlineData(1, 0, 1024, true, 1, 1)]
    [InlineData(2, 0, 1024, true, 2, 1)]
    [InlineData(8, 0, 1024, true, 2, 4)]
    [InlineData(8, 0, 4096, true, 1, 8)]
    [InlineData(8, 4, 4096, true, 4, 2)]
    [InlineData(1, 3, 1024, true, 3, 1)]
    [InlineData(8, 0, 1024, false, 1, 8)]
    [InlineData(8, 2, 1024, false, 2, 4)]
    public void Threads_are_divided_among_contexts(int threads, int parallel, int hiddenSize, bool onCpu, int contexts, int each) =>
        Assert.Equal((contexts, each), ThreadCount.Split(threads, parallel, 400_000_000, hiddenSize, onCpu));

    [Fact]
    public void Contexts_of_small_models_get_one_thread_each_unless_more_are_asked_for()
    {
        Assert.Equal(1, ThreadCount.Split(0, 0, 1_000_000, 96, onCpu: true).ThreadsEach);
        Assert.Equal((1, 4), ThreadCount.Split(4, 1, 1_000_000, 96, onCpu: true));
        Assert.Equal((4, 1), ThreadCount.Split(4, 0, 1_000_000, 96, onCpu: true));
        Assert.Equal((8, 2), ThreadCount.Split(16, 0, 1_000_000, 96, onCpu: true));
    }
}
