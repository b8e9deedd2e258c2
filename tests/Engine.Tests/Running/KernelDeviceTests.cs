using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Diff;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Kernels;
using EmScan.Kernels.Ilgpu;
using EmScan.Kernels.Tests;

namespace EmScan.Engine.Tests.Running;

/// <summary>Analyses on other devices than the processor, and on ones that fail.</summary>
public sealed class KernelDeviceTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("auto", true)]
    [InlineData("cpu", true)]
    [InlineData("cuda:0", true)]
    [InlineData("opencl:12", true)]
    [InlineData("cuda", false)]
    [InlineData("cuda:", false)]
    [InlineData("cuda:x", false)]
    [InlineData("vulkan:0", false)]
    [InlineData("", false)]
    public void Names_of_devices(string name, bool valid) => Assert.Equal(valid, KernelDeviceChoice.IsName(name));

    [Fact]
    public void The_processor_and_narrow_models_open_no_device()
    {
        using IKernelDevice cpu = KernelDeviceChoice.Open("cpu", 8192, 1, "latents", _ => throw new InvalidOperationException(), out Remark? remark);
        using IKernelDevice narrow = KernelDeviceChoice.Open("auto", 96, 1, "latents", _ => throw new InvalidOperationException(), out Remark? nothing);
        Assert.True(cpu.IsCpu && narrow.IsCpu);
        Assert.Null(remark ?? nothing);
    }

    [Fact]
    public void A_device_that_was_named_and_is_not_there_is_a_wrong_setting()
    {
        string message = Assert.Throws<InvalidSettingException>(() =>
            KernelDeviceChoice.Open("cuda:7", 96, 1, "latents", _ => throw new KernelDeviceException("There is no device cuda:7."), out _)).Message;
        Assert.Equal("There is no device cuda:7.", message);
    }

    [OpenClFact]
    public async Task Diff_finds_the_same_on_an_OpenCL_device_latents_included()
    {
        Findings expected = await Diff(null, latents: true), got = await Diff(new FallbackKernelDevice(IlgpuDevices.Open("opencl:0", acceptAllOpenCl: true), new CpuKernelDevice()), latents: true);
        Assert.NotNull(expected.Data["sae"]);
        Assert.Equal(6, expected.Data["layers"]!.AsArray().Count);
        Assert.Equal(expected.Conclusion, got.Conclusion);
        Assert.StartsWith("opencl:0 ", got.Header!.KernelDevice, StringComparison.Ordinal);
        Assert.Null(expected.Header!.KernelDevice);
        Assert.DoesNotContain(got.Notes, note => note.Code == "kernel-device-lost");
        AssertClose(expected.Data, got.Data, "");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(40)]
    public async Task A_device_that_dies_costs_no_cell_and_is_told_of(int good)
    {
        Findings expected = await Diff(null), got = await Diff(new FallbackKernelDevice(new DyingDevice(good), new CpuKernelDevice()));
        AssertClose(expected.Data, got.Data, "");
        Assert.Equal(expected.Conclusion, got.Conclusion);
        Remark lost = Assert.Single(got.Notes, note => note.Code == "kernel-device-lost");
        Assert.Equal("The device dying failed: it is dead. What was left was computed on the processor; nothing is missing.", lost.Text);
    }

    private async Task<Findings> Diff(IKernelDevice? device, bool latents = false)
    {
        using AnalysisSession session = AnalysisSession.Open(new ScanRequest
        {
            Model = Repository.File("models/demo/model.gguf"),
            DirectionsFile = Repository.File("models/llama/parity/directions.safetensors"),
            Capture = new CaptureOptions { Precise = true, Threads = 1 },
            CacheFolder = _folder["cache"],
            OutputFolder = _folder[Guid.NewGuid().ToString("N")],
        });
        if (device != null) session.Context.KernelDevice = device;
        return await session.RunAsync(new DiffAnalysis(new DiffRequest
        {
            Adapters = [new AdapterSource(Repository.File("models/demo/adapters/bad_medical/seed_42/checkpoint-120"))],
            Texts = [.. session.Context.EvaluationTexts.Select(session.Context.Encoder.Plain)],
            Chats = [],
            DomainTokens = [[20, 21, 22]],
            Autoencoder = latents ? SparseAutoencoder.Read(new RandomAutoencoder(41, session.Context.HiddenSize, 200).Write(_folder["sae"], 2)) : null,
        }));
    }

    private static void AssertClose(JsonNode? expected, JsonNode? got, string path)
    {
        switch (expected)
        {
            case null:
                Assert.True(got == null, path);
                break;
            case JsonObject members:
                Assert.Equal(members.Select(m => m.Key), got!.AsObject().Select(m => m.Key));
                foreach ((string key, JsonNode? value) in members) AssertClose(value, got[key], $"{path}.{key}");
                break;
            case JsonArray items:
                Assert.Equal(items.Count, got!.AsArray().Count);
                for (int i = 0; i < items.Count; i++) AssertClose(items[i], got[i], $"{path}[{i}]");
                break;
            case JsonValue value when value.TryGetValue(out double number):
                // Second moments and logits are right to 1e-7 here; quotients of small differences lose some of it.
                double other = got!.GetValue<double>();
                Assert.True(Math.Abs(number - other) <= 2e-4 * Math.Max(1, Math.Abs(number)), $"{path}: {number} and {other}");
                break;
            default:
                Assert.Equal(expected.ToJsonString(), got!.ToJsonString());
                break;
        }
    }

    /// <summary>A test that needs an OpenCL device; skipped, with the reason, where there is none.</summary>
    private sealed class OpenClFactAttribute : FactAttribute
    {
        public OpenClFactAttribute()
        {
            try
            {
                IlgpuDevices.Open("opencl:0", acceptAllOpenCl: true).Dispose();
            }
            catch (KernelDeviceException missing)
            {
                Skip = missing.Message;
            }
        }
    }
}
