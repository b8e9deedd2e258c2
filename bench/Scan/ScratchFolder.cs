using System.Runtime.InteropServices;

namespace EmScan.Bench.Scan;

/// <summary>A folder that is gone when the benchmark is, also when somebody loses patience: models of gigabytes lie in it.</summary>
internal sealed class ScratchFolder : IDisposable
{
    private readonly PosixSignalRegistration[] _signals;

    /// <summary>Makes the folder in another one.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    internal ScratchFolder(string parent)
    {
        FullPath = Path.Combine(parent, $"emscan-bench-{Guid.NewGuid():N}");
        Directory.CreateDirectory(FullPath);

        // Behind the handler, the signal still ends the process.
        PosixSignal[] ends = [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP];
        _signals = [.. ends.Select(signal => PosixSignalRegistration.Create(signal, _ => Delete()))];
    }

    internal string FullPath { get; }

    private void Delete() => Directory.Delete(FullPath, recursive: true);

    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
        Delete();
    }
}
