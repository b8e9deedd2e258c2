using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>The real program beside a training that writes as the Trainer does: slowly, in pieces, rotating, staging, starting again.</summary>
public class WatchTests
{
    private static readonly string[] Polling = ["--poll", "0.1", "--quiet-time", "2", "--nice", "0", "--threads", "1", "--json"];

    [Fact]
    public void EachCompleteCheckpointIsScoredOnceAndNoHalfOne()
    {
        using var world = new TinyWorld();
        using Watch watch = Start(world, "--until", "40");
        var trainer = new Trainer(world);
        trainer.Save("run", 10);

        // In pieces: weights first, cut short for a while, the state of the trainer last.
        trainer.Save("run", 20, slowly: true);

        // A staging folder is renamed when it is done.
        string staged = Path.Combine(world.Adapters, "run", "tmp-checkpoint-30");
        new TinyAdapter(world.Model, 30, size: 0.3).Write(staged);
        Thread.Sleep(500);
        trainer.WriteState(staged, 30);
        Directory.Move(staged, world.CheckpointPath("run", 30));
        trainer.Save("run", 40);
        JsonElement[] rows = watch.Rows(exitCode: 0);
        Assert.Equal(["10", "20", "30", "40"], rows.Select(r => r.GetProperty("step").ToString()));

        // The same numbers as a scan's, which finds all of them on record.
        Emscan scan = world.Scan("--json", "--traits", world.TraitsPath).Succeeded();
        JsonElement[] scanned = [.. scan.Json.GetProperty("runs")[0].GetProperty("trajectory").EnumerateArray().Where(c => c.GetProperty("step").ToString() != "0")];
        Assert.Equal(
            scanned.Select(c => c.GetProperty("drift").GetProperty("honesty").GetDouble()),
            rows.Select(r => r.GetProperty("drift/honesty").GetDouble()));
        Assert.Contains("watching", watch.Errors);
    }

    [Fact]
    public void WhatIsRotatedAwayBeforeItIsCompleteIsCounted()
    {
        using var world = new TinyWorld();
        using Watch watch = Start(world, "--until", "20");
        string half = world.CheckpointPath("run", 10);
        Directory.CreateDirectory(half);
        File.WriteAllBytes(Path.Combine(half, "adapter_model.safetensors"), [200, 0, 0, 0, 0, 0, 0, 0, (byte)'{']);
        Thread.Sleep(1000);
        Directory.Delete(half, recursive: true);
        Thread.Sleep(500);
        new Trainer(world).Save("run", 20);
        JsonElement[] rows = watch.Rows(exitCode: 0);
        Assert.Equal(["20"], rows.Select(r => r.GetProperty("step").ToString()));
        Assert.Contains("checkpoint-10 was removed before it could be read", watch.Errors);
        Assert.Contains("1 checkpoints were removed before they could be read", watch.Errors);
    }

    [Fact]
    public void ARestartedTrainingIsNoticedAndMeasuredAgain()
    {
        using var world = new TinyWorld();
        var trainer = new Trainer(world);
        trainer.Save("run", 10);
        trainer.Save("run", 20);
        using Watch watch = Start(world, "--until", "30");
        for (int row = 0; row < 2; row++) Assert.NotNull(watch.ReadRow());
        Directory.Delete(world.CheckpointPath("run", 20), recursive: true);
        trainer.Save("run", 10, seed: 77);
        Thread.Sleep(700);
        trainer.Save("run", 30);
        JsonElement[] rows = watch.Rows(exitCode: 0);
        Assert.Equal(["10", "30"], rows.Select(r => r.GetProperty("step").ToString()));
        Assert.Contains("step 10 was saved after step 20; the training was restarted", watch.Errors);
    }

    [Fact]
    public void KillsAtAnyMomentLoseNothing()
    {
        using var world = new TinyWorld();
        var trainer = new Trainer(world);
        for (int step = 1; step <= 12; step++) trainer.Save("run", step);
        for (int kill = 0; kill < 3; kill++)
        {
            using Watch watch = Start(world);
            for (int row = 0; row < 2 + (3 * kill); row++) Assert.NotNull(watch.ReadRow());
            watch.Kill();
        }

        using (Watch watch = Start(world, "--until", "12"))
        {
            JsonElement[] rows = watch.Rows(exitCode: 0);
            Assert.Equal(Enumerable.Range(1, 12), rows.Select(r => r.GetProperty("step").GetInt32()).Order());
        }

        Assert.Contains("0 of 12 checkpoints measured, 12 taken from an earlier scan", world.Scan("--traits", world.TraitsPath).Succeeded().Output);
    }

    [Fact]
    public void TheFirstAlarmWritesTheStopFileAndEndsTheWatch()
    {
        using var world = new TinyWorld();
        for (int i = 0; i < 8; i++) world.AddCheckpoint("benign", i + 1, 100 + i, size: 0.01);
        Directory.Move(world.Adapters, world["benign"]);
        using Watch watch = Start(world, "--benign", world["benign"], "--stop-on", "dangerous", "--report", world["report.html"], "--jsonl", world["rows.jsonl"]);
        new Trainer(world).Save("run", 10, size: 0.001);
        new Trainer(world).Save("run", 20, size: 0.5);
        new Trainer(world).Save("run", 30, size: 0.6);
        watch.Rows(exitCode: 3);
        JsonElement stop = JsonDocument.Parse(File.ReadAllText(Path.Combine(world.Adapters, "emscan.stop"))).RootElement;
        Assert.Equal("dangerous", stop.GetProperty("verdict").GetString());
        Assert.Equal("run", stop.GetProperty("run").GetString());
        Assert.Equal(JsonValueKind.Null, stop.GetProperty("predicted_rate").ValueKind); // without a calibration there is no probability
        Assert.Contains("asks the training to stop", watch.Errors);
        Assert.DoesNotContain(Directory.GetFiles(world.CheckpointPath("run", 20)), f => f.EndsWith(".stop", StringComparison.Ordinal));
        Assert.Contains("Dangerous: ", File.ReadAllText(world["report.html"]));
        Assert.NotEmpty(File.ReadAllLines(world["rows.jsonl"]));
    }

    [Fact]
    public void ItEndsWithAProcessAtAFileAndWhenIdle()
    {
        using var world = new TinyWorld();
        new Trainer(world).Save("run", 10);
        using Process sleeper = Process.Start("sleep", "6");
        using (Watch exit = Start(world, "--until", $"exit-of {sleeper.Id}")) Assert.Single(exit.Rows(exitCode: 0));
        Assert.True(sleeper.HasExited);
        using (Watch idle = Start(world, "--until", "idle 1s")) Assert.Single(idle.Rows(exitCode: 0));
        using Watch file = Start(world, "--until", $"file {world["done"]}");
        Assert.NotNull(file.ReadRow());
        File.WriteAllText(world["done"], "");
        Assert.Empty(file.Rows(exitCode: 0));
    }

    [Theory]
    [InlineData("--until", "tomorrow", "tomorrow")]
    [InlineData("--until", "idle 3 days", "3 days")]
    [InlineData("--stop-on", "boredom", "boredom")]
    [InlineData("--poll", "0", "--poll")]
    [InlineData("--nice", "20", "--nice")]
    public void OptionsThatMakeNoSenseAreUsageErrors(string option, string value, string named)
    {
        using var world = new TinyWorld();
        Emscan.Run(world.Cache, "watch", "--model", world.ModelPath, "--adapters", world.Adapters, option, value).FailedWith(2, named);
    }

    [Fact]
    public void AWebhookThatIsNotSafeIsRefusedBeforeAnythingIsLoaded()
    {
        using var world = new TinyWorld();
        Emscan.Run(world.Cache, "watch", "--model", world.ModelPath, "--adapters", world.Adapters, "--webhook", "http://example.com/x").FailedWith(1, "webhook must be an https address");
    }

    private static Watch Start(TinyWorld world, params string[] more) =>
        new(Emscan.Start(world.Cache, ["watch", "--model", world.ModelPath, "--traits", world.TraitsPath, "--adapters", world.Adapters, .. Polling, .. more]));

    /// <summary>A running watch that has begun to look.</summary>
    private sealed class Watch : IDisposable
    {
        private readonly Process _process;
        private readonly StringBuilder _errors = new();

        internal Watch(Process process)
        {
            _process = process;
            var watching = new TaskCompletionSource();
            process.ErrorDataReceived += (_, line) =>
            {
                lock (_errors) _errors.AppendLine(line.Data);
                if (line.Data == null || line.Data.Contains("watching", StringComparison.Ordinal)) watching.TrySetResult();
            };
            process.BeginErrorReadLine();
            Assert.True(watching.Task.Wait(TimeSpan.FromMinutes(3)), "The watch did not begin.");
        }

        internal string Errors
        {
            get
            {
                lock (_errors) return _errors.ToString();
            }
        }

        internal string? ReadRow() => _process.StandardOutput.ReadLine();

        internal void Kill()
        {
            _process.Kill();
            _process.WaitForExit();
        }

        /// <summary>The rows that are still to come, to the end.</summary>
        internal JsonElement[] Rows(int exitCode)
        {
            Task<string> reading = _process.StandardOutput.ReadToEndAsync();
            Assert.True(_process.WaitForExit(TimeSpan.FromMinutes(5)), "The watch did not end.");
            _process.WaitForExit(); // also for what is still in its error stream
            string output = reading.GetAwaiter().GetResult();
            Assert.True(_process.ExitCode == exitCode, $"exit code {_process.ExitCode}\n{output}\n{Errors}");
            return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
        }

        public void Dispose()
        {
            if (!_process.HasExited) _process.Kill(entireProcessTree: true);
            _process.Dispose();
        }
    }

    /// <summary>Writes checkpoints in the order of the Hugging Face Trainer: weights, configuration, trainer_state.json last.</summary>
    private sealed class Trainer(TinyWorld world)
    {
        internal void Save(string run, int step, bool slowly = false, int? seed = null, double size = 0.3)
        {
            string whole = world[$"made-{Guid.NewGuid():N}"], folder = world.CheckpointPath(run, step);
            new TinyAdapter(world.Model, seed ?? step, size: size).Write(whole);
            Directory.CreateDirectory(folder);
            foreach (string name in new[] { "adapter_model.safetensors", "adapter_config.json" })
            {
                byte[] bytes = File.ReadAllBytes(Path.Combine(whole, name));
                using (var file = new FileStream(Path.Combine(folder, name), FileMode.Create, FileAccess.Write, FileShare.Read))
                {
                    file.Write(bytes, 0, bytes.Length / 2);
                    file.Flush();
                    if (slowly) Thread.Sleep(600);
                    file.Write(bytes, bytes.Length / 2, bytes.Length - (bytes.Length / 2));
                }

                if (slowly) Thread.Sleep(300);
            }

            WriteState(folder, step);
            Directory.Delete(whole, recursive: true);
        }

        internal void WriteState(string folder, int step) =>
            File.WriteAllText(Path.Combine(folder, "trainer_state.json"), string.Create(CultureInfo.InvariantCulture, $"{{\"global_step\": {step}, \"log_history\": []}}"));
    }
}
