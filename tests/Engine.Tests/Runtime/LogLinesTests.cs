using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using LLama.Native;
using Microsoft.Extensions.Logging;

namespace EmScan.Engine.Tests.Runtime;

public sealed class LogLinesTests
{
    [Fact]
    public void Pieces_become_lines_with_the_level_of_their_first_piece()
    {
        var seen = new Recorder();
        var lines = new LogLines(seen);
        lines.Add(LLamaLogLevel.Warning, "half ");
        lines.Add(LLamaLogLevel.Continue, "of it\n");
        lines.Add(LLamaLogLevel.Continue, "\n");
        lines.Add(LLamaLogLevel.Error, "an error\n");
        lines.Add(LLamaLogLevel.Info, "never ended");
        Assert.Equal([(LogLevel.Warning, "half of it"), (LogLevel.Error, "an error")], seen.Lines);
    }

    [Fact]
    public void A_model_that_is_loaded_says_so_in_the_hosts_log()
    {
        var seen = new Recorder();
        using (GgufModel.Load(Repository.File("models/demo/model.gguf"), new ModelOptions { GpuLayers = 0, LoggerFactory = seen })) { }

        Assert.Equal("EmScan.Llama", seen.Category);
        lock (seen.Lines) Assert.Contains(seen.Lines, line => line.Text.Contains("llama_model_loader", StringComparison.Ordinal));
    }

    private sealed class Recorder : ILogger, ILoggerFactory
    {
        internal List<(LogLevel Level, string Text)> Lines { get; } = [];

        internal string? Category { get; private set; }

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (Lines) Lines.Add((logLevel, formatter(state, exception)));
        }

        public bool IsEnabled(LogLevel logLevel) => true;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public ILogger CreateLogger(string categoryName)
        {
            Category = categoryName;
            return this;
        }

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public void Dispose() { }
    }
}
