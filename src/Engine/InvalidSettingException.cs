namespace EmScan.Engine;

/// <summary>A setting has a value that is not among those allowed here; the message names the allowed ones.</summary>
public sealed class InvalidSettingException : EmScanException
{
    /// <summary>Creates the exception with a finished sentence.</summary>
    public InvalidSettingException(string message) : base(message) { }
}
