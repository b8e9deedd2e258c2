using System.Diagnostics;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>Passes hidden states on and takes the time that this needs.</summary>
internal sealed class TimedSink(IHiddenStateSink sink) : IHiddenStateSink
{
    private long _ticks;

    /// <summary>Time spent in the sink since the last call of this.</summary>
    internal TimeSpan TakeTime()
    {
        var time = TimeSpan.FromSeconds((double)_ticks / Stopwatch.Frequency);
        _ticks = 0;
        return time;
    }

    public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
    {
        long start = Stopwatch.GetTimestamp();
        sink.Accept(promptIndex, layer, firstPosition, states);
        _ticks += Stopwatch.GetTimestamp() - start;
    }
}
