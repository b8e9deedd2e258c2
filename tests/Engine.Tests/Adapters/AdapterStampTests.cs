using EmScan.Engine.Adapters;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Adapters;

/// <summary>What tells that an adapter was saved over, removed, or never there.</summary>
public sealed class AdapterStampTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_file_that_grows_is_replaced_or_goes_away_has_another_stamp()
    {
        string path = _folder.Write("a.gguf", [1, 2]);
        var before = AdapterStamp.Of(path);
        Assert.Equal(2, before.WeightsLength);
        Assert.Equal(before, AdapterStamp.Of(path));
        File.SetLastWriteTimeUtc(path, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.NotEqual(before, AdapterStamp.Of(path));
        File.Delete(path);
        Assert.True(AdapterStamp.Of(path).HasLost(before));
    }

    [Fact]
    public void A_link_has_the_stamp_of_what_it_leads_to_and_one_that_leads_nowhere_that_of_nothing()
    {
        string path = _folder.Write("a.gguf", [1, 2]), link = _folder["link.gguf"], loop = _folder["loop.gguf"];
        File.CreateSymbolicLink(link, path);
        File.CreateSymbolicLink(loop, loop);
        Assert.Equal(AdapterStamp.Of(path), AdapterStamp.Of(link));
        Assert.Equal(-1, AdapterStamp.Of(loop).WeightsLength);
        Assert.Equal(AdapterStamp.Of(_folder["none.gguf"]), AdapterStamp.Of(loop));
    }
}
