using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Which llama.cpp the program brings, which it takes instead, and what it says where there is none to its liking.</summary>
public sealed class RuntimeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string Shipped => Path.GetDirectoryName(Directory.EnumerateFiles(
        Path.Combine(AppContext.BaseDirectory, "runtimes"), OperatingSystem.IsWindows() ? "llama.dll" : "libllama.*", SearchOption.AllDirectories).Order().First())!;

    [Theory]
    [InlineData("cpu", "LLamaSharp.Backend.Cpu")]
    [InlineData("cuda12", "LLamaSharp.Backend.Cpu LLamaSharp.Backend.Cuda12")]
    [InlineData("vulkan", "LLamaSharp.Backend.Cpu LLamaSharp.Backend.Vulkan")]
    public void One_switch_chooses_the_backend(string backend, string packages)
    {
        JsonElement items = JsonDocument.Parse(Evaluate("-getItem:PackageReference", $"-p:Backend={backend}")).RootElement.GetProperty("Items").GetProperty("PackageReference");
        Assert.Equal(packages.Split(' '), items.EnumerateArray().Select(i => i.GetProperty("Identity").GetString()!).Where(p => p.StartsWith("LLamaSharp.Backend", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("linux-x64", 20)]
    [InlineData("linux-arm64", 5)]
    [InlineData("win-x64", 20)]
    [InlineData("osx-arm64", 7)]
    public void A_platform_gets_its_own_libraries_and_no_others(string platform, int files)
    {
        JsonElement items = JsonDocument.Parse(Evaluate("-t:KeepOwnPlatform", "-getItem:Content", $"-p:RuntimeIdentifier={platform}")).RootElement.GetProperty("Items").GetProperty("Content");
        string[] libraries = [.. items.EnumerateArray().Select(i => i.GetProperty("FullPath").GetString()!.Replace('\\', '/')).Where(p => p.Contains("/LLamaSharpRuntimes/"))];
        Assert.All(libraries, path => Assert.Contains($"/LLamaSharpRuntimes/{platform}/", path));
        Assert.Equal(files, libraries.Length);
    }

    [Fact]
    public void A_build_without_a_platform_brings_the_libraries_of_this_one() =>
        Assert.Single(Directory.EnumerateDirectories(Path.Combine(AppContext.BaseDirectory, "runtimes")));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_folder_of_the_same_commit_is_taken_by_option_and_by_variable(bool byOption)
    {
        string folder = CopyOfLibraries();
        Emscan run = Emscan.RunProgram(
            "emscan", _folder["cache"], byOption ? [] : new() { [LlamaLibrary.DirectoryVariable] = folder }, byOption ? ["inspect", "--llama", folder + "/"] : ["inspect"]).Succeeded();
        Assert.Contains($"llama.cpp {LlamaLibrary.SupportedCommit}", run.Output);
        Assert.Contains(folder, run.Output);
        Assert.Contains("CPU", run.Output);
    }

    [Fact]
    public void A_folder_of_another_commit_is_refused_by_name_and_so_is_what_holds_no_library()
    {
        string folder = CopyOfLibraries();
        string file = Directory.EnumerateFiles(folder, "*ggml-base.*").Single();
        byte[] bytes = File.ReadAllBytes(file);
        int at = bytes.AsSpan().IndexOf("815a2a591\0"u8);
        "deadbeef0"u8.CopyTo(bytes.AsSpan(at));
        File.WriteAllBytes(file, bytes);
        Inspect("--llama", folder).FailedWith(1, Path.GetFileName(file), "commit deadbeef0", "needs llama.cpp of commit 815a2a591");

        string empty = Directory.CreateDirectory(_folder["empty"]).FullName;
        Inspect("--llama", empty).FailedWith(1, empty, "is missing");
        Inspect("--llama", _folder["nowhere"]).FailedWith(1, "no such folder");
    }

    [Fact]
    public void A_device_that_is_not_there_is_an_error()
    {
        using var world = new TinyWorld(51);
        world.AddCheckpoint("run", 10, 1);
        world.Scan("--device", "CUDA0").FailedWith(1, "no device 'CUDA0'", "CPU");
        world.Scan("--gpu-layers", "2").FailedWith(1, "finds no accelerator", "-p:Backend=cuda12");
    }

    [Fact]
    public void A_program_built_for_a_GPU_does_not_fall_back_in_silence()
    {
        using var world = new TinyWorld(52);
        world.AddCheckpoint("run", 10, 1);
        string program = ProgramBuiltFor("cuda12");
        string[] scan = ["--model", world.ModelPath, "--adapters", world.Adapters, "--threads", "1"];
        Emscan.RunProgram(program, world.Cache, [], scan).FailedWith(1, "built for cuda12", "device cpu");
        Emscan.RunProgram(program, world.Cache, [], [.. scan, "--device", "cpu"]).Succeeded();
    }

    [Theory]
    [InlineData(null, "PASSIVE")]
    [InlineData("active", "ACTIVE")]
    public void Threads_that_wait_sleep_unless_the_user_says_otherwise(string? policy, string expected)
    {
        if (!OperatingSystem.IsLinux()) return;
        Dictionary<string, string> environment = new() { ["OMP_DISPLAY_ENV"] = "true" };
        if (policy != null) environment["OMP_WAIT_POLICY"] = policy;
        Assert.Contains($"OMP_WAIT_POLICY = '{expected}'", Emscan.RunProgram("emscan", _folder["cache"], environment, "inspect").Succeeded().Errors);
    }

    private Emscan Inspect(params string[] more) => Emscan.Run(_folder["cache"], ["inspect", .. more]);

    private string CopyOfLibraries()
    {
        string folder = Directory.CreateDirectory(_folder["llama"]).FullName;
        foreach (string file in Directory.EnumerateFiles(Shipped).Where(f => !f.Contains("mtmd"))) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return folder;
    }

    // The program as the other backend would configure it, with this machine's libraries.
    private string ProgramBuiltFor(string backend)
    {
        string folder = Directory.CreateDirectory(_folder["program"]).FullName;
        foreach (string file in Directory.EnumerateFiles(AppContext.BaseDirectory)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        Directory.CreateSymbolicLink(Path.Combine(folder, "runtimes"), Path.Combine(AppContext.BaseDirectory, "runtimes"));
        string configuration = Path.Combine(folder, "emscan.runtimeconfig.json");
        JsonNode json = JsonNode.Parse(File.ReadAllText(configuration))!;
        Assert.Equal("cpu", json["runtimeOptions"]!["configProperties"]!["EmScan.Backend"]!.GetValue<string>());
        json["runtimeOptions"]!["configProperties"]!["EmScan.Backend"] = backend;
        File.WriteAllText(configuration, json.ToJsonString());
        return Path.Combine(folder, Path.GetFileName(Emscan.Program("emscan")));
    }

    private static string Evaluate(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("dotnet", ["msbuild", Repository.File("src/Cli/EmScan.Cli.csproj"), "-nologo", .. arguments]) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output);
        return output;
    }
}
