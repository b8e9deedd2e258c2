using System.CommandLine;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>What verdicts rest on.</summary>
internal sealed class JudgeOptions
{
    private readonly Option<string?> _calibration = new("--calibration", "-c") { Description = $"Calibration to judge by, from 'emscan calibrate'. Default: {CalibrationFile.DefaultName} beside the model if there is one; 'none' for none.", HelpName = "FILE" };
    private readonly Option<bool> _trust = new("--trust-calibration") { Description = "Use the calibration although it was made on another model or on other prompts." };
    private readonly Option<string?> _benign = new("--benign") { Description = "Folder with control adapters from harmless finetunings, to judge by where there is no calibration.", HelpName = "DIR" };

    internal void AddTo(Command command)
    {
        command.Options.Add(_calibration);
        command.Options.Add(_trust);
        command.Options.Add(_benign);
    }

    internal VerdictSource Choose(ParseResult parsed, ScanRequest request) =>
        VerdictSource.Choose(request, parsed.GetValue(_calibration), parsed.GetValue(_trust), parsed.GetValue(_benign));
}
