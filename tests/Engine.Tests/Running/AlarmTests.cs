using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using EmScan.Engine.Reports.Exports;
using EmScan.Engine.Running;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Running;

public class AlarmTests
{
    private static readonly Alarm Example = new(
        "bad\n<run>", "40", "out/checkpoint-40", "dangerous", "Predicted EM rate 6.9%, above 6%.", 0.069, 0.009, 0.094, DateTimeOffset.UnixEpoch, "1.0");

    [Fact]
    public void JsonHasTheDocumentedKeys()
    {
        JsonElement json = JsonDocument.Parse(Example.ToJson()).RootElement;
        Assert.Equal(
            [
                "run", "step", "checkpoint", "verdict", "reason", "predicted_rate", "interval_low", "interval_high", "time", "version",
                "forecast_rate", "forecast_low", "forecast_high", "benign_level", "trend_per_step",
            ],
            json.EnumerateObject().Select(p => p.Name));
        Assert.Equal("bad\n<run>", json.GetProperty("run").GetString());
        Assert.Equal(0.069, json.GetProperty("predicted_rate").GetDouble());
        Assert.DoesNotContain((byte)'\n', Example.ToJson());
    }

    [Fact]
    public void TheStopFileIsWholeAndReplaced()
    {
        using var folder = new TemporaryFolder();
        string path = StopFile.Write(folder.Root, Example with { Step = "30" });
        StopFile.Write(folder.Root, Example);
        Assert.Equal(folder["emscan.stop"], path);
        Assert.Equal("40", JsonDocument.Parse(File.ReadAllText(path)).RootElement.GetProperty("step").GetString());
        Assert.Equal([path], Directory.GetFiles(folder.Root));
    }

    /// <summary>A trainer looks into its own output folder, whether that one is watched or the folder above it.</summary>
    [Theory]
    [InlineData("out/checkpoint-40", "out")]
    [InlineData("runs/medical/seed_42/checkpoint-40", "runs", "runs/medical/seed_42")]
    [InlineData("runs/a/global_step_30/actor/lora_adapter", "runs", "runs/a")]
    [InlineData("runs/a/epoch_1/step_200", "runs", "runs/a")]
    [InlineData("out/epoch_1/step_200", "out")]
    [InlineData("runs/a", "runs")]
    [InlineData("elsewhere/checkpoint-1", "out")]
    public void TheStopFileLiesWhereTheTrainingLooks(string checkpoint, params string[] folders)
    {
        using var folder = new TemporaryFolder();
        string[] roots = [folder["out"], folder["runs/"]];
        Assert.Equal(folders.Select(f => folder[f]), StopFile.Folders(folder[checkpoint], roots).Select(Path.TrimEndingDirectorySeparator));
    }

    [Fact]
    public async Task ACommandGetsTheAlarmOnItsInputAndNoShell()
    {
        if (OperatingSystem.IsWindows()) return;
        using var folder = new TemporaryFolder();
        string copy = folder["copy $(touch x); y"];
        Assert.Null(await new AlarmCommand(["tee", copy], TimeSpan.FromMinutes(1)).RunAsync(Example));
        Assert.Equal(Example.ToJson(), File.ReadAllBytes(copy));
        Assert.Equal([copy], Directory.GetFiles(folder.Root));
    }

    [Fact]
    public async Task ACommandThatFailsOrIsMissingIsARemark()
    {
        if (OperatingSystem.IsWindows()) return;
        Assert.Contains("exit code 1", (await new AlarmCommand(["false"], TimeSpan.FromMinutes(1)).RunAsync(Example))!.Text);
        Assert.Contains("cannot be started", (await new AlarmCommand(["/no/such program"], TimeSpan.FromMinutes(1)).RunAsync(Example))!.Text);
        Assert.Contains("was killed", (await new AlarmCommand(["sleep", "600"], TimeSpan.FromMilliseconds(200)).RunAsync(Example))!.Text);
    }

    [Theory]
    [InlineData("http://example.com/hook")]
    [InlineData("ftp://localhost/x")]
    [InlineData("file:///etc/passwd")]
    [InlineData("hooks.example.com")]
    [InlineData("http://10.0.0.7/hook")]
    [InlineData("http://169.254.169.254/latest/meta-data")]
    [InlineData("http://localhost.example.com/hook")]
    [InlineData("https://user:password@example.com/hook")]
    public void AnAddressThatIsNotSafeIsRefused(string address) => Assert.Throws<EmScanException>(() => new Webhook(address, null));

    [Fact]
    public async Task AWebhookIsSignedAndTriedAgain()
    {
        using var server = new LoopbackServer(503, 500, 204);
        using var webhook = new Webhook($"{server.Address}?token=hidden", "s3cret", firstPause: TimeSpan.FromMilliseconds(1));
        Assert.Null(await webhook.PostAsync(Example));
        Assert.Equal(3, server.Requests.Count);
        (WebHeaderCollection headers, byte[] body) = server.Requests[^1];
        Assert.Equal(Example.ToJson(), body);
        byte[] signed = Encoding.UTF8.GetBytes(headers["X-Emscan-Timestamp"] + "." + Encoding.UTF8.GetString(body));
        Assert.Equal("sha256=" + Convert.ToHexStringLower(HMACSHA256.HashData("s3cret"u8, signed)), headers["X-Emscan-Signature"]);
    }

    [Theory]
    [InlineData(400, 1)]
    [InlineData(302, 1)]
    [InlineData(503, 4)]
    public async Task WhatIsNotDeliveredIsSaidWithoutSecrets(int status, int requests)
    {
        using var server = new LoopbackServer(status, status, status, status, status);
        using var webhook = new Webhook($"{server.Address}secret-path?token=hidden", "s3cret", firstPause: TimeSpan.FromMilliseconds(1));
        string text = (await webhook.PostAsync(Example))!.Text;
        Assert.Contains($"answered {status}", text);
        Assert.DoesNotContain("secret", text);
        Assert.DoesNotContain("hidden", text);
        Assert.DoesNotContain("s3cret", text);
        Assert.Equal(requests, server.Requests.Count);
    }

    [Fact]
    public async Task NoServerIsARemarkToo()
    {
        using var webhook = new Webhook($"http://127.0.0.1:{MlflowServer.FreePort()}/", null, firstPause: TimeSpan.FromMilliseconds(1));
        Assert.Contains("no answer", (await webhook.PostAsync(Example))!.Text);
    }

    /// <summary>Plain http goes round proxies, which would send it through the network, and connects to loopback addresses only.</summary>
    [Theory]
    [InlineData("http://127.0.0.1:5000/", true)]
    [InlineData("http://loopback:5000/", true)]
    [InlineData("https://example.com/", false)]
    public void PlainHttpDoesNotLeaveThisMachine(string address, bool here)
    {
        using SocketsHttpHandler handler = HttpDelivery.Handler(new Uri(address));
        Assert.Equal((!here, here, false), (handler.UseProxy, handler.ConnectCallback != null, handler.AllowAutoRedirect));
    }

    /// <summary>Answers requests with the given status codes, in order, and keeps what it was sent.</summary>
    private sealed class LoopbackServer : IDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly Task _loop;

        internal LoopbackServer(params int[] statuses)
        {
            Address = $"http://127.0.0.1:{MlflowServer.FreePort()}/";
            _listener.Prefixes.Add(Address);
            _listener.Start();
            _loop = Task.Run(async () =>
            {
                foreach (int status in statuses)
                {
                    HttpListenerContext context;
                    try
                    {
                        context = await _listener.GetContextAsync();
                    }
                    catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
                    {
                        return; // the test is over
                    }

                    using var body = new MemoryStream();
                    await context.Request.InputStream.CopyToAsync(body);
                    Requests.Add(((WebHeaderCollection)context.Request.Headers, body.ToArray()));
                    context.Response.StatusCode = status;
                    if (status == 302) context.Response.RedirectLocation = "http://127.0.0.1:9/elsewhere";
                    context.Response.Close();
                }
            });
        }

        internal string Address { get; }

        internal List<(WebHeaderCollection Headers, byte[] Body)> Requests { get; } = [];

        public void Dispose()
        {
            _listener.Close();
            _loop.Wait();
        }
    }
}
