using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>Reference/runs.json: what numpy and scipy (Reference/runs.py) make of seeded inputs, in float64.</summary>
internal static class RunReference
{
    internal static JsonElement Root { get; } = JsonDocument.Parse(File.ReadAllText(Repository.File("tests/Engine.Tests/Analyses/Reference/runs.json"))).RootElement;

    internal static double Number(this JsonElement element, string key) => element.GetProperty(key).GetDouble();

    internal static double[] Vector(this JsonElement element) => [.. element.EnumerateArray().Select(v => v.GetDouble())];

    internal static double[] Vector(this JsonElement element, string key) => element.GetProperty(key).Vector();

    internal static double[][] Rows(this JsonElement element, string key) => [.. element.GetProperty(key).EnumerateArray().Select(row => row.Vector())];

    internal static string[] Texts(this JsonElement element, string key) => [.. element.GetProperty(key).EnumerateArray().Select(v => v.ToString())];
}
