using System.CommandLine;
using EmScan.Engine;

namespace EmScan.Cli;

/// <summary>Every verb, with its options.</summary>
internal static class CommandTree
{
    internal static RootCommand Make()
    {
        var root = new RootCommand(
            $"""
            emscan {EmScanVersion.Text}: which LoRA checkpoints are becoming dangerous, and where they are drifting.

              emscan --model model.gguf --adapters ./lora

            reads the residual stream of the base model and of every checkpoint on the same prompts, projects it onto trait directions
            (honesty, sycophancy, harmlessness, power_seeking, helpfulness, confidence, corrigibility, or your own), and prints how far
            each checkpoint has moved along each, in units of the base's activation norm. Trait directions are extracted from the model
            the first time and cached. An interrupted scan continues where it was.

            With a calibration ('emscan calibrate', from runs whose misalignment was measured; calibration.json beside the model is found
            by itself) each checkpoint gets a predicted EM rate, an interval and a verdict: ok, DANGEROUS, or unknown when it is unlike
            anything that was calibrated. Without one, --benign DIR judges against adapters of harmless finetunings. Without either there
            are drifts and effect sizes, and no verdicts.

            Exit codes: 0 no checkpoint is dangerous, 1 error (also when single checkpoints could not be measured), 2 usage, 3 a checkpoint
            is dangerous (whatever else happened; with --strict also when one is unknown), 4 a calibration was made that is no better than
            chance, 130 interrupted.
            """);
        new ScanCommand().AddTo(root);
        var scan = new Verb("scan", "Which checkpoints are becoming dangerous, and where are they drifting? The default: the word may be left out.", "emscan --model model.gguf --adapters ./lora --out results");
        new ScanCommand().AddTo(scan);
        root.Subcommands.Add(scan);
        root.Subcommands.Add(new WatchCommand().ToCommand());
        root.Subcommands.Add(new CalibrateCommand().ToCommand());
        root.Subcommands.Add(new EvaluateCommand().ToCommand());
        root.Subcommands.Add(new LabelCommand().ToCommand());
        root.Subcommands.Add(new ExtractCommand().ToCommand());
        root.Subcommands.Add(new DiffCommand().ToCommand());
        root.Subcommands.Add(new PathCommand().ToCommand());
        root.Subcommands.Add(new LayersCommand().ToCommand());
        root.Subcommands.Add(new WeightsCommand().ToCommand());
        root.Subcommands.Add(new SteerCommand().ToCommand());
        root.Subcommands.Add(new ScreenCommand().ToCommand());
        root.Subcommands.Add(new TranscriptsCommand().ToCommand());
        root.Subcommands.Add(new OnsetCommand().ToCommand());
        root.Subcommands.Add(new PersonasCommand().ToCommand());
        root.Subcommands.Add(new InvarianceCommand().ToCommand());
        root.Subcommands.Add(new BenchCommand().ToCommand());
        root.Subcommands.Add(new InspectCommand().ToCommand());
        root.Subcommands.Add(new MergeCommand().ToCommand(root));
        root.Subcommands.Add(new ReportCommand().ToCommand());
        root.Subcommands.Add(new CompletionCommand().ToCommand());
        root.Subcommands.Add(new ModelCheck().ToCommand());
        root.Subcommands.Add(CommandLine.HelpCommand());
        Help.AddTo(root);
        return root;
    }
}
