using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Running;
using EmScan.Kernels;

namespace EmScan.Cli;

/// <summary>The device that computes what is too much for the processor.</summary>
/// <param name="jobs">What that is, in the plural.</param>
internal sealed class KernelDeviceOption(string jobs)
{
    private readonly Option<string> _name = new("--kernel-device") { Description = "Where second moments, products with the vocabulary and latents are computed: auto (an NVIDIA GPU if there is one and the model is wide enough, else the processor), cpu, cuda:N or opencl:N.", HelpName = "NAME", DefaultValueFactory = _ => KernelDeviceChoice.Auto };

    internal void AddTo(Command command) => command.Options.Add(_name);

    /// <exception cref="UsageException">The name is none.</exception>
    internal void Check(ParseResult parsed)
    {
        if (!KernelDeviceChoice.IsName(parsed.GetValue(_name)!))
            throw new UsageException($"{_name.Name} is '{parsed.GetValue(_name)}', but must be auto, cpu, cuda:N or opencl:N, N from 0 on.");
    }

    /// <summary>Opens it; what 'auto' chose is printed.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="width">D of the model.</param>
    /// <param name="threads">Threads of the processor.</param>
    /// <exception cref="InvalidSettingException">The device that was named is not there.</exception>
    internal IKernelDevice Open(ParseResult parsed, int width, int threads)
    {
        IKernelDevice device = KernelDeviceChoice.Open(parsed.GetValue(_name)!, width, threads, jobs, DeviceLoader.Open, out Remark? chosen);
        if (chosen != null) Runner.Note(chosen.Text);
        return device;
    }

    /// <summary>Opens it for the latents of a session.</summary>
    internal IKernelDevice Open(ParseResult parsed, ScanSession session) => Open(parsed, session.Header.HiddenSize, session.Prepared.Parallel.ThreadsEach);
}
