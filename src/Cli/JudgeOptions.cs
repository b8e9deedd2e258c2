using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
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

    /// <summary>Controls that are what is scanned would find every checkpoint like themselves.</summary>
    /// <exception cref="UsageException">Everything that is scanned lies in the folder of the controls.</exception>
    internal void RequireOtherControls(ParseResult parsed, IReadOnlyList<string> adapters)
    {
        if (parsed.GetValue(_benign) is not { } benign || RealPath.Of(benign) is not { } controls) return;
        if (adapters.All(path => RealPath.Of(path) is { } real && RealPath.IsWithin(real, controls)))
            throw new UsageException($"{_benign.Name} {benign} holds the adapters that are to be judged; like themselves they always are. Give a folder of other adapters, of harmless finetunings.");
        if (adapters.Any(path => RealPath.Of(path) is { } real && RealPath.IsWithin(controls, real)))
            Runner.Note($"{benign} lies in what is scanned: its adapters are judged as well, and are like themselves.");
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
