using ArchUnitNET.Domain;
using ArchUnitNET.Loader;
using EmScan.Engine.Runtime;
using EmScan.Kernels;
using EmScan.Kernels.Ilgpu;

namespace EmScan.Engine.Tests.Architecture;

/// <summary>The rooms of the engine rest on one another in one direction only: docs/architecture.md, held by what is compiled.</summary>
public sealed class ArrowTests
{
    private const string Root = "EmScan.Engine";
    private const string Contracts = "Reports' contracts";

    /// <summary>From the top down. A room may use the rooms of lower lines, not those of its own line.</summary>
    private static readonly string[][] Lines =
    [
        ["Running"],
        ["Reports"],
        ["Analyses"],
        ["Verdicts"],
        ["Drift", Contracts],
        ["Measuring"],
        ["Traits", "Adapters"],
        ["Runtime"],
        ["Formats", "Chat", "Numerics"],
        [Root],
    ];

    /// <summary>What an analysis hands to the reports; the reports know these and no analysis.</summary>
    private static readonly string[] ContractTypes =
    [
        "Findings", "FindingsColumn", "FindingsCurve", "FindingsGrid", "FindingsHeader", "FindingsMark", "FindingsTable", "FindingsThreshold",
        "FindingsVerdict", "ScalarRow",
    ];

    /// <summary>Arrows that point up today, "user > used", each with its reason. The list can only become shorter: an entry that is no more is an error.</summary>
    private static readonly Dictionary<string, string> Exceptions = [];

    private static readonly ArchUnitNET.Domain.Architecture Engine = new ArchLoader().LoadAssemblies(typeof(GgufModel).Assembly).Build();

    [Fact]
    public void Every_room_has_a_line() =>
        Assert.Empty(Engine.Types.Where(OurOwn).Select(Room).Distinct().Except(Lines.SelectMany(line => line)));

    [Fact]
    public void Arrows_point_down()
    {
        string[] upward = [.. Upward().Except(Exceptions.Keys)];
        Assert.True(upward.Length == 0, $"Arrows that point up, or across:\n{string.Join('\n', upward)}");
    }

    [Fact]
    public void Exceptions_still_exist() => Assert.Empty(Exceptions.Keys.Except(Upward()));

    /// <summary>The lines below the engine's: it rests on the kernels alone, they on nothing of ours, and devices are for hosts to bring.</summary>
    [Fact]
    public void Projects_rest_on_one_another_as_the_picture_shows()
    {
        Assert.Equal(["EmScan.Kernels"], Ours(typeof(GgufModel).Assembly));
        Assert.Empty(Ours(typeof(KernelSet).Assembly));
        Assert.Equal(["EmScan.Kernels"], Ours(typeof(IlgpuDevices).Assembly));

        static IEnumerable<string> Ours(System.Reflection.Assembly assembly) =>
            assembly.GetReferencedAssemblies().Select(name => name.Name!).Where(name => name.StartsWith("EmScan", StringComparison.Ordinal));
    }

    [Fact]
    public void Something_was_looked_at()
    {
        // A loader that finds no dependencies would hold everything.
        Assert.Contains(Dependencies(), d => d.From.Name == "ScanSession" && d.To.Name == "LoadedModel");
        Assert.True(Dependencies().Count() > 500);
    }

    private static IEnumerable<string> Upward() => Dependencies()
        .Where(d => Room(d.From) != Room(d.To) && Line(Room(d.To)) <= Line(Room(d.From)))
        .Select(d => $"{Room(d.From)}.{Outer(d.From)} > {Room(d.To)}.{Outer(d.To)}").Distinct().Order(StringComparer.Ordinal);

    private static IEnumerable<(IType From, IType To)> Dependencies() =>
        Engine.Types.Where(OurOwn).SelectMany(from => from.Dependencies.Select(d => (from, d.Target)).Where(d => d.Target is not GenericParameter && OurOwn(d.Target)));

    private static bool OurOwn(IType type) =>
        type.Namespace?.FullName is Root || type.Namespace?.FullName.StartsWith(Root + ".", StringComparison.Ordinal) == true;

    private static int Line(string room) => Array.FindIndex(Lines, line => line.Contains(room));

    private static string Room(IType type)
    {
        string[] names = type.Namespace.FullName.Split('.');
        string room = names.Length > 2 ? names[2] : Root;
        return room == "Reports" && ContractTypes.Contains(Outer(type)) ? Contracts : room;
    }

    /// <summary>The type of a file, for the types nested in it and those that the compiler makes for its lambdas.</summary>
    private static string Outer(IType type) => type.FullName[(type.Namespace.FullName.Length + 1)..].Split('+', '/', '`')[0];
}
