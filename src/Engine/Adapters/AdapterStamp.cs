using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Lengths and times of the files that decide an adapter's effect. What has the same stamp before and after it was read was one thing all
/// the while; a trainer that saves over it, or takes it away, changes the stamp.
/// </summary>
/// <param name="WeightsLength">Bytes; -1 when there is no file.</param>
/// <param name="WeightsWritten">Time of the last change, UTC.</param>
/// <param name="ConfigLength">Bytes; -1 when there is no file.</param>
/// <param name="ConfigWritten">Time of the last change, UTC.</param>
internal readonly record struct AdapterStamp(long WeightsLength, DateTime WeightsWritten, long ConfigLength, DateTime ConfigWritten)
{
    /// <summary>Takes the stamp of a PEFT folder or LoRA GGUF file; never throws for what is on the disk.</summary>
    public static AdapterStamp Of(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string? folder = AdapterReader.PeftFolder(path);
        (long length, DateTime written) = OfFile(folder == null ? path : Path.Combine(folder, PeftAdapterReader.WeightsName));
        if (folder == null) return new AdapterStamp(length, written, -1, default);
        (long configLength, DateTime configWritten) = OfFile(Path.Combine(folder, PeftAdapterReader.ConfigName));
        return new AdapterStamp(length, written, configLength, configWritten);
    }

    /// <summary>Whether a file is missing that was there at an earlier time.</summary>
    internal bool HasLost(AdapterStamp earlier) => (earlier.WeightsLength >= 0 && WeightsLength < 0) || (earlier.ConfigLength >= 0 && ConfigLength < 0);

    // A link's own length and time say nothing of what it leads to. What cannot be looked at is not there for whoever reads it next, who says why.
    private static (long Length, DateTime Written) OfFile(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target) file = target;
            return file.Exists ? (file.Length, file.LastWriteTimeUtc) : (-1, default);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (-1, default);
        }
    }
}
