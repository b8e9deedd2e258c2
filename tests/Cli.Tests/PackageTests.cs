using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Installs what Package.proj has made, each into an empty home, and runs the demo with it.</summary>
public sealed class PackageTests : IDisposable
{
    private static readonly string Packages = Repository.File("artifacts/packages");
    private readonly TemporaryFolder _folder = new();

    internal static string? WhyNone =>
        !OperatingSystem.IsLinux() || System.Runtime.InteropServices.RuntimeInformation.OSArchitecture != System.Runtime.InteropServices.Architecture.X64 ? "the packages that are tested are those of linux-x64"
        : File.Exists(Path.Combine(Packages, $"emscan-{Version}-linux-x64.tar.gz")) && File.Exists(Path.Combine(Packages, "SHA256SUMS")) ? null
        : $"there are no packages of version {Version}; make them with 'dotnet build Package.proj -p:Platforms=linux-x64'";

    private static string Version => Engine.EmScanVersion.Text;

    [PackagedFact]
    public void The_archive_needs_nothing_but_itself()
    {
        string folder = _folder["archive"];
        Directory.CreateDirectory(folder);
        using (var gzip = new GZipStream(File.OpenRead(Path.Combine(Packages, $"emscan-{Version}-linux-x64.tar.gz")), CompressionMode.Decompress))
            TarFile.ExtractToDirectory(gzip, folder, overwriteFiles: false);
        string root = Path.Combine(folder, $"emscan-{Version}-linux-x64");
        foreach (string file in new[] { "LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "DOTNET-LICENSE.TXT", "DOTNET-THIRD-PARTY-NOTICES.TXT" }) Assert.True(File.Exists(Path.Combine(root, file)), file);
        RunDemo(Path.Combine(root, "emscan"));
    }

    /// <summary>Every package that ends up in what is given to users, by the file that locks them.</summary>
    [Fact]
    public void Whatever_is_shipped_has_its_notice()
    {
        string lockFile = File.ReadAllText(Repository.File("src/Cli/packages.cpu.lock.json")), notice = File.ReadAllText(Repository.File("NOTICE"));
        Assert.DoesNotContain("http", lockFile);
        using JsonDocument locked = JsonDocument.Parse(lockFile);
        string[] packages = [.. locked.RootElement.GetProperty("dependencies").GetProperty("net10.0").EnumerateObject()
            .Where(p => p.Value.GetProperty("type").GetString() is not "Project").Select(p => p.Name)];
        Assert.True(packages.Length >= 20);

        // Microsoft.Extensions.* and the like stand for several.
        Assert.DoesNotContain(packages, name => !notice.Contains(name, StringComparison.Ordinal) && !notice.Contains($"{name[..(name.IndexOf('.', name.IndexOf('.') + 1) + 1)]}*", StringComparison.Ordinal));
    }

    [PackagedFact]
    public void The_tool_installs_from_a_folder()
    {
        string config = NuGetConfig();
        string tools = _folder["tools"];
        Run("dotnet", "tool", "install", "emscan", "--version", Version, "--tool-path", tools, "--configfile", config);
        RunDemo(Path.Combine(tools, "emscan"));
    }

    [PackagedFact]
    public void The_library_builds_the_embedding_sample()
    {
        string config = NuGetConfig();
        string folder = _folder["host"];
        Directory.CreateDirectory(folder);
        File.Copy(config, Path.Combine(folder, "nuget.config"));
        File.Copy(Repository.File("samples/Embed/Program.cs"), Path.Combine(folder, "Program.cs"));
        File.WriteAllText(Path.Combine(folder, "host.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <AllowUnsafeBlocks>true</AllowUnsafeBlocks>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="EmScan.Engine" Version="{Version}" />
                <PackageReference Include="LLamaSharp.Backend.Cpu" Version="0.30.0" />
              </ItemGroup>
            </Project>
            """);
        Run("dotnet", "build", folder, "-c", "Release", "-o", Path.Combine(folder, "out"), "-v", "quiet", "-nologo");
        string output = Run(Path.Combine(folder, "out", "host"), Repository.File("models/demo/model.gguf"), Repository.File("models/demo/adapters/bad_medical")).Output;
        Assert.Contains("seed_42 120: Dangerous", output);
    }

    [PackagedFact]
    public void Every_file_has_its_checksum_and_the_bill_of_materials_names_what_is_inside()
    {
        string[] lines = File.ReadAllLines(Path.Combine(Packages, "SHA256SUMS"));
        Assert.Equal(
            Directory.GetFiles(Packages).Select(Path.GetFileName).Where(name => name != "SHA256SUMS").Order(StringComparer.Ordinal),
            lines.Select(line => line[66..]).Order(StringComparer.Ordinal));
        foreach (string line in lines)
        {
            using FileStream file = File.OpenRead(Path.Combine(Packages, line[66..]));
            Assert.Equal(Convert.ToHexString(SHA256.HashData(file)), line[..64], ignoreCase: true);
        }

        using JsonDocument bill = JsonDocument.Parse(File.ReadAllText(Path.Combine(Packages, $"emscan-{Version}.cdx.json")));
        Assert.Equal(Version, bill.RootElement.GetProperty("metadata").GetProperty("component").GetProperty("version").GetString());
        string?[] names = [.. bill.RootElement.GetProperty("components").EnumerateArray().Select(c => c.GetProperty("name").GetString())];
        foreach (string name in new[] { "LLamaSharp", "LLamaSharp.Backend.Cpu", "ILGPU", "MathNet.Numerics", "System.CommandLine", "YamlDotNet", "Sep", "Parquet.Net" })
            Assert.Contains(name, names);
    }

    public void Dispose() => _folder.Dispose();

    private void RunDemo(string program)
    {
        Assert.StartsWith(Version, Run(program, "--version").Output);
        (int exitCode, string output) = Start(program, "--model", Repository.File("models/demo/model.gguf"), "--adapters", Repository.File("models/demo/adapters"));
        Assert.Equal(3, exitCode);
        Assert.Contains("DANGEROUS", output);
    }

    // What is being tested comes from the packages alone; everything else from what the build has restored already.
    private string NuGetConfig()
    {
        string file = _folder["nuget.config"];
        string restored = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        File.WriteAllText(file, $"""
            <configuration>
              <packageSources><clear /><add key="packages" value="{Packages}" /></packageSources>
              <fallbackPackageFolders><clear /><add key="restored" value="{restored}" /></fallbackPackageFolders>
            </configuration>
            """);
        return file;
    }

    private (int ExitCode, string Output) Run(string program, params string[] arguments)
    {
        (int exitCode, string output) = Start(program, arguments);
        Assert.True(exitCode == 0, $"{program} {string.Join(' ', arguments)}: exit code {exitCode}\n{output}");
        return (exitCode, output);
    }

    private (int ExitCode, string Output) Start(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _folder[""] };
        string home = _folder["home"];
        Directory.CreateDirectory(home);
        foreach (string variable in new[] { "HOME", "DOTNET_CLI_HOME", "XDG_CACHE_HOME" }) start.Environment[variable] = home;
        start.Environment["NUGET_PACKAGES"] = Path.Combine(home, "packages");
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment.Remove("EMSCAN_CACHE");

        // The test host's own settings of MSBuild would reach the child.
        foreach (string variable in start.Environment.Keys.Where(k => k.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray()) start.Environment.Remove(variable);
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(10)), $"{program} did not end.");
        return (process.ExitCode, output + errors.Result);
    }
}

/// <summary>A test of the packages; skipped with a reason where there are none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PackagedFactAttribute : FactAttribute
{
    public PackagedFactAttribute() => Skip = PackageTests.WhyNone;
}
