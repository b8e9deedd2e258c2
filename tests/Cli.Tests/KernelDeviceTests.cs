using System.Text;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>The choice of a kernel device on the command line.</summary>
public sealed class KernelDeviceTests : IDisposable
{
    private readonly string _cache = Directory.CreateTempSubdirectory("emscan-kernels-").FullName;

    public void Dispose() => Directory.Delete(_cache, recursive: true);

    [Fact]
    public void A_device_that_is_not_there_is_named_with_exit_code_2() =>
        Run([], "--kernel-device", "cuda:99").FailedWith(2, "There is no device cuda:99");

    [Fact]
    public void A_name_that_is_none_is_refused_before_anything_is_loaded() =>
        Run([], "--kernel-device", "gpu").FailedWith(2, "--kernel-device is 'gpu', but must be auto, cpu, cuda:N or opencl:N");

    /// <summary>The runtime's own record of what it loads: without a device, ILGPU is not in it; with one asked for, it is.</summary>
    [Theory]
    [InlineData("auto", 0, false)]
    [InlineData("cuda:99", 2, true)]
    public void Without_a_device_no_ILGPU_assembly_is_loaded(string device, int exitCode, bool loaded)
    {
        string trace = Path.Combine(_cache, $"{exitCode}.nettrace");
        Emscan run = Run(
            new()
            {
                ["DOTNET_EnableEventPipe"] = "1",
                ["DOTNET_EventPipeConfig"] = "Microsoft-Windows-DotNETRuntime:0x8:4", // assemblies, as they are loaded
                ["DOTNET_EventPipeOutputPath"] = trace,
            },
            "--kernel-device",
            device);
        Assert.Equal(exitCode, run.ExitCode);
        byte[] record = File.ReadAllBytes(trace);
        Assert.Equal((true, loaded), (Has("EmScan.Kernels"), Has("ILGPU")));
        bool Has(string name) => record.AsSpan().IndexOf(Encoding.Unicode.GetBytes(name)) >= 0;
    }

    private Emscan Run(Dictionary<string, string> environment, params string[] options) => Emscan.RunProgram(
        "emscan",
        _cache,
        environment,
        [
            "diff", "--model", Repository.File("models/demo/model.gguf"),
            "--adapters", Repository.File("models/demo/adapters/bad_medical/seed_42/checkpoint-120"),
            "--directions", Repository.File("models/llama/parity/directions.safetensors"), "--threads", "1", .. options,
        ]);
}
