using EmScan.Kernels;

namespace EmScan.Engine.Running;

/// <summary>Which device computes second moments, products with the vocabulary and latents.</summary>
internal static class KernelDeviceChoice
{
    /// <summary>The name that leaves the choice to emscan.</summary>
    public const string Auto = "auto";

    /// <summary>The name of the processor.</summary>
    public const string Cpu = "cpu";

    /// <summary>
    /// Widths from here on pay for a GPU's start, which takes a second: a second moment is 2 D^2 operations a row, and on two processor
    /// cores 64 rows of 32 layers take one.
    /// </summary>
    internal const int WidthFrom = 1024;

    /// <summary>Whether a text is a name that may be asked for: auto, cpu, cuda:N or opencl:N.</summary>
    public static bool IsName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name is Auto or Cpu) return true;
        string[] parts = name.Split(':');
        return parts.Length == 2 && parts[0] is "cuda" or "opencl" && parts[1].Length is > 0 and < 4 && parts[1].All(char.IsAsciiDigit);
    }

    /// <summary>Opens what was asked for.</summary>
    /// <param name="name">auto, cpu, cuda:N or opencl:N.</param>
    /// <param name="width">D of the model.</param>
    /// <param name="threads">Threads of the processor.</param>
    /// <param name="jobs">What it is to compute, in the plural.</param>
    /// <param name="open">Opens a device by the name "cuda:N" or "opencl:N"; not called for the processor.</param>
    /// <param name="remark">What <see cref="Auto"/> chose where there was a choice, else null.</param>
    /// <returns>The device; one that is not the processor falls back to it when it fails.</returns>
    /// <exception cref="InvalidSettingException">The device that was named is not there.</exception>
    public static IKernelDevice Open(string name, int width, int threads, string jobs, Func<string, IKernelDevice> open, out Remark? remark)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(open);
        if (!IsName(name)) throw new InvalidSettingException($"The kernel device '{name}' is none of auto, cpu, cuda:N and opencl:N.");
        var cpu = new CpuKernelDevice(threads);
        remark = null;
        if (name == Cpu || (name == Auto && (width < WidthFrom || CudaDriver.DeviceCount() == 0))) return cpu;
        try
        {
            var device = new FallbackKernelDevice(open(name == Auto ? "cuda:0" : name), cpu);
            if (name == Auto) remark = Computed($"on {device.Name}.");
            return device;
        }
        catch (KernelDeviceException missing) when (name != Auto)
        {
            throw new InvalidSettingException(missing.Message);
        }
        catch (KernelDeviceException failure)
        {
            remark = Computed($"on the processor: {failure.Message}");
            return cpu;
        }

        Remark Computed(string where) => new("kernel-device", $"{char.ToUpperInvariant(jobs[0])}{jobs[1..]} are computed {where}");
    }

    /// <summary>Says that a device has failed and what became of its work; null while it has not.</summary>
    internal static Remark? Lost(IKernelDevice device) => device is FallbackKernelDevice { Failure: { } failure }
        ? new Remark("kernel-device-lost", $"{failure.Message} What was left was computed on the processor; nothing is missing.") : null;
}
