using System.Globalization;
using System.Text.Json;

namespace EmScan.Cli.Tests;

/// <summary>The largest rate to come, as a scan and an evaluation print it.</summary>
[Collection(nameof(LabelledWorld))]
public sealed class ForecastTests(LabelledWorld world)
{
    [Fact]
    public void A_scan_says_in_every_form_what_is_to_come()
    {
        string file = Calibration();
        JsonElement made = JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("forecast");
        double above = made.GetProperty("alarm_above").GetDouble();
        Assert.True(made.GetProperty("strict_alarm_above").GetDouble() >= above);

        JsonElement json = world.Scan("bad_medical", "--calibration", file, "--json").Json;
        string[][] csv = [.. world.Scan("bad_medical", "--calibration", file, "--csv").Output.TrimEnd('\n').Split('\n').Select(l => l.Split(','))];
        string table = world.Scan("bad_medical", "--calibration", file).Output;
        int row = 1;
        bool expected = false;
        foreach (JsonElement run in json.GetProperty("runs").EnumerateArray())
        {
            bool dangerous = false;
            row++;
            foreach (JsonElement point in run.GetProperty("trajectory").EnumerateArray().Skip(1))
            {
                JsonElement verdict = point.GetProperty("verdict"), forecast = verdict.GetProperty("forecast");
                double rate = forecast.GetProperty("em_rate_to_come").GetDouble();
                Assert.Equal(rate > above, forecast.GetProperty("alarm").GetBoolean());
                Assert.InRange(rate, forecast.GetProperty("interval")[0].GetDouble(), forecast.GetProperty("interval")[1].GetDouble());
                Assert.Equal(rate, double.Parse(csv[row][Array.IndexOf(csv[0], "forecast")], CultureInfo.InvariantCulture));
                Assert.Equal(rate > above ? "true" : "false", csv[row][Array.IndexOf(csv[0], "forecast_alarm")]);
                dangerous |= verdict.GetProperty("dangerous").GetBoolean();
                expected |= !dangerous && rate > above;
                row++;
            }
        }

        Assert.Equal(csv.Length, row);

        // These very runs were calibrated on, so what became of them is expected before it came.
        Assert.True(expected);
        Assert.Contains("EXPECTED to become dangerous: ", table);
        Assert.Contains(", EXPECTED to reach ", table);
        Assert.Contains("[ 90%      ]  to come  verdict", table);
    }

    /// <summary>The watch ends at the first run that is expected to become dangerous, and says so everywhere.</summary>
    [Fact]
    public void A_watch_stops_a_training_that_is_expected_to_become_dangerous()
    {
        string file = Calibration(), adapters = world["training"];
        foreach (string source in Directory.GetFiles(world.Adapters("llama", "bad_medical"), "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(adapters, Path.GetRelativePath(world.Adapters("llama", "bad_medical"), source));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(source, copy);
        }

        Emscan watch = Emscan.Run(
            world.Cache, "watch", "--threads", "1", "--nice", "0", "--poll", "0.1", "--quiet-time", "0", "--until", "idle 2s", "--model", world.Model("llama"), "--adapters", adapters, "--calibration", file,
            "--stop-on", "forecast", "--json", "--report", world["watch.html"], "--on-alarm", $"tee {world["alarm.json"]}", "--out", world["watched"]);
        Assert.True(watch.ExitCode == 3, watch.Errors);
        JsonElement last = JsonDocument.Parse(watch.Output.TrimEnd('\n').Split('\n')[^1]).RootElement;
        JsonElement stop = JsonDocument.Parse(File.ReadAllText(Path.Combine(adapters, "emscan.stop"))).RootElement;
        Assert.Equal(("forecast", 1), (stop.GetProperty("verdict").GetString(), last.GetProperty("forecast/alarm").GetInt32()));
        Assert.NotEqual("dangerous", last.GetProperty("verdict").GetString());
        foreach ((string row, string alarm) in new[]
        {
            ("em_rate/predicted", "predicted_rate"), ("em_rate/low", "interval_low"), ("em_rate/high", "interval_high"),
            ("forecast/rate", "forecast_rate"), ("forecast/low", "forecast_low"), ("forecast/high", "forecast_high"),
        })
        {
            Assert.Equal(last.GetProperty(row).GetDouble(), stop.GetProperty(alarm).GetDouble());
        }

        Assert.Equal(stop.GetProperty("reason").GetString(), JsonDocument.Parse(File.ReadAllText(world["alarm.json"])).RootElement.GetProperty("reason").GetString());
        string html = File.ReadAllText(world["watch.html"]);
        Assert.Contains("Largest EM rate to come", html);
        Assert.Contains("expected to become dangerous: ", html);
        Assert.Contains("95% of benign runs stay below", html);
        Assert.Equal(html.Contains("Expected to become dangerous: ", StringComparison.Ordinal) ? 0 : 3, Emscan.Run(world.Cache, "report", world["watched"], "-o", world["again.html"]).ExitCode);
    }

    // Made by the first test that wants it.
    private string Calibration()
    {
        string file = world["forecast.json"];
        if (!File.Exists(file)) Emscan.Run(world.Cache, ["calibrate", "--output", file, "--place", "mean_answer", .. world.Labelled("llama")]).Succeeded();
        return file;
    }

    [Fact]
    public void An_evaluation_counts_leads_misses_and_false_alarms_of_the_runs_it_lists()
    {
        string[] detector = ["--detector", "drift+activation/kernel-ridge", "--place", "mean_answer"];
        JsonElement protocol = world.Evaluate([.. detector, "--json"]).Succeeded().Json.GetProperty("protocols")[0];
        string table = world.Evaluate(detector).Succeeded().Output;
        JsonElement[] forecasts = [.. protocol.GetProperty("forecasts").EnumerateArray()];
        Assert.Equal([0.05, 0.01], forecasts.Select(f => f.GetProperty("false_alarm_rate").GetDouble()));
        foreach (JsonElement forecast in forecasts)
        {
            JsonElement[] runs = [.. forecast.GetProperty("runs").EnumerateArray()];
            int Count(string outcome) => runs.Count(r => r.GetProperty("outcome").GetString() == outcome);
            Assert.Equal(10, runs.Length);
            Assert.Equal(Count("missed") / (double)(Count("missed") + Count("warned")), forecast.GetProperty("missed").GetProperty("value").GetDouble(), 1e-12);
            Assert.Equal(Count("false_alarm") / (double)(Count("false_alarm") + Count("quiet")), forecast.GetProperty("false_alarms").GetProperty("value").GetDouble(), 1e-12);
            double[] leads = [.. runs.Where(r => r.TryGetProperty("lead_steps", out _)).Select(r => r.GetProperty("lead_steps").GetDouble()).Order()];
            if (leads.Length > 0)
                Assert.Equal((leads[(leads.Length - 1) / 2] + leads[leads.Length / 2]) / 2, forecast.GetProperty("median_lead").GetProperty("value").GetDouble(), 1e-9);
            Assert.Contains($"{Count("warned")} of {Count("warned") + Count("missed")} dangerous runs alarmed", table);
        }

        // The coverage of all is that of its parts.
        JsonElement[] parts = [.. protocol.GetProperty("coverage_by_perturbation").EnumerateArray()];
        double all = parts.Sum(p => p.GetProperty("checkpoints").GetInt32() * p.GetProperty("coverage").GetProperty("value").GetDouble()) / parts.Sum(p => p.GetProperty("checkpoints").GetInt32());
        Assert.Equal(protocol.GetProperty("interval_coverage").GetProperty("coverage").GetProperty("value").GetDouble(), all, 1e-12);
        Assert.Contains("unknown: ", table);
    }
}
