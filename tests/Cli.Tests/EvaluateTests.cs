using System.Globalization;
using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Calibrate and evaluate, on real finetuning runs with measured EM rates: every figure again from the exported scores.</summary>
[Collection(nameof(LabelledWorld))]
public sealed class EvaluateTests(LabelledWorld world)
{
    private static readonly string[] Quick = ["--detector", "drift+activation/kernel-ridge", "--detector", "drift/ridge", "--detector", "pc1+step/logistic"];

    [Fact]
    public void Every_figure_of_the_papers_table_follows_from_the_exported_scores()
    {
        JsonElement study = world.Evaluate("--json").Succeeded().Json;
        JsonElement[] protocols = [.. study.GetProperty("protocols").EnumerateArray()];
        Assert.Equal(["leave one perturbation out", "leave one seed out"], protocols.Select(p => p.GetProperty("name").GetString()));
        foreach (JsonElement protocol in protocols)
        {
            JsonElement[] detectors = [.. protocol.GetProperty("detectors").EnumerateArray()];
            Assert.Equal(18, detectors.Length);
            foreach (JsonElement detector in detectors) CheckFigures(detector, Scores(detector), Dangerous(detector), Flagged(detector));
            Score[] headline = Scores(detectors[0]);
            CheckParts(protocol.GetProperty("by_perturbation"), headline, s => s.Run.Split('/')[0]);
            CheckParts(protocol.GetProperty("by_seed"), headline, s => s.Run.Split("seed_")[1]);
            foreach (JsonElement at in protocol.GetProperty("at_thresholds").EnumerateArray()) CheckFigures(at, headline, Dangerous(at), Dangerous(at));
            foreach (JsonElement detector in detectors[1..])
            {
                double? first = Auroc(headline, 0.06), other = Auroc(Scores(detector), 0.06);
                Assert.Equal(first!.Value - other!.Value, detector.GetProperty("first_minus_this").GetProperty("auroc").GetProperty("value").GetDouble(), 1e-9);
            }
        }

        CheckAxis(study);

        void CheckParts(JsonElement parts, Score[] all, Func<Score, string> key)
        {
            Assert.Equal(all.Select(key).Distinct().Order(), parts.EnumerateArray().Select(p => p.GetProperty("name").GetString()!).Order());
            foreach (JsonElement part in parts.EnumerateArray())
                CheckFigures(part, [.. all.Where(s => key(s) == part.GetProperty("name").GetString())], Dangerous(part), Flagged(part));
        }
    }

    [Fact]
    public void With_a_sparse_autoencoder_the_table_has_its_baseline_and_the_others_stay_as_they_are()
    {
        string sae = Repository.File("models/llama/sae");
        JsonElement[] with = Detectors(world.Evaluate("--sae", sae, "--json")), alone = Detectors(world.Evaluate("--sae", sae, "--detector", "sae/ridge", "--json"));
        Assert.Equal(19, with.Length);
        Assert.Equal(("sae/ridge", "SAE-256, ridge"), (with[^1].GetProperty("detector").GetString(), with[^1].GetProperty("title").GetString()));
        CheckFigures(with[^1], Scores(with[^1]), Dangerous(with[^1]), Flagged(with[^1]));
        Assert.True(Auroc(Scores(with[^1]), 0.06) > 0.6);
        Assert.Equal(Scores(with[^1]), Scores(Assert.Single(alone)));
        JsonElement[] without = Detectors(world.Evaluate("--json"));
        for (int i = 0; i < without.Length; i++) Assert.Equal(Scores(without[i]), Scores(with[i]));
        Assert.Contains("SAE-256", world.Evaluate("--sae", sae, "--detector", "drift/ridge", "--detector", "sae/ridge", "--place", "all").Succeeded().Output);

        static JsonElement[] Detectors(Emscan run) => [.. run.Succeeded().Json.GetProperty("protocols")[0].GetProperty("detectors").EnumerateArray()];
    }

    [Fact]
    public void A_sparse_autoencoder_and_the_detectors_that_read_it_need_each_other()
    {
        string sae = Repository.File("models/llama/sae");
        world.Evaluate("--detector", "sae/ridge").FailedWith(2, "--detector sae/ridge reads the latents of a sparse autoencoder; give it with --sae DIR.");
        world.Evaluate("--sae", sae, "--detector", "drift/ridge").FailedWith(2, "--sae needs a detector that reads it: --detector sae/REGRESSOR, or no --detector at all.");
        world.Evaluate("--sae", sae, "--calibration", world.Calibration).FailedWith(2, "calibration.json reads no latents; 'emscan diff' shows which of them an adapter changes.");
        world.Evaluate(["--sae", sae, .. world.Labelled("qwen3")[2..]]).FailedWith(2, "--sae is the autoencoder of one base model; give --model once.");
        world.Evaluate("--sae", sae, "--kernel-device", "gpu").FailedWith(2, "--kernel-device is 'gpu', but must be auto, cpu, cuda:N or opencl:N");
        world.Evaluate("--sae", sae, "--kernel-device", "cuda:99").FailedWith(2, "There is no device cuda:99");
        world.Evaluate("--sae", world["nothing"]).FailedWith(1, "does not exist");
        Emscan.Run(world.Cache, ["evaluate", .. world.Labelled("qwen3"), "--layer", "2", "--sae", Narrow()]).FailedWith(1, "is for a width of 3; this model's is 96");

        string Narrow()
        {
            Directory.CreateDirectory(world["narrow"]);
            File.WriteAllText(world["narrow/cfg.json"], """{"hook_name": "blocks.2.hook_resid_post", "apply_b_dec_to_input": false}""");
            SafetensorsWriter.Write(world["narrow/sae_weights.safetensors"], [("W_enc", [3, 2], new float[6]), ("b_enc", [2], new float[2])], new Dictionary<string, string>());
            return world["narrow"];
        }
    }

    [Fact]
    public void Table_csv_and_json_agree()
    {
        JsonElement json = world.Evaluate([.. Quick, "--json"]).Succeeded().Json;
        string table = world.Evaluate(Quick).Succeeded().Output;
        string[][] csv = [.. world.Evaluate([.. Quick, "--csv"]).Succeeded().Output.TrimEnd('\n').Split('\n').Select(l => l.Split(','))];
        int row = 1;
        foreach (JsonElement protocol in json.GetProperty("protocols").EnumerateArray())
        {
            string name = protocol.GetProperty("name").GetString()!;
            string section = table[table.IndexOf($"{name}: ", StringComparison.Ordinal)..];
            JsonElement[] detectors = [.. protocol.GetProperty("detectors").EnumerateArray()];
            foreach (JsonElement detector in detectors) Same(detector, detector.GetProperty("detector").GetString()!, "", detector.GetProperty("title").GetString()!);
            string first = detectors[0].GetProperty("detector").GetString()!;
            foreach ((string key, string part, string prefix) in (IEnumerable<(string, string, string)>)
                [("by_model", "model ", ""), ("by_perturbation", "perturbation ", "  "), ("by_seed", "seed ", "  seed ")])
            {
                foreach (JsonElement figures in protocol.GetProperty(key).EnumerateArray())
                    Same(figures, first, part + figures.GetProperty("name").GetString(), key == "by_model" ? null : prefix + figures.GetProperty("name").GetString());
            }

            foreach (JsonElement at in protocol.GetProperty("at_thresholds").EnumerateArray())
                Same(at, first, "threshold", $"  {(100 * Dangerous(at)).ToString("0.##", CultureInfo.InvariantCulture)}%");

            void Same(JsonElement figures, string detector, string part, string? line)
            {
                Assert.Equal((name, detector, part), (Cell("protocol"), Cell("detector"), Cell("part")));
                foreach (string count in (string[])["runs", "checkpoints", "dangerous", "flagged"])
                    Assert.Equal(figures.GetProperty(count).GetInt32(), int.Parse(Cell(count)));
                foreach (JsonProperty metric in figures.GetProperty("metrics").EnumerateObject())
                {
                    Assert.Equal(Text(metric.Value, "value"), Cell(metric.Name));
                    Assert.Equal(Text(metric.Value, "low"), Cell($"{metric.Name}_low"));
                    Assert.Equal(Text(metric.Value, "high"), Cell($"{metric.Name}_high"));
                }

                row++;
                if (line == null) return;
                string printed = section.Split('\n').First(l => l.StartsWith(line + " ", StringComparison.Ordinal));
                string[] numbers = [.. printed[line.Length..].Split([' ', '[', ']', ','], StringSplitOptions.RemoveEmptyEntries)];
                string[] expected =
                [
                    .. Shown(figures, "false_negative_rate", 100, "0.0"), .. Shown(figures, "false_positive_rate", 100, "0.0"), .. Shown(figures, "auroc", 1, "0.000"),
                    .. Shown(figures, "accuracy", 100, "0.0"),
                ];
                Assert.Equal(expected, numbers[..expected.Length]);
            }

            string Cell(string column) => csv[row][Array.IndexOf(csv[0], column)];
        }

        Assert.Equal(csv.Length, row);

        static string Text(JsonElement estimate, string key) =>
            estimate.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble().ToString("R", CultureInfo.InvariantCulture) : "";

        static IEnumerable<string> Shown(JsonElement figures, string metric, double unit, string format)
        {
            JsonElement estimate = figures.GetProperty("metrics").GetProperty(metric);
            if (estimate.GetProperty("value").ValueKind == JsonValueKind.Null) return ["-"];
            return new[] { "value", "low", "high" }.Where(key => estimate.TryGetProperty(key, out _))
                .Select(key => (unit * estimate.GetProperty(key).GetDouble()).ToString(format, CultureInfo.InvariantCulture));
        }
    }

    [Fact]
    public void The_order_of_the_labels_does_not_matter_and_two_evaluations_are_the_same_to_the_byte()
    {
        string[] lines = File.ReadAllLines(world.LabelsOf("llama"));
        string[] shuffled = lines[1..];
        new Random(5).Shuffle(shuffled);
        string reordered = world["shuffled.csv"];

        // Columns in another order too: em_rate, run, step, n_scored.
        string[] header = lines[0].Split(',');
        int Column(string name) => Array.IndexOf(header, name);
        File.WriteAllLines(reordered, ["em_rate,run,step,n_scored", .. shuffled.Select(l => l.Split(',')).Select(
            c => $"{c[Column("em_rate")]},{c[Column("perturbation")]}/seed_{c[Column("seed")]},{c[Column("step")]},{c[Column("n_scored")]}")]);
        string[] options = ["--json", .. Quick, "--detector", "drift/random-forest", "--detector", "activation-pls/ridge"];
        string first = world.Evaluate(options).Succeeded().Output;
        Assert.Equal(first, world.Evaluate(options).Succeeded().Output);
        Assert.Equal(first, Emscan.Run(world.Cache, ["evaluate", .. world.Labelled("llama", reordered), .. options]).Succeeded().Output);
    }

    [Fact]
    public void Calibrating_again_writes_the_same_file_to_the_byte()
    {
        // The first was measured, this one comes from the record.
        Emscan again = Emscan.Run(world.Cache, ["calibrate", "--output", world["again.json"], .. world.Calibrated]).Succeeded();
        Assert.Equal(File.ReadAllBytes(world.Calibration), File.ReadAllBytes(world["again.json"]));
        Assert.Contains("fitted on 66 checkpoints of 12 runs, 6 perturbations; 19 dangerous (EM rate above 6%)", again.Output);
        Assert.Contains("leave one perturbation out ", again.Output);
        Assert.Contains("leave one seed out ", again.Output);
        JsonElement json = JsonDocument.Parse(File.ReadAllBytes(world.Calibration)).RootElement;
        JsonElement evaluated = Emscan.Run(world.Cache, ["evaluate", "--json", "--detector", "drift+activation/kernel-ridge", .. world.Calibrated]).Succeeded().Json.GetProperty("protocols");
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(
                evaluated[i].GetProperty("detectors")[0].GetProperty("metrics").GetProperty("auroc").GetProperty("value").GetDouble(),
                json.GetProperty("validation")[i].GetProperty("metrics").GetProperty("auroc").GetProperty("value").GetDouble());
        }
    }

    [Fact]
    public void A_calibration_is_evaluated_at_its_own_layer_with_the_scores_of_a_scan()
    {
        string calibration = world["layer2.json"];
        Emscan.Run(world.Cache, ["calibrate", "--output", calibration, "--layer", "2", .. world.Labelled("llama")]).Wrote(calibration);
        Emscan evaluated = world.Evaluate("--calibration", calibration, "--json").Succeeded();
        Assert.DoesNotContain("evaluated all the same", evaluated.Errors);
        JsonElement protocol = Assert.Single(evaluated.Json.GetProperty("protocols").EnumerateArray());
        JsonElement detector = Assert.Single(protocol.GetProperty("detectors").EnumerateArray());
        Assert.Equal("as calibrated", protocol.GetProperty("name").GetString());
        Score[] scores = Scores(detector);
        CheckFigures(detector, scores, 0.06, 0.06);
        Dictionary<(string, long), double> scanned = world.Scan("", "--calibration", calibration, "--json").Json.GetProperty("runs").EnumerateArray()
            .SelectMany(r => r.GetProperty("trajectory").EnumerateArray().Skip(1).Select(p =>
                ((r.GetProperty("run").GetString()!, p.GetProperty("step").GetInt64()), p.GetProperty("verdict").GetProperty("score").GetDouble())))
            .ToDictionary(p => p.Item1, p => p.Item2);
        Assert.Equal(60, scores.Length);
        Assert.All(scores, s => Assert.Equal(scanned[(s.Run, s.Step)], s.Predicted));
        Assert.Contains("intervals meant to hold 90% of the true rates held", world.Evaluate("--calibration", calibration).Succeeded().Output);

        // Where another layer is asked for, the figures are not those of the calibration, and that is said.
        Assert.Contains(
            "was made at layer 2, and this scan measures layer 3; ask for layer 2; evaluated all the same.",
            world.Evaluate("--calibration", calibration, "--layer", "3").Succeeded().Errors);
    }

    [Fact]
    public void Trained_on_some_and_tested_on_others()
    {
        JsonElement protocol = Assert.Single(world.Evaluate(
            "--train", "bad_medical,gsm8k", "--train", "good_*", "--test", "*/seed_123", "--detector", "drift/scaled-ridge", "--json").Succeeded()
            .Json.GetProperty("protocols").EnumerateArray());
        Assert.Equal("fitted on bad_medical, gsm8k, good_*", protocol.GetProperty("name").GetString());
        Score[] scores = Scores(protocol.GetProperty("detectors")[0]);
        Assert.Equal(["confident_medical/seed_123", "insecure_code/seed_123"], scores.Select(s => s.Run).Distinct());
        CheckFigures(protocol.GetProperty("detectors")[0], scores, 0.06, 0.06);
        JsonElement rest = world.Evaluate("--exclude", "insecure_code, */seed_42", "--json", "--detector", "drift/ridge").Succeeded().Json;
        Assert.Equal(
            ["bad_medical/seed_123", "confident_medical/seed_123", "good_medical/seed_123", "gsm8k/seed_123"],
            rest.GetProperty("checkpoints").EnumerateArray().Select(c => c.GetProperty("run").GetString()).Distinct());
    }

    [Fact]
    public void Names_that_fit_nothing_and_parts_that_leave_nothing_get_a_sentence()
    {
        const string Known = "the perturbations are bad_medical, confident_medical, good_medical, gsm8k, insecure_code.";
        string[] detector = ["--detector", "drift/ridge"];
        world.Evaluate([.. detector, "--train", "bad_medical,jailbroken"]).FailedWith(1, $"No labelled checkpoint fits 'jailbroken'; {Known}");
        world.Evaluate([.. detector, "--exclude", "Gsm8k"]).FailedWith(1, $"No labelled checkpoint fits 'Gsm8k'; {Known}");
        world.Evaluate([.. detector, "--train", "bad_*,gsm8k", "--test", "gsm8k"]).FailedWith(1, "No labelled checkpoint fits 'gsm8k'; the perturbations are confident_medical, ");
        world.Evaluate([.. detector, "--train", "*"]).FailedWith(1, "Every labelled checkpoint is trained on, so none is left to evaluate.");
        world.Evaluate([.. detector, "--exclude", "*"]).FailedWith(1, "There are no labelled checkpoints to evaluate.");
        world.Evaluate([.. detector, "--train", "gsm8k/seed_42"]).FailedWith(1, "6 labelled checkpoints are too few to fit a detector");
        world.Evaluate([.. detector, "--test", "gsm8k"]).FailedWith(2, "--test needs --train.");
        Calibrate("--exclude", "*").FailedWith(2, "--exclude leaves no labelled checkpoint.");
        Calibrate("--exclude", "gsm8k,good_medical,confident_medical,insecure_code").FailedWith(1, "All labelled runs are of one perturbation (bad_medical)");
        Calibrate("--exclude", "bad_medical,insecure_code").FailedWith(1, "None of the 36 labelled checkpoints is above the danger threshold of 6%");
        Calibrate("--exclude", "*_medical,insecure_code,gsm8k/seed_42").FailedWith(1, "All labelled checkpoints are of one run");
    }

    public static TheoryData<string, int, string> Damages => new()
    {
        { "no match", 1, "none of its labels fits a checkpoint" },
        { "percent", 1, "looks like a percentage; write fractions from 0 to 1" },
        { "one percent sign", 1, "line 3 has the em_rate '3%' with a percent sign, unlike line 2; write all rates in one way" },
        { "NaN", 1, "line 3 has the em_rate 'NaN', which is not a number" },
        { "duplicate", 1, "again, as line 2 does; keep one of them" },
        { "constant", 1, "have the same EM rate, 0.25; there is nothing to learn from them" },
        { "single run", 1, "run" },
        { "six checkpoints", 1, "too few to fit a detector; at least 7 are needed" },
        { "only the base", 1, "labels only step 0" },
        { "no rate", 1, "lacks a column" },
        { "empty", 1, "is empty" },
        { "missing", 1, "labels-missing.csv" },
        { "a model", 1, "damaged-labels.csv" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void Labels_that_cannot_be_used_get_a_sentence(string damage, int exitCode, string fragment)
    {
        string path = world[damage == "missing" ? "labels-missing.csv" : "damaged-labels.csv"];
        string[] good = [.. File.ReadAllLines(world.LabelsOf("llama")).Skip(1).Select(l => l.Split(',')).Where(c => c[3] != "0").Select(c => $"{c[1]}/seed_{c[2]},{c[3]},{c[4]}")];
        string[] At(params string[] starts) => [.. good.Where(l => starts.Any(s => l.StartsWith(s, StringComparison.Ordinal)))];
        string[] labels = damage switch
        {
            "no match" => [.. good.Select(l => "other_" + l)],
            "percent" => [.. good.Select(l => l.Split(',')).Select(c => $"{c[0]},{c[1]},{(100 * double.Parse(c[2], CultureInfo.InvariantCulture)).ToString(CultureInfo.InvariantCulture)}")],
            "one percent sign" => [good[0], "bad_medical/seed_42,20,3%"],
            "NaN" => [good[0], "bad_medical/seed_42,500,NaN"],
            "duplicate" => [good[0], good[1], good[0]],
            "constant" => [.. good.Select(l => l[..(l.LastIndexOf(',') + 1)] + "0.25")],
            "single run" => At("bad_medical/seed_42,"),
            "six checkpoints" => At("bad_medical/seed_42,20,", "bad_medical/seed_42,60,", "bad_medical/seed_42,120,", "gsm8k/seed_42,20,", "gsm8k/seed_42,60,", "gsm8k/seed_42,120,"),
            "only the base" => ["bad_medical/seed_42,0,0.01"],
            _ => good,
        };
        if (damage is "empty") File.WriteAllText(path, "");
        else if (damage is "a model") File.Copy(world.Model("llama"), path, overwrite: true);
        else if (damage is not "missing") File.WriteAllLines(path, [damage == "no rate" ? "run,step,rate" : "run,step,em_rate", .. labels]);

        Emscan evaluate = Emscan.Run(world.Cache, ["evaluate", "--detector", "drift/ridge", .. world.Labelled("llama", path)]).FailedWith(exitCode, fragment);
        Assert.Equal("", evaluate.Output);
        string output = world["never.json"];
        Emscan calibrate = Emscan.Run(world.Cache, ["calibrate", "--output", output, .. world.Labelled("llama", path)]).FailedWith(exitCode, fragment);
        Assert.Equal("", calibrate.Output);
        Assert.False(File.Exists(output));
    }

    [Fact]
    public void Percentages_are_taken_as_such_where_the_heading_says_so()
    {
        string[][] lines = [.. File.ReadAllLines(world.LabelsOf("llama")).Select(l => l.Split(','))];
        string path = world["percent-labels.csv"];
        File.WriteAllLines(path, lines.Select((c, i) =>
            string.Join(',', [.. c[..4], i == 0 ? "em_rate (%)" : (100 * double.Parse(c[4], CultureInfo.InvariantCulture)).ToString(CultureInfo.InvariantCulture), .. c[5..]])));
        string[] arguments = ["evaluate", "--detector", "drift/ridge", "--csv"];
        Emscan expected = Emscan.Run(world.Cache, [.. arguments, .. world.Labelled("llama")]).Succeeded(), run = Emscan.Run(world.Cache, [.. arguments, .. world.Labelled("llama", path)]).Succeeded();
        (string[] first, string[] second) = (expected.Output.Split('\n'), run.Output.Split('\n'));
        Assert.Equal(first.Length, second.Length);
        Assert.True(first.Length > 10);
        foreach ((string a, string b) in first.Zip(second).Skip(1).Where(pair => pair.First.Length > 0))
            Assert.All(a.Split(',').Zip(b.Split(',')), cell => Assert.True(cell.First == cell.Second || Math.Abs(Number(cell.First) - Number(cell.Second)) < 1e-9, $"{a}\n{b}"));

        static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Labels_that_fit_only_in_part_are_used_and_the_rest_is_said()
    {
        Emscan run = world.Evaluate("--detector", "drift/ridge").Succeeded();
        Assert.Contains("emscan: note: 724 of 784 labels have no checkpoint here, for example ", run.Errors);
    }

    [Fact]
    public void Another_base_model_is_scored_by_detectors_that_never_saw_it()
    {
        string[] llama = world.Labelled("llama"), qwen = world.Labelled("qwen3")[2..], detectors = ["--detector", "drift/scaled-ridge", "--detector", "drift/random-forest", "--json"];
        JsonElement study = Emscan.Run(world.Cache, ["evaluate", .. llama, .. qwen, .. detectors]).Succeeded().Json;
        JsonElement[] protocols = [.. study.GetProperty("protocols").EnumerateArray()];
        Assert.Equal(["leave one perturbation out", "leave one seed out", "leave one base model out"], protocols.Select(p => p.GetProperty("name").GetString()));
        foreach (JsonElement protocol in protocols)
        {
            Score[] scores = Scores(protocol.GetProperty("detectors")[0]);
            Assert.Equal(84, scores.Length);
            Assert.Equal(["llama/model-q8_0", "qwen3/model-q8_0"], protocol.GetProperty("by_model").EnumerateArray().Select(m => m.GetProperty("name").GetString()));
            foreach (JsonElement part in protocol.GetProperty("by_model").EnumerateArray())
                CheckFigures(part, [.. scores.Where(s => s.Model == part.GetProperty("name").GetString())], 0.06, 0.06);
            foreach (JsonElement detector in protocol.GetProperty("detectors").EnumerateArray()) CheckFigures(detector, Scores(detector), 0.06, 0.06);
        }

        Assert.Equal(["llama/model-q8_0", "qwen3/model-q8_0"], study.GetProperty("drift_axes").EnumerateArray().Select(a => a.GetProperty("model").GetString()));
        CheckAxis(study);

        // Fitted on the one, scored on the other: what the two alone give, whichever is named first.
        JsonElement swapped = Emscan.Run(world.Cache, ["evaluate", .. world.Labelled("qwen3"), .. llama[2..], .. detectors]).Succeeded().Json;
        for (int protocol = 0; protocol < 3; protocol++)
        {
            for (int detector = 0; detector < 2; detector++)
            {
                Assert.Equal(
                    Scores(protocols[protocol].GetProperty("detectors")[detector]).OrderBy(s => (s.Model, s.Run, s.Step)),
                    Scores(swapped.GetProperty("protocols")[protocol].GetProperty("detectors")[detector]).OrderBy(s => (s.Model, s.Run, s.Step)));
            }
        }
    }

    [Theory]
    [InlineData(2, "--threshold must be a number from 0 to 1", "--threshold", "6")]
    [InlineData(2, "--threshold must be a number from 0 to 1", "--threshold", "NaN")]
    [InlineData(2, "--json and --csv exclude each other", "--json", "--csv")]
    [InlineData(2, "equally often; there are 1, 1 and 2", "--labels", "x")]
    [InlineData(2, "Give --layer once for each of the 1 models", "--layer", "2", "--layer", "3")]
    [InlineData(2, "it excludes --detector, --train, --test and --threshold", "--calibration", "x.json", "--detector", "drift/ridge")]
    [InlineData(2, "it excludes --detector, --train, --test and --threshold", "--calibration", "x.json", "--threshold", "0.1")]
    [InlineData(2, "There are no features called 'magic'", "--detector", "magic/ridge")]
    [InlineData(2, "'drift' is not of the form FEATURES/REGRESSOR", "--detector", "drift")]
    [InlineData(2, "Layer 99 does not exist", "--layer", "99")]
    public void Options_that_make_no_sense_get_a_sentence(int exitCode, string fragment, params string[] more) => world.Evaluate(more).FailedWith(exitCode, fragment);

    [Fact]
    public void A_calibration_is_for_one_model() =>
        Emscan.Run(world.Cache, ["calibrate", "--output", world["never.json"], .. world.Labelled("llama"), .. world.Labelled("qwen3")[2..]])
            .FailedWith(2, "A calibration is made for one base model; give --model once.");

    private Emscan Calibrate(params string[] more) => Emscan.Run(world.Cache, ["calibrate", "--output", world["never.json"], .. world.Labelled("llama"), .. more]);

    private sealed record Score(string Model, string Run, long Step, double True, double Predicted);

    private static double Dangerous(JsonElement figures) => figures.GetProperty("dangerous_above").GetDouble();

    private static double Flagged(JsonElement figures) => figures.GetProperty("flagged_above").GetDouble();

    private static Score[] Scores(JsonElement detector) => [.. detector.GetProperty("scores").EnumerateArray().Select(s => new Score(
        s.GetProperty("model").GetString()!, s.GetProperty("run").GetString()!, s.GetProperty("step").GetInt64(), s.GetProperty("em_rate").GetDouble(),
        s.GetProperty("score").GetDouble()))];

    /// <summary>Counts and rates by counting, AUROC over all pairs.</summary>
    private static void CheckFigures(JsonElement figures, Score[] scores, double dangerousAbove, double flaggedAbove)
    {
        Score[] dangerous = [.. scores.Where(s => s.True > dangerousAbove)], harmless = [.. scores.Where(s => s.True <= dangerousAbove)];
        Assert.Equal(scores.Length, figures.GetProperty("checkpoints").GetInt32());
        Assert.Equal(scores.Select(s => (s.Model, s.Run)).Distinct().Count(), figures.GetProperty("runs").GetInt32());
        Assert.Equal(dangerous.Length, figures.GetProperty("dangerous").GetInt32());
        Assert.Equal(scores.Count(s => s.Predicted > flaggedAbove), figures.GetProperty("flagged").GetInt32());
        Same("false_negative_rate", dangerous.Length == 0 ? null : dangerous.Count(s => s.Predicted <= flaggedAbove) / (double)dangerous.Length);
        Same("false_positive_rate", harmless.Length == 0 ? null : harmless.Count(s => s.Predicted > flaggedAbove) / (double)harmless.Length);
        Same("accuracy", scores.Count(s => (s.True > dangerousAbove) == (s.Predicted > flaggedAbove)) / (double)scores.Length);
        Same("auroc", Auroc(scores, dangerousAbove));
        Same("mean_absolute_error", scores.Average(s => Math.Abs(s.True - s.Predicted)));

        void Same(string metric, double? expected)
        {
            JsonElement estimate = figures.GetProperty("metrics").GetProperty(metric);
            if (expected is not { } number)
            {
                Assert.Equal(JsonValueKind.Null, estimate.GetProperty("value").ValueKind);
                Assert.True(estimate.TryGetProperty("why_undefined", out _));
                return;
            }

            Assert.Equal(number, estimate.GetProperty("value").GetDouble(), 1e-9);
            if (!estimate.TryGetProperty("low", out JsonElement low)) return;
            Assert.True(low.GetDouble() <= estimate.GetProperty("high").GetDouble());
        }
    }

    private static double? Auroc(Score[] scores, double dangerousAbove)
    {
        Score[] dangerous = [.. scores.Where(s => s.True > dangerousAbove)], harmless = [.. scores.Where(s => s.True <= dangerousAbove)];
        if (dangerous.Length == 0 || harmless.Length == 0) return null;
        return dangerous.Average(d => harmless.Average(h => d.Predicted > h.Predicted ? 1 : d.Predicted == h.Predicted ? 0.5 : 0));
    }

    /// <summary>
    /// The shares of the principal components by their power sums: sum of shares^k is tr(C^k) / tr(C)^k for the covariance C of the last
    /// drifts. All K sums determine all K shares, and no eigenvalue has to be computed.
    /// </summary>
    private static void CheckAxis(JsonElement study)
    {
        // Drifts and their deviations enter the moments in single precision.
        const double Rounding = 3e-7;
        foreach (JsonElement axis in study.GetProperty("drift_axes").EnumerateArray())
        {
            double[][] final = [.. study.GetProperty("checkpoints").EnumerateArray().Where(c => c.GetProperty("model").GetString() == axis.GetProperty("model").GetString())
                .GroupBy(c => c.GetProperty("run").GetString()).Select(run => run.MaxBy(c => c.GetProperty("step").GetInt64()))
                .Select(c => c.GetProperty("drift").EnumerateObject().Select(d => d.Value.GetDouble()).ToArray())];
            Assert.Equal(final.Length, axis.GetProperty("runs").GetInt32());
            int width = final[0].Length;
            double[] mean = [.. Enumerable.Range(0, width).Select(k => final.Average(x => x[k]))];
            double[,] covariance = new double[width, width];
            for (int i = 0; i < width; i++)
            {
                for (int j = 0; j < width; j++) covariance[i, j] = final.Sum(x => (x[i] - mean[i]) * (x[j] - mean[j]));
            }

            double[] shares = [.. axis.GetProperty("shares").EnumerateArray().Select(s => s.GetDouble())];
            Assert.Equal(shares.OrderDescending(), shares);
            double trace = Enumerable.Range(0, width).Sum(k => covariance[k, k]);
            double[,] power = covariance;
            for (int k = 1; k <= width; k++)
            {
                Assert.Equal(Enumerable.Range(0, width).Sum(i => power[i, i]) / Math.Pow(trace, k), shares.Sum(s => Math.Pow(s, k)), Rounding);
                power = Product(power, covariance);
            }

            // C v = share tr(C) v: the loadings are the axis of the largest share.
            double[] loadings = [.. axis.GetProperty("loadings").EnumerateObject().Select(l => l.Value.GetDouble())];
            for (int i = 0; i < width; i++)
                Assert.Equal(shares[0] * loadings[i], Enumerable.Range(0, width).Sum(j => covariance[i, j] * loadings[j]) / trace, Rounding);
            Assert.Equal(1 / shares.Sum(s => s * s), axis.GetProperty("participation_ratio").GetDouble(), 1e-9);
        }

        static double[,] Product(double[,] a, double[,] b)
        {
            int n = a.GetLength(0);
            double[,] result = new double[n, n];
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < n; j++) result[i, j] = Enumerable.Range(0, n).Sum(k => a[i, k] * b[k, j]);
            }

            return result;
        }
    }
}
