using System.Reflection;
using System.Text.RegularExpressions;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace EmScan.Mutation;

/// <summary>The tests of an area, found once and run any number of times in this process; a run ends with its first failure.</summary>
internal sealed class TestRun : IDisposable
{
    // They start processes of their own, which know nothing of what is switched on here.
    private static readonly string[] Elsewhere = ["AllocationTests", "NarrowerProcessorTests", "ShippedTextsTests"];

    private static readonly string[] Sources = [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "../../../.."), "*Tests.cs", SearchOption.AllDirectories).Select(File.ReadAllText)];

    private readonly XunitTestFramework _framework = new(new Sink());
    private readonly ITestFrameworkExecutor _executor;
    private readonly List<ITestCase> _cases;
    private readonly Dictionary<string, string> _sources = []; // of each class

    internal TestRun(string area)
    {
        Assembly assembly = Assembly.Load(area == "Kernels" ? "EmScan.Kernels.Tests" : "EmScan.Engine.Tests");
        string space = area == "Kernels" ? "EmScan.Kernels.Tests" : $"EmScan.Engine.Tests.{area}";
        using ITestFrameworkDiscoverer discoverer = _framework.GetDiscoverer(Reflector.Wrap(assembly));
        var found = new Sink();
        discoverer.Find(false, found, new Options());
        found.Done.Wait();
        _cases = [.. found.Cases.Where(c => c.TestMethod.TestClass.Class.Name is var name && name.StartsWith(space, StringComparison.Ordinal) && !Elsewhere.Any(name.EndsWith))];
        _executor = _framework.GetExecutor(assembly.GetName());
    }

    internal int Count => _cases.Count;

    /// <summary>The first test that fails, with its message; null where all pass. Classes that name a type come first: they are who should notice.</summary>
    /// <exception cref="TimeoutException">They do not come to an end.</exception>
    /// <param name="most">How long they may take.</param>
    /// <param name="type">The type; null for none.</param>
    /// <param name="onlyNear">Leaves out classes that do not name it, where there are some that do.</param>
    internal string? FirstFailure(TimeSpan most, string? type = null, bool onlyNear = false)
    {
        ILookup<bool, ITestCase> near = _cases.ToLookup(c => type != null && Regex.IsMatch(SourceOf(c), $@"\b{type}\b"));
        return FirstFailure([.. near[true]], most) ?? (onlyNear && near[true].Any() ? null : FirstFailure([.. near[false]], most));
    }

    private string? FirstFailure(IReadOnlyCollection<ITestCase> cases, TimeSpan most)
    {
        if (cases.Count == 0) return null;
        var sink = new Sink();
        _executor.RunTests(cases, sink, new Options());
        return sink.Done.Wait(most) ? sink.Failure : throw new TimeoutException();
    }

    private string SourceOf(ITestCase test)
    {
        string name = test.TestMethod.TestClass.Class.Name;
        int dot = name.LastIndexOf('.');
        if (!_sources.TryGetValue(name, out string? source))
            _sources.Add(name, source = Sources.FirstOrDefault(text => text.Contains($"namespace {name[..dot]};", StringComparison.Ordinal) && text.Contains($" class {name[(dot + 1)..]}", StringComparison.Ordinal)) ?? "");
        return source;
    }

    public void Dispose()
    {
        _executor.Dispose();
        _framework.Dispose();
    }

    private sealed class Sink : IMessageSink
    {
        internal ManualResetEventSlim Done { get; } = new();

        internal List<ITestCase> Cases { get; } = [];

        internal string? Failure { get; private set; }

        public bool OnMessage(IMessageSinkMessage message)
        {
            if (message is ITestCaseDiscoveryMessage found) Cases.Add(found.TestCase);
            if (message is ITestFailed failed) Failure ??= $"{failed.Test.DisplayName}: {failed.Messages[0].Split('\n')[0]}";
            if (message is IDiscoveryCompleteMessage or ITestAssemblyFinished) Done.Set();
            return Failure == null;
        }
    }

    private sealed class Options : ITestFrameworkDiscoveryOptions, ITestFrameworkExecutionOptions
    {
        private readonly Dictionary<string, object?> _values = new() { ["xunit.execution.DisableParallelization"] = true, ["xunit.execution.SynchronousMessageReporting"] = true };

        public TValue GetValue<TValue>(string name) => _values.TryGetValue(name, out object? value) && value is TValue known ? known : default!;

        public void SetValue<TValue>(string name, TValue value) => _values[name] = value;
    }
}
