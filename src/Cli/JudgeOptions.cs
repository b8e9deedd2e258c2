using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>What verdicts rest on.</summary>
internal sealed class JudgeOptions
{
    private readonly Option<string?> _calibration = MadeOnce.Calibration();
    private readonly Option<bool> _trust = new("--trust-calibration") { Description = "Use the calibration although it was made on another model or on other prompts." };
    private readonly Option<string?> _benign = new CommonOption<string?>("--benign") { Description = "Folder of adapters of harmless finetunings, to judge by without a calibration.", HelpName = "DIR" };

    private readonly Option<string?> _sae = MadeOnce.Autoencoder();
    private readonly KernelDeviceOption _kernelDevice = new("latents of --sae");

    internal void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _calibration, _trust, _benign, _sae }) command.Options.Add(option);
        _kernelDevice.AddTo(command);
    }

    /// <summary>Whether control adapters are measured as well.</summary>
    internal bool HasControls(ParseResult parsed) => parsed.GetValue(_benign) != null;

    internal VerdictSource Choose(ParseResult parsed, ScanRequest request)
    {
        string? calibration = parsed.GetValue(_calibration), benign = parsed.GetValue(_benign);
        if (benign != null && calibration is not (null or VerdictSource.None)) throw new UsageException($"{_calibration.Name} and {_benign.Name} exclude each other; a calibration needs no controls.");
        _kernelDevice.Check(parsed);
        try
        {
            return VerdictSource.Choose(request, calibration, parsed.GetValue(_trust), benign, parsed.GetValue(_sae));
        }
        catch (AutoencoderMissingException e)
        {
            throw new EmScanException($"{e.Message}; give it with {_sae.Name} DIR, or {_calibration.Name} none for drifts without verdicts.", e);
        }
    }

    /// <summary>The judge; what is to be said of it is printed.</summary>
    internal async Task<Judge> ToJudgeAsync(ParseResult parsed, VerdictSource source, ScanSession session, ConsoleProgress progress, CancellationToken cancellationToken)
    {
        try
        {
            (Judge judge, IReadOnlyList<Remark> remarks) = await source.ToJudgeAsync(session, opened => _kernelDevice.Open(parsed, opened), progress, cancellationToken);
            progress.Clear();
            foreach (Remark remark in remarks) Runner.Note(remark.Text);
            return judge;
        }
        catch (CalibrationMismatchException e) when (e.CanBeTrusted)
        {
            throw new EmScanException($"{e.Message.TrimEnd('.')}, or give {_trust.Name} to use it all the same.", e);
        }
    }
}
