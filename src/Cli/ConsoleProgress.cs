using System.Diagnostics;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary>
/// Stage, count, rate and time left on stderr: one line that is rewritten in place on a terminal, and elsewhere (files, pipes, TERM=dumb)
/// a plain line every 30 seconds.
/// </summary>
internal sealed class ConsoleProgress : IProgress<ScanProgress>, IDisposable
{
    /// <summary>Seconds between plain lines; 0 for none.</summary>
    internal const string IntervalVariable = "EMSCAN_PROGRESS";

    private const double DefaultInterval = 30;

    private readonly bool _rewrites = Terminal.CanRewriteErrors;
    private readonly Lock _gate = new();
    private readonly Timer? _timer;
    private string _stage = "";
    private long _stageStart;
    private int _doneAtStart;
    private int _done;
    private int _total;
    private bool _shown;

    internal ConsoleProgress()
    {
        double seconds = double.TryParse(Environment.GetEnvironmentVariable(IntervalVariable), CultureInfo.InvariantCulture, out double given) && given is >= 0 and <= 1e6 ? given : DefaultInterval;
        if (!_rewrites && seconds > 0) _timer = new Timer(_ => Tell(), null, TimeSpan.FromSeconds(seconds), TimeSpan.FromSeconds(seconds));
    }

    public void Report(ScanProgress value) => Start(value.Stage, value.Done, value.Total);

    internal void Start(string stage, int done, int total)
    {
        lock (_gate)
        {
            if (stage != _stage)
            {
                _stage = stage;
                _stageStart = Stopwatch.GetTimestamp();
                _doneAtStart = done;
            }

            (_done, _total) = (done, total);
            if (!_rewrites) return;
            string text = Text();
            Runner.WriteError($"\r\x1b[K{(text.Length < Terminal.ErrorColumns ? text : text[..Math.Max(0, Terminal.ErrorColumns - 1)])}");
            _shown = true;
        }
    }

    internal void Clear()
    {
        lock (_gate)
        {
            if (!_shown) return;
            Runner.WriteError("\r\x1b[K");
            _shown = false;
        }
    }

    private void Tell()
    {
        lock (_gate)
        {
            if (_stage.Length > 0) Runner.WriteError($"emscan: progress: {Text()}{Environment.NewLine}");
        }
    }

    private string Text()
    {
        string stage = Printable.Of(_stage);
        if (_total == 0) return $"{stage} ...";
        double seconds = Stopwatch.GetElapsedTime(_stageStart).TotalSeconds;
        double rate = seconds > 0 ? (_done - _doneAtStart) / seconds : 0;
        string speed = rate > 0 ? string.Create(CultureInfo.InvariantCulture, $", {rate * 60:0} per minute, {Left((_total - _done) / rate)} left") : "";
        return $"{stage} {_done} of {_total}{speed}";
    }

    private static string Left(double seconds) => seconds < 90
        ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{seconds / 60:0} min");

    public void Dispose()
    {
        _timer?.Dispose();
        Clear();
    }
}
