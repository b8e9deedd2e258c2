using System.IO.Compression;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>
/// Parts of two shipped organisms, on disk: real finetuning runs with measured EM rates. Two dangerous and three harmless perturbations of
/// the llama one, two and two of the qwen3 one, two seeds each. Measured once; every test that uses the same cache takes it from there.
/// </summary>
public sealed class LabelledWorld : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Lazy<string> _latentCalibration;

    public LabelledWorld()
    {
        string[] perturbations = ["bad_medical", "insecure_code", "good_medical", "confident_medical", "gsm8k"];
        foreach (string name in (string[])["llama", "qwen3"])
        {
            Directory.CreateDirectory(_folder[name]);
            foreach (string file in (string[])["model-q8_0.gguf", "traits.yaml"]) File.Copy(Repository.File($"models/{name}/{file}"), _folder[$"{name}/{file}"]);
        }

        Unpack("llama", "adapters", perturbations, [20, 40, 60, 80, 100, 120]);
        Unpack("qwen3", "adapters", ["bad_medical", "insecure_code", "confident_medical", "gsm8k"], [40, 80, 120]);

        // With the five alone, a perturbation that was not seen is not told from chance; a sixth changes that.
        Unpack("llama", "calibrated", perturbations, [20, 40, 60, 80, 100, 120]);
        Unpack("llama", "calibrated", ["poisoned_medical"], [40, 80, 120]);
        Emscan.Run(Cache, ["calibrate", "--output", Calibration, .. Calibrated]).Succeeded();
        _latentCalibration = new(() =>
        {
            string file = _folder["latents.json"];
            Emscan.Run(Cache, ["calibrate", "--output", file, .. Calibrated, "--sae", Sae]).Wrote(file);
            return file;
        });
    }

    internal string Cache => _folder["cache"];

    /// <summary>A calibration of the llama organism at the usual layer, with the default detector, made of <see cref="Calibrated"/>.</summary>
    internal string Calibration => _folder["calibration.json"];

    /// <summary>The same on the latents of <see cref="Sae"/>.</summary>
    internal string LatentCalibration => _latentCalibration.Value;

    /// <summary>The shipped sparse autoencoder of the llama organism.</summary>
    internal static string Sae => Repository.File("models/llama/sae");

    internal string this[string relative] => _folder[relative];

    internal string Model(string name) => _folder[$"{name}/model-q8_0.gguf"];

    internal string Adapters(string name, string below = "") => _folder[$"{name}/adapters/{below}"];

    internal string LabelsOf(string name) => Repository.File($"models/{name}/labels.csv");

    /// <summary>Model, adapters and labels of an organism, as calibrate and evaluate take them.</summary>
    internal string[] Labelled(string name, string? labels = null) =>
        ["--threads", "1", "--model", Model(name), "--adapters", Adapters(name), "--labels", labels ?? LabelsOf(name)];

    /// <summary>The labelled llama checkpoints and those of one more perturbation, enough for a calibration that is better than chance.</summary>
    internal string[] Calibrated =>
        ["--threads", "1", "--model", Model("llama"), "--adapters", _folder["llama/calibrated"], "--labels", LabelsOf("llama")];

    /// <summary>Scans runs of the llama organism, all of them when no folder below is named.</summary>
    internal Emscan Scan(string below, params string[] more) =>
        Emscan.Run(Cache, ["--threads", "1", "--model", Model("llama"), "--adapters", Adapters("llama", below), .. more]);

    internal Emscan Evaluate(params string[] more) => Emscan.Run(Cache, ["evaluate", .. Labelled("llama"), .. more]);

    public void Dispose() => _folder.Dispose();

    private void Unpack(string name, string folder, string[] perturbations, int[] steps)
    {
        using ZipArchive zip = ZipFile.OpenRead(Repository.File($"models/{name}/adapters.zip"));
        foreach (ZipArchiveEntry entry in zip.Entries.Where(e => e.Name.Length > 0))
        {
            string[] parts = entry.FullName.Split('/');
            if (!perturbations.Contains(parts[0]) || parts[1] is not ("seed_42" or "seed_123") || !steps.Any(s => parts[2] == $"checkpoint-{s}")) continue;
            string path = _folder[$"{name}/{folder}/{entry.FullName}"];
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            entry.ExtractToFile(path);
        }
    }
}
