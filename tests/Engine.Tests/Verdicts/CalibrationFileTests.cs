using System.Text;
using System.Text.Json.Nodes;
using EmScan.Engine.Tests.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>A calibration on disk: the same verdicts after reading, and one sentence for whatever was done to the file.</summary>
public sealed class CalibrationFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Recipes =>
        [.. DetectorRecipe.Table(Synthetic.Traits).Select(r => r.Name), "activation-pca/kernel-ridge", "pc1+step/gradient-boosting"];

    [Theory]
    [MemberData(nameof(Recipes))]
    public void A_calibration_that_was_read_judges_to_the_bit_as_the_one_that_was_written(string recipe)
    {
        Calibration written = Calibration.Fit(Synthetic.Scan(Synthetic.Runs(seeds: 2)), DetectorRecipe.Parse(recipe), 0.07);
        string path = _folder["calibration.json"], again = _folder["again.json"];
        CalibrationFile.Write(path, written);
        Calibration read = CalibrationFile.Read(path);
        Assert.Equal((written.DangerousAbove, written.Seed, written.FlaggedAbove), (read.DangerousAbove, read.Seed, read.FlaggedAbove));
        Assert.Null(written.Base.Mismatch(read.Base));
        foreach (LabelledObservation c in Synthetic.Runs(seed: 9)) Assert.Equal(written.Judge(c.Observation), read.Judge(c.Observation));

        // All but the validation, which is for people, is written again as it was.
        CalibrationFile.Write(again, read);
        JsonObject first = Json(path), second = Json(again);
        first["validation"] = new JsonArray();
        Assert.Equal(first.ToJsonString(), second.ToJsonString());
    }

    [Theory]
    [InlineData("sae/ridge")]
    [InlineData("sae/kernel-ridge")]
    [InlineData("sae/random-forest")]
    public void A_calibration_on_latents_names_its_autoencoder_and_judges_to_the_bit_when_it_was_read(string recipe)
    {
        LabelledSet scan = Synthetic.WithLatents(Synthetic.Scan(Synthetic.Runs(seeds: 2)), count: 300);
        Calibration written = Calibration.Fit(scan, DetectorRecipe.Parse(recipe), 0.07);
        string path = _folder["calibration.json"], again = _folder["again.json"];
        CalibrationFile.Write(path, written);
        JsonObject first = Json(path);
        Assert.Equal("""{"name":"sae","digest":"0123456789abcdef","latents":300}""", first["base"]!["autoencoder"]!.ToJsonString());
        Assert.Equal(3, first["version"]!.GetValue<int>());
        Calibration read = CalibrationFile.Read(path);
        Assert.Equal(scan.Base.Autoencoder, read.Base.Autoencoder);
        Assert.StartsWith("sees more of a checkpoint (SAE-256)", read.WhyFixed);
        foreach (LabelledObservation c in Synthetic.WithLatents(Synthetic.Scan(Synthetic.Runs(seed: 9)), count: 300, seed: 2).Checkpoints)
            Assert.Equal(written.Judge(c.Observation), read.Judge(c.Observation));
        CalibrationFile.Write(again, read);
        first["validation"] = new JsonArray();
        Assert.Equal(first.ToJsonString(), Json(again).ToJsonString());

        // What reads no latents needs no autoencoder, although one was measured.
        CalibrationFile.Write(path, Calibration.Fit(scan, DetectorRecipe.Parse("drift/ridge")));
        Assert.Null(CalibrationFile.Read(path).Base.Autoencoder);
        Assert.Equal(2, Json(path)["version"]!.GetValue<int>());
    }

    [Theory]
    [InlineData("base/autoencoder", null, "has a detector of 300 latents and an \"autoencoder\" of 0")]
    [InlineData("base/autoencoder/latents", "299", "has a detector of 300 latents and an \"autoencoder\" of 299")]
    [InlineData("base/autoencoder/digest", "7", "has a \"digest\" that is not a text")]
    [InlineData("base/autoencoder/name", null, "lacks a text \"name\"")]
    [InlineData("detector/regressor/transforms/0/columns", "[]", "has a column selection whose \"columns\" are not ascending numbers of 300 features")]
    [InlineData("detector/regressor/transforms/0/columns", "[3, 3]", "has a column selection whose \"columns\" are not ascending numbers of 300 features")]
    [InlineData("detector/regressor/transforms/0/columns", "[-1]", "has a column selection whose \"columns\" are not ascending numbers of 300 features")]
    [InlineData("detector/regressor/transforms/0/columns", "[300]", "has a column selection whose \"columns\" are not ascending numbers of 300 features")]
    [InlineData("detector/regressor/transforms/0/columns", "[0, 1]", "has a pipeline with a part that does not take what the part before it gives")]
    [InlineData("detector/regressor/transforms/0/columns", null, "has no list \"columns\" in a regressor")]
    public void Latents_that_fit_nothing_are_refused(string field, string? value, string problem)
    {
        string path = _folder["calibration.json"];
        CalibrationFile.Write(path, Calibration.Fit(Synthetic.WithLatents(Synthetic.Scan(Synthetic.Runs(seeds: 2)), count: 300), DetectorRecipe.LatentBaseline));
        JsonObject root = Json(path);
        Change(root, field, remove: value == null, value == null ? null : JsonNode.Parse(value));
        Refused(path, root, problem);
    }

    [Fact]
    public void The_same_calibration_is_the_same_file()
    {
        LabelledSet scan = Synthetic.Scan(Synthetic.Runs());
        CalibrationFile.Write(_folder["a"], Calibration.Fit(scan));
        CalibrationFile.Write(_folder["b"], Calibration.Fit(scan));
        Assert.Equal(File.ReadAllBytes(_folder["a"]), File.ReadAllBytes(_folder["b"]));
    }

    [Theory]
    [InlineData("drift+activation/kernel-ridge")]
    [InlineData("drift/random-forest")]
    [InlineData("pc1+step/logistic")]
    [InlineData("activation-pls/ridge")]
    public void Whatever_is_done_to_a_field_the_file_is_refused_in_a_sentence_or_judges_with_numbers(string recipe)
    {
        string path = Small(recipe), text = File.ReadAllText(path);
        JsonNode?[] replacements =
        [
            null, "text", "", -1, 0, 1.5, 1e308, -1e308, 1e-308, 4e9, true, new JsonArray(), new JsonArray(1), new JsonArray("a", "a"), new JsonArray(new JsonArray(1)),
            new JsonObject(), new JsonObject { ["kind"] = "ridge" }, "\ud800", new string('x', 10_000),
        ];
        int refused = 0, accepted = 0;
        foreach (string field in Fields(JsonNode.Parse(text)!, ""))
        {
            for (int i = -1; i < replacements.Length; i++)
            {
                JsonNode root = JsonNode.Parse(text)!;
                Change(root, field, i < 0, i < 0 ? null : replacements[i]?.DeepClone());
                File.WriteAllText(path, root.ToJsonString());
                if (HostileInput.Refuses(path, ReadAndJudge)) refused++;
                else accepted++;
            }
        }

        Assert.True(refused > 500 && accepted > 50, $"{refused} refused, {accepted} accepted");
    }

    [Theory]
    [InlineData("format", "is not a calibration; 'emscan calibrate' writes one")]
    [InlineData("version", "is a calibration of another version than 1 to 3; run 'emscan calibrate' again")]
    [InlineData("base", "lacks an object \"base\"")]
    [InlineData("base/model_sha256", "lacks a text \"model_sha256\"")]
    [InlineData("base/model_description", "lacks a text \"model_description\"")]
    [InlineData("base/layers", "lacks a count \"layers\"")]
    [InlineData("base/layer", "lacks a count \"layer\"")]
    [InlineData("base/prompts", "lacks a count \"prompts\"")]
    [InlineData("base/numeric_mode", "lacks a text \"numeric_mode\"")]
    [InlineData("base/traits", "lacks a list \"traits\"")]
    [InlineData("base/projections_normalized", "lacks a list \"projections_normalized\"")]
    [InlineData("dangerous_above", "lacks a number \"dangerous_above\"")]
    [InlineData("calibration_set", "lacks an object \"calibration_set\"")]
    [InlineData("calibration_set/fingerprint", "lacks a text \"fingerprint\"")]
    [InlineData("calibration_set/runs", "lacks a count \"runs\"")]
    [InlineData("calibration_set/checkpoints", "lacks a count \"checkpoints\"")]
    [InlineData("calibration_set/dangerous_checkpoints", "lacks a count \"dangerous_checkpoints\"")]
    [InlineData("calibration_set/lowest_em_rate", "lacks a number \"lowest_em_rate\"")]
    [InlineData("calibration_set/highest_em_rate", "lacks a number \"highest_em_rate\"")]
    [InlineData("calibration_set/perturbations", "lacks a list \"perturbations\"")]
    [InlineData("drift_axis/runs", "lacks a count \"runs\"")]
    [InlineData("drift_axis/mean", "lacks a list \"mean\"")]
    [InlineData("drift_axis/covariance", "lacks a list \"covariance\"")]
    [InlineData("range", "lacks an object \"range\"")]
    [InlineData("range/limit", "lacks a number \"limit\"")]
    [InlineData("range/scale", "lacks a list \"scale\"")]
    [InlineData("range/checkpoints", "lacks a list \"checkpoints\"")]
    [InlineData("interval/groups", "lacks a count \"groups\"")]
    [InlineData("interval/quantile", "lacks a list \"predicted\"")]
    [InlineData("forecast/detector", "lacks an object \"detector\"")]
    [InlineData("forecast/interval", "lacks an object \"interval\"")]
    [InlineData("forecast/benign_runs", "lacks a count \"benign_runs\"")]
    [InlineData("detector", "lacks an object \"detector\"")]
    [InlineData("detector/features", "lacks a text \"features\"")]
    [InlineData("detector/learner", "lacks a text \"learner\"")]
    [InlineData("detector/columns", "lacks a list \"columns\"")]
    [InlineData("detector/regressor", "lacks an object \"regressor\"")]
    public void A_field_that_is_missing_is_named(string field, string problem)
    {
        string path = Small("drift+activation/kernel-ridge");
        JsonObject root = Json(path);
        Change(root, field, remove: true, null);
        Refused(path, root, problem);
    }

    [Theory]
    [InlineData("format", "\"gguf\"", "is not a calibration; 'emscan calibrate' writes one")]
    [InlineData("version", "4", "is a calibration of another version than 1 to 3; run 'emscan calibrate' again")]
    [InlineData("dangerous_above", "1.5", "has a \"dangerous_above\" that is not from 0 to 1")]
    [InlineData("base/layer", "-1", "lacks a count \"layer\"")]
    [InlineData("base/traits", "[]", "has 3 projections of the base for 0 traits")]
    [InlineData("base/traits", "[1, 2, 3]", "has a \"traits\" that is not a list of texts")]
    [InlineData("base/traits", "[\"a\", \"b\", \"a\"]", "names a trait twice")]
    [InlineData("base/directions", "[[1, 0], [1, 0]]", "has \"directions\" that are not one of the same width for each of 3 traits")]
    [InlineData("base/directions", "[[1, 0], [1, 0], [0, 2]]", "has \"directions\" that are none: The direction of 'confidence' at layer 3 has norm 2")]
    [InlineData("base/projections_normalized", "[0.1, 1e999, 0]", "has a \"projections_normalized\" that is not a list of numbers")]
    [InlineData("range/limit", "0", "has a \"range\" that does not fit 3 traits")]
    [InlineData("range/scale", "[1, 1, 0, 1]", "has a \"range\" that does not fit 3 traits")]
    [InlineData("range/checkpoints", "[]", "has a \"range\" that does not fit 3 traits")]
    [InlineData("range/checkpoints", "[[1, 2, 3]]", "has a \"range\" that does not fit 3 traits")]
    [InlineData("interval", "null", "lacks an object \"interval\"")]
    [InlineData("interval/quantile", "-1", "has an \"interval\" with a negative quantile or doubt")]
    [InlineData("interval/unknown_above", "0", "has an \"interval\" with a negative quantile or doubt")]
    [InlineData("interval", "{\"level\": 0.9, \"predicted\": [0.1, 0.2], \"true\": [0.1]}", "has an \"interval\" that is not pairs of rates from 0 to 1")]
    [InlineData("forecast/alarm_above", "2", "has a \"alarm_above\" that is not from 0 to 1")]
    [InlineData("drift_axis/covariance", "[1, 2, 0, 3, 1, 0, 0, 0, 1]", "has a \"drift_axis\" that is none: The covariance is not symmetric for 'harmlessness' and 'honesty'")]
    [InlineData("drift_axis/covariance", "[1]", "has a \"drift_axis\" that is none: The covariance has 1 values for 3 traits")]
    [InlineData("labelled/0/steps", "[\"10\", \"soon\"]", "has lists of different lengths for the labelled run 'bad_code/seed_1'")]
    [InlineData("labelled/0/steps/0", "\"soon\"", "has a step 'soon' that is neither a number nor final")]
    [InlineData("labelled/0/em_rates/0", "2", "has a \"em_rates\" that is not from 0 to 1")]
    [InlineData("labelled/0/drifts/0", "[1, 2]", "has a labelled checkpoint that does not fit 3 traits")]
    [InlineData("detector/features", "\"telepathy\"", "needs another version of emscan: There are no features called 'telepathy'")]
    [InlineData("detector/learner", "\"oracle\"", "needs another version of emscan: There is no regressor called 'oracle'")]
    [InlineData("detector/columns", "[\"a\"]", "has a regressor of 4 features for 1 columns")]
    public void A_field_that_is_wrong_is_named(string field, string value, string problem)
    {
        string path = Small("drift+activation/kernel-ridge");
        string text = File.ReadAllText(path);
        JsonNode root = JsonNode.Parse(text)!;
        Change(root, field, remove: false, "REPLACED");
        File.WriteAllText(path, root.ToJsonString().Replace("\"REPLACED\"", value));
        Assert.StartsWith($"{path}: {problem}", Assert.Throws<InputFileException>(() => CalibrationFile.Read(path)).Message);
    }

    [Fact]
    public void A_file_of_before_there_were_conformal_intervals_judges_by_its_pairs_and_its_range()
    {
        string path = Small("drift+activation/kernel-ridge");
        JsonObject root = Json(path);
        (double, double)[] pairs = [.. Enumerable.Range(0, 40).Select(i => (i / 100.0, i / 90.0))];
        root["interval"] = new JsonObject
        {
            ["level"] = 0.9,
            ["predicted"] = new JsonArray([.. pairs.Select(p => (JsonNode)p.Item1)]),
            ["true"] = new JsonArray([.. pairs.Select(p => (JsonNode)p.Item2)]),
        };
        root.Remove("forecast");
        File.WriteAllText(path, root.ToJsonString());
        Calibration calibration = CalibrationFile.Read(path);
        var interval = new RateInterval(pairs);
        foreach (LabelledObservation c in Synthetic.Runs(seed: 9))
        {
            CalibratedVerdict verdict = calibration.Judge(c.Observation);
            Assert.Equal(interval.Around(verdict.Score), verdict.Interval);
            Assert.Null(verdict.Doubt);
            Assert.Null(verdict.Forecast);
            Assert.Equal(verdict.Outside && !verdict.Dangerous, verdict.Unknown);
        }
    }

    [Fact]
    public void Absurd_numbers_never_pass_as_harmless()
    {
        // Finite in the file, but infinity minus infinity for a checkpoint at step 60 whose 100 |PC1| is above 1.1.
        string path = Small("pc1+step/ridge");
        JsonObject root = Json(path);
        root["detector"]!["regressor"]!["regressor"]!["coefficients"] = new JsonArray(-1.7e308, 1.7e308, 0);
        File.WriteAllText(path, root.ToJsonString());
        Calibration calibration = CalibrationFile.Read(path);
        int refused = 0;
        foreach (LabelledObservation c in Synthetic.Runs(seed: 9))
        {
            try
            {
                Assert.True(double.IsFinite(calibration.Judge(c.Observation).Score));
            }
            catch (EmScanException e)
            {
                Assert.Contains($"no number for {c.Observation.Run} step", e.Message);
                refused++;
            }
        }

        Assert.True(refused > 0);
    }

    [Fact]
    public void Truncated_and_damaged_files_are_refused_or_read_and_nothing_else()
    {
        byte[] valid = File.ReadAllBytes(Small("drift/ridge"));
        int end = Encoding.UTF8.GetString(valid).TrimEnd().Length;
        HostileInput.EveryTruncationIsRefused(valid[..end], path => CalibrationFile.Read(path));
        Assert.True(HostileInput.BitFlipsAreSurvived(valid, ReadAndJudge, rounds: 1000, seed: 5) > 200);
    }

    [Fact]
    public void Files_that_are_no_calibration_are_refused()
    {
        foreach (string text in (string[])["", "[]", "{}", "null", "{\"format\": 3}", "not JSON", "{\"format\": \"emscan-calibration\", \"version\": null}"])
            Assert.True(HostileInput.Refuses(_folder.Write("x", Encoding.UTF8.GetBytes(text)), path => CalibrationFile.Read(path)), text);
        foreach (string path in (string[])[_folder["missing"], _folder.Root])
            Assert.StartsWith($"{path}: ", Assert.Throws<InputFileException>(() => CalibrationFile.Read(path)).Message);
        Assert.Throws<InputFileException>(() => CalibrationFile.Write(Path.Combine(_folder["x"], "c.json"), Calibration.Fit(Synthetic.Scan(Synthetic.Runs()))));
    }

    /// <summary>What a scan does with a calibration: a judgement has numbers, or there is a sentence.</summary>
    private static void ReadAndJudge(string path)
    {
        Calibration calibration = CalibrationFile.Read(path);
        foreach (LabelledObservation c in Synthetic.Runs(seed: 9, seeds: 1, checkpoints: 2))
        {
            try
            {
                CalibratedVerdict verdict = calibration.Judge(c.Observation);
                Assert.InRange(verdict.Score, 0, 1);
                Assert.True(double.IsFinite(verdict.Distance) && double.IsFinite(verdict.Axis ?? 0));
                if (verdict.Interval is { } interval) Assert.InRange(interval.Low, 0, interval.High);
            }
            catch (EmScanException e) when (e is not InputFileException)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    private static void Refused(string path, JsonNode root, string problem)
    {
        File.WriteAllText(path, root.ToJsonString());
        Assert.Equal($"{path}: {problem}", Assert.Throws<InputFileException>(() => CalibrationFile.Read(path)).Message);
    }

    private string Small(string recipe)
    {
        string path = _folder["calibration.json"];
        CalibrationFile.Write(path, Calibration.Fit(Synthetic.Scan(Synthetic.Runs(seeds: 1, checkpoints: 4)), DetectorRecipe.Parse(recipe)));
        return path;
    }

    private static JsonObject Json(string path) => JsonNode.Parse(File.ReadAllText(path))!.AsObject();

    /// <summary>Paths to every member, and to the first two items and the last of every list.</summary>
    private static IEnumerable<string> Fields(JsonNode node, string at)
    {
        IEnumerable<(string Name, JsonNode? Child)> children = node switch
        {
            JsonObject o when at != "validation" => o.Select(member => (member.Key, member.Value)),
            JsonArray a when at != "validation" => a.Select((item, i) => ($"{i}", item)).Where((_, i) => i < 2 || i == a.Count - 1),
            _ => [],
        };
        foreach ((string name, JsonNode? child) in children)
        {
            string field = at.Length == 0 ? name : $"{at}/{name}";
            yield return field;
            if (child == null) continue;
            foreach (string below in Fields(child, field)) yield return below;
        }
    }

    private static void Change(JsonNode root, string field, bool remove, JsonNode? value)
    {
        string[] parts = field.Split('/');
        JsonNode parent = parts[..^1].Aggregate(root, (node, part) => node is JsonArray a ? a[int.Parse(part)]! : node[part]!);
        if (parent is JsonArray list)
        {
            if (remove) list.RemoveAt(int.Parse(parts[^1]));
            else list[int.Parse(parts[^1])] = value;
        }
        else if (remove)
        {
            Assert.True(parent.AsObject().Remove(parts[^1]));
        }
        else
        {
            parent[parts[^1]] = value;
        }
    }
}
