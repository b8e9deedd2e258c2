namespace EmScan.Cli;

/// <summary>What the program tells the shell.</summary>
internal static class ExitCode
{
    internal const int Success = 0;
    internal const int Error = 1;
    internal const int Usage = 2;

    /// <summary>A checkpoint is dangerous, by the calibration or against benign controls.</summary>
    internal const int Dangerous = 3;

    /// <summary>A calibration was written, but its own validation is no better than chance: it is not usable.</summary>
    internal const int Weak = 4;

    /// <summary>Interrupted by a signal, as shells report it.</summary>
    internal const int Interrupted = 130;
}
