using System.CommandLine;
using System.Diagnostics;
using EmScan.Engine;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;

namespace EmScan.Cli;

/// <summary>The child process of <see cref="ModelProbe"/>: this program, with a hidden verb.</summary>
internal sealed class ModelCheck
{
    private const string CommandName = "check-model";

    private readonly SharedOptions _shared = new();

    internal Command ToCommand()
    {
        var command = new Command(CommandName, "Load a model and run one token through it, in a process of its own.") { Hidden = true };
        _shared.AddModelOptions(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() =>
        {
            _shared.ApplyLogging(parsed);
            ModelProbe.LoadAndRun(parsed.GetValue(_shared.Model)!, _shared.ToModelOptions(parsed), parsed.GetValue(_shared.Threads), cancellationToken);
            return Task.FromResult(ExitCode.Success);
        }));
        return command;
    }

    /// <summary>Throws one sentence if the model cannot be loaded, without risking this process.</summary>
    internal static void Require(ScanRequest request, CancellationToken cancellationToken) => ModelProbe.Require(request, () => Try(request), cancellationToken);

    private static ModelTrial Try(ScanRequest request)
    {
        (int code, string errors) = RunChild(request);
        const string Prefix = "emscan: ";
        string last = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? "";
        bool refused = code is ExitCode.Error or ExitCode.Usage && last.StartsWith(Prefix, StringComparison.Ordinal);
        return new ModelTrial(code == ExitCode.Success, refused ? last[Prefix.Length..] : null, last.Length > 0 ? last : $"exit code {code}");
    }

    private static (int Code, string Errors) RunChild(ScanRequest request)
    {
        string self = Environment.ProcessPath!;
        var start = new ProcessStartInfo(self) { RedirectStandardError = true, RedirectStandardOutput = true, UseShellExecute = false };

        // "dotnet emscan.dll" and the emscan executable are both how users run the program.
        if (Path.GetFileNameWithoutExtension(self).Equals("dotnet", StringComparison.OrdinalIgnoreCase))
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "emscan.dll"));
        start.ArgumentList.Add(CommandName);
        Add("--model", request.Model);
        if (request.ModelOptions.GpuLayers >= 0) Add("--gpu-layers", request.ModelOptions.GpuLayers.ToString());
        if (request.ModelOptions.Device is { } device) Add("--device", device);
        if (request.ModelOptions.LlamaDirectory is { } llama) Add("--llama", llama);
        if (request.Capture.Threads > 0) Add("--threads", request.Capture.Threads.ToString());

        // A child that aborts on purpose must not leave a core file of the size of the model.
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        using Process child = Process.Start(start) ?? throw new EmScanException("The check of the model could not be started.");
        Task<string> output = child.StandardOutput.ReadToEndAsync();
        string errors = child.StandardError.ReadToEnd();
        child.WaitForExit();
        _ = output.Result;
        return (child.ExitCode, errors);

        void Add(string option, string value)
        {
            start.ArgumentList.Add(option);
            start.ArgumentList.Add(value);
        }
    }
}
