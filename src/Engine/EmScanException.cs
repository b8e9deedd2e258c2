namespace EmScan.Engine;

/// <summary>
/// Base of every failure that emscan reports. The message is one finished sentence for the person at the keyboard: it names the file or
/// the option, says what is wrong, and what to do about it. It never needs a stack trace beside it, and
/// never holds control characters: those of names and files are written as escapes.
/// </summary>
public class EmScanException : Exception
{
    /// <summary>Creates the exception with a finished sentence.</summary>
    public EmScanException(string message) : base(Printable.Of(message)) { }

    /// <summary>Creates the exception with a finished sentence and the failure underneath it.</summary>
    public EmScanException(string message, Exception innerException) : base(Printable.Of(message), innerException) { }
}
