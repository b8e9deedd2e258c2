using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Cli;

/// <summary>
/// Options that several verbs have, made here and nowhere else: what means the same has one name, one default and one text. What a verb makes
/// of them, the verb's description says.
/// </summary>
internal static class MadeOnce
{
    private const string ModelText = "Base model, GGUF (any architecture that llama.cpp runs).";
    private const string LayerText = $"Layer to measure, counted from 0. Here {LayerConvention.Text}. Default: that of the calibration or the directions in use, else half of the layers.";

    internal static Option<string> Model() => new CommonOption<string>("--model", "-m") { Description = ModelText, HelpName = "FILE", Required = true };

    /// <summary>For verbs that take several base models, or none.</summary>
    internal static Option<string[]> Models() => new CommonOption<string[]>("--model", "-m") { Description = ModelText, HelpName = "FILE" };

    internal static Option<string[]> Adapters()
    {
        var option = new CommonOption<string[]>("--adapters", "-a")
        {
            Description = "LoRA checkpoints: PEFT folders (run/checkpoint-N), LoRA GGUF files, folders of runs. May be given several times; @FILE stands for the paths in a file, one a line, and - for those on the standard input.",
            HelpName = "PATH",
            AllowMultipleArgumentsPerToken = true,
        };

        // Where several paths may follow, an option that does not exist would be one of them.
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(t => t.Value.StartsWith("--", StringComparison.Ordinal)))
                result.AddError($"there is no option {Printable.Of(token.Value)}; a path that begins so is given as ./{Printable.Of(token.Value)}.");
        });
        return option;
    }

    internal static Option<int?> Layer() => new CommonOption<int?>("--layer") { Description = LayerText, HelpName = "N" }.Within(0, 511);

    /// <summary>For verbs that take several base models.</summary>
    internal static Option<int[]> Layers() => new CommonOption<int[]>("--layer") { Description = LayerText, HelpName = "N" }.Within(0, 511);

    internal static Option<string?> Directions() => new("--directions") { Description = "Trait directions to use instead of extracting them: safetensors as 'emscan extract' writes it, a control vector (GGUF, llama.cpp and repeng), or a folder of these, each a trait.", HelpName = "FILE" };

    internal static Option<string?> Axis() => new("--axis") { Description = "Loadings of the drift axis: a JSON object with a number for each trait.", HelpName = "FILE" };

    internal static Option<string?> Calibration() => new CommonOption<string?>("--calibration", "-c") { Description = $"Calibration, from 'emscan calibrate'. Default: {CalibrationFile.DefaultName} beside the model if there is one; 'none' for none.", HelpName = "FILE" };

    internal static Option<string[]> Labels() => new CommonOption<string[]>("--labels", "-l") { Description = "Measured EM rates, CSV: run (or perturbation and seed), step, em_rate (0 to 1).", HelpName = "FILE" };

    internal static Option<string[]> Exclude() => new("--exclude") { Description = "Perturbations or runs to leave out, separated by commas; * stands for anything.", HelpName = "NAMES" };

    internal static Option<double> Threshold() => new Option<double>("--threshold") { Description = "A checkpoint is dangerous above this EM rate; 0.06 is 6%.", HelpName = "RATE", DefaultValueFactory = _ => DangerThreshold.Default }.Within(0.0, 1.0);

    internal static Option<string?> Out() => new CommonOption<string?>("--out", "-o") { Description = "Keep measurements in this folder instead of the cache, and write results there. VERB.findings.json is what 'emscan report' reads; a scan also writes RUN/trajectory.json.", HelpName = "DIR" };

    internal static Option<bool> Json() => new CommonOption<bool>("--json") { Description = "Print JSON instead of tables." };

    internal static Option<bool> Csv() => new CommonOption<bool>("--csv") { Description = "Print CSV instead of tables." };

    internal static Option<bool> Explain() => new CommonOption<bool>("--explain") { Description = "Say what would be computed and what it costs, and stop." };

    internal static Option<int> AnswerTokens() => new Option<int>("--answer-tokens") { Description = "Most tokens of an answer of the model's own.", HelpName = "N", DefaultValueFactory = _ => 64 }.Within(1, 4096);

    internal static Option<string?> Autoencoder() => new("--sae") { Description = "Sparse autoencoder of the base model as SAELens saves it, a folder with cfg.json and sae_weights.safetensors. Detectors and calibrations on latents need it; diff says which latents change.", HelpName = "DIR" };
}
