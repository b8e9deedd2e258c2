using System.Runtime.InteropServices;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

public sealed class LlamaArchitecturesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public unsafe void The_list_is_the_one_of_the_library()
    {
        // Exported under its C++ name, which depends on the platform; one is enough to hold the list.
        if (!OperatingSystem.IsLinux()) return;
        nint module = NativeLibrary.Load(LlamaLibrary.Load().Imports.File);
        var name = (delegate* unmanaged<int, byte*>)NativeLibrary.GetExport(module, "_Z13llm_arch_name8llm_arch");
        var known = new List<string>();
        for (int i = 0; LlamaLibrary.Utf8(name(i)) is { } text && text != "unknown"; i++) known.Add(text);
        Assert.Equal(known.Where(text => text != "(unknown)").Order(StringComparer.Ordinal), LlamaArchitectures.Names.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("hy_v4")]
    [InlineData("kimi-k3")]
    [InlineData("qwen4exp")]
    public void Newer_architectures_are_refused_by_name(string architecture)
    {
        new TinyModel(310, architecture).WriteGguf(_folder["model.gguf"]);
        InputFileException e = Assert.Throws<InputFileException>(() => GgufModel.Load(_folder["model.gguf"]));
        Assert.Contains($"its architecture \"{architecture}\" is not known to LLamaSharp 0.30.0", e.Message);
    }
}
