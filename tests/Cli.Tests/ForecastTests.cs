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
        string file = world["forecast.json"];
        Emscan.Run(world.Cache, ["calibrate", "--output", file, "--place", "mean_answer", .. world.Labelled("llama")]).Succeeded();
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
