namespace EmScan.Kernels;

/// <summary>
/// A device is missing, has no room, or failed at work. The message is one finished sentence that names the device. What was computed
/// elsewhere is not touched; the same work can be done on the CPU.
/// </summary>
public sealed class KernelDeviceException : Exception
{
    /// <summary>Creates the exception with a finished sentence.</summary>
    public KernelDeviceException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a finished sentence and what the device said.</summary>
    public KernelDeviceException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
