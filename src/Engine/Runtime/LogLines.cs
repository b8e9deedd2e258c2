using System.Text;
using LLama.Native;
using Microsoft.Extensions.Logging;

namespace EmScan.Engine.Runtime;

/// <summary>Makes lines of llama.cpp's log, which comes in pieces, for a logger. Thread safe: it logs from any thread.</summary>
internal sealed class LogLines(ILogger logger)
{
    private readonly Lock _gate = new();
    private readonly StringBuilder _line = new();
    private LogLevel _level = LogLevel.Information;

    /// <summary>Adds a piece; what ends with a line break is logged.</summary>
    internal void Add(LLamaLogLevel level, string text)
    {
        lock (_gate)
        {
            // A piece that goes on with a line has no level of its own.
            if (level != LLamaLogLevel.Continue) _level = Level(level);
            _line.Append(text);
            if (!text.EndsWith('\n')) return;
            string line = _line.ToString().TrimEnd();
            _line.Clear();
            if (line.Length > 0) logger.Log(_level, default, line, null, static (text, _) => text);
        }
    }

    private static LogLevel Level(LLamaLogLevel level) => level switch
    {
        LLamaLogLevel.Debug => LogLevel.Debug,
        LLamaLogLevel.Warning => LogLevel.Warning,
        LLamaLogLevel.Error => LogLevel.Error,
        _ => LogLevel.Information,
    };
}
