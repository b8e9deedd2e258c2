namespace EmScan.Engine;

/// <summary>A file or folder that the user gave cannot be used: missing, unreadable, malformed, or of a kind that is not supported.</summary>
public sealed class InputFileException : EmScanException
{
    /// <summary>Creates the exception; the message reads "path: problem".</summary>
    /// <param name="path">The file or folder as the user would name it.</param>
    /// <param name="problem">What is wrong and what to do, without the path, without a final full stop needed.</param>
    public InputFileException(string path, string problem) : base($"{path}: {problem}") => FilePath = path;

    /// <summary>Creates the exception with the failure underneath it (an I/O error, a parser's message).</summary>
    public InputFileException(string path, string problem, Exception innerException) : base($"{path}: {problem}", innerException) => FilePath = path;

    /// <summary>The file or folder that cannot be used.</summary>
    public string FilePath { get; }
}
