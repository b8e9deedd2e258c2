using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>Feeds what a capture of one prompt set at one layer gives into accumulators of a reducer, one after another: for measuring time.</summary>
/// <param name="reducer">Makes the accumulators.</param>
/// <param name="prompts">The rows.</param>
/// <param name="width">D.</param>
internal sealed class AccumulatorSink(Reducer reducer, PromptSet prompts, int width) : IHiddenStateSink
{
    private Accumulator _accumulator = reducer.Start(prompts, width);

    public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) =>
        _accumulator.Add(new RowBlock(promptIndex, firstPosition, states.Length / width, states, default, default));

    /// <summary>The result so far; the next row is the first of a new one.</summary>
    internal CellResult Take()
    {
        CellResult result = _accumulator.Finish();
        _accumulator = reducer.Start(prompts, width);
        return result;
    }
}
