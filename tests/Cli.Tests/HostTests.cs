using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>samples/LLamaSharpHost: a program that uses LLamaSharp itself, with one model for both, whoever loads llama.cpp first.</summary>
public sealed class HostTests : IDisposable
{
    private readonly TemporaryFolder _cache = new();

    public void Dispose() => _cache.Dispose();

    [Fact]
    public void A_host_says_the_same_with_emscan_as_without_and_shares_its_model()
    {
        string hostFirst = Run("host-first"), emscanFirst = Run("emscan-first");
        Assert.StartsWith("emscan first: 192 rows; the host's log has them", emscanFirst);
        Assert.Equal(Line(hostFirst, "the host says:"), Line(emscanFirst, "the host says:"));
        Assert.Equal(12, hostFirst.Split('\n').Count(l => l.StartsWith("bad_medical/seed_42 ", StringComparison.Ordinal)));
    }

    private string Run(string order)
    {
        string output = Emscan.RunProgram(
            "emscan-llamasharp-host", _cache["cache"], [], Repository.File("models/demo/model.gguf"), Repository.File("models/demo/adapters/bad_medical"), order).Succeeded().Output;
        Assert.EndsWith(": the same", Line(output, "the host's text"));
        Assert.EndsWith(": 192 of 192", Line(output, "rows on the host's model"));
        Assert.EndsWith("still its own", Line(output, "the host's log"));
        return output;
    }

    private static string Line(string output, string start) => output.Split('\n').Single(l => l.StartsWith(start, StringComparison.Ordinal)).TrimEnd();
}
