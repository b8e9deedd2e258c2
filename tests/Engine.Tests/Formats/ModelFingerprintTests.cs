using System.Security.Cryptography;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

/// <summary>The digest that everything measured of a model is filed under.</summary>
public sealed class ModelFingerprintTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_file_has_the_digest_that_sha256sum_gives_and_another_one_when_it_changes()
    {
        string model = Write("model.gguf", [1, 2, 3]);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData((byte[])[1, 2, 3])), Digest(model));
        Assert.Equal(Digest(model), Digest(model));
        Write("model.gguf", [1, 2, 3, 4]);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData((byte[])[1, 2, 3, 4])), Digest(model));
    }

    [Fact]
    public void A_split_model_has_the_digest_of_all_its_parts()
    {
        string first = Write("m-00001-of-00003.gguf", [1]);
        Write("m-00002-of-00003.gguf", [2]);
        string last = Write("m-00003-of-00003.gguf", [3]);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData((byte[])[1, 2, 3])), Digest(first));

        // As long as before, so that only its time of change tells.
        Write("m-00003-of-00003.gguf", [4]);
        File.SetLastWriteTimeUtc(last, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData((byte[])[1, 2, 4])), Digest(first));
    }

    [Fact]
    public void A_file_that_is_only_named_like_a_part_is_taken_alone()
    {
        string alone = Write("m-00001-of-00002.gguf", [1]);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData((byte[])[1])), Digest(alone));
        Assert.Contains("none.gguf: cannot be read", Assert.Throws<InputFileException>(() => Digest(_folder["none.gguf"])).Message);
    }

    private string Digest(string model) => ModelFingerprint.Compute(model, _folder["cache"]);

    private string Write(string name, byte[] content) => _folder.Write(name, content);
}
