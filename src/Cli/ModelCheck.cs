using System.CommandLine;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Cli;

/// <summary>
/// llama.cpp ends the whole process on some damaged models, whatever the caller does. So a model that was never seen before is first
/// loaded, and run for one token, in a child process; once it has passed, its digest is remembered and the check costs nothing.
/// </summary>
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
            using GgufModel model = GgufModel.Load(parsed.GetValue(_shared.Model)!, _shared.ToModelOptions(parsed));
            using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = parsed.GetValue(_shared.Threads), BatchTokens = 64 });
            int[] token = [model.Vocabulary.Bos ?? 0];
            var sink = new FiniteSink();
            source.Capture([CapturePrompt.Last(token)], [model.LayerCount - 1], sink, cancellationToken);
            if (!sink.AllFinite) throw new InputFileException(model.FilePath, "its hidden states are NaN or infinite on a single token; the weights are damaged.");
            return Task.FromResult(ExitCode.Success);
        }));
        return command;
    }

    /// <summary>The model's header.</summary>
    /// <exception cref="InputFileException">There is no such file, or it is no model in GGUF.</exception>
    internal static GgufFile Header(ScanRequest request)
    {
        InputUse.Model.Require(request.Model);
        return GgufFile.Open(request.Model);
    }

    /// <summary>Throws one sentence if the model cannot be loaded, without risking this process.</summary>
    internal static void Require(ScanRequest request, CancellationToken cancellationToken)
    {
        string cache = request.CacheFolder ?? CacheFolder.Default;
        _ = Header(request);
        string digest = ModelFingerprint.Compute(request.Model, cache, cancellationToken);
        string passed = Path.Combine(cache, "models", $"{digest}-{LlamaLibrary.SupportedCommit}-{DeviceKey(request.ModelOptions)}.ok");
        if (File.Exists(passed)) return;

        (int code, string errors) = RunChild(request);
        if (code == ExitCode.Success)
        {
            File.WriteAllText(passed, "");
            return;
        }

        const string Prefix = "emscan: ";
        string last = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? "";
        if (code is ExitCode.Error or ExitCode.Usage && last.StartsWith(Prefix, StringComparison.Ordinal)) throw new EmScanException(last[Prefix.Length..]);
        throw new InputFileException(
            request.Model,
            $"llama.cpp ends the process when it loads this model ({(last.Length > 0 ? last : $"exit code {code}")}); the file is damaged, or not supported by {LlamaLibrary.SupportedVersion}.");
    }

    /// <summary>Names what the check depends on besides the model: the device, as far as it is known before llama.cpp is loaded, and the build.</summary>
    private static string DeviceKey(ModelOptions options)
    {
        string device = options.Device?.ToLowerInvariant() ?? (options.GpuLayers == 0 ? "cpu" : LlamaLibrary.Accelerator ?? "default");
        string name = string.Concat(device.Where(char.IsAsciiLetterOrDigit));
        return LlamaLibrary.Asked(options.LlamaDirectory) is not { } folder ? name
            : $"{name}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(folder)))[..12]}";
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

    private sealed class FiniteSink : IHiddenStateSink
    {
        internal bool AllFinite { get; private set; } = true;

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            foreach (float value in states) AllFinite &= float.IsFinite(value);
        }
    }
}
