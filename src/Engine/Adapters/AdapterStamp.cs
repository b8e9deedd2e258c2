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
        FileInfo weights = Final(folder == null ? path : Path.Combine(folder, PeftAdapterReader.WeightsName));
        if (folder == null) return new AdapterStamp(Length(weights), weights.LastWriteTimeUtc, -1, default);
        FileInfo config = Final(Path.Combine(folder, PeftAdapterReader.ConfigName));
        return new AdapterStamp(Length(weights), weights.LastWriteTimeUtc, Length(config), config.LastWriteTimeUtc);
    }

    /// <summary>Whether a file is missing that was there at an earlier time.</summary>
    internal bool HasLost(AdapterStamp earlier) => (earlier.WeightsLength >= 0 && WeightsLength < 0) || (earlier.ConfigLength >= 0 && ConfigLength < 0);

    // A link's own length and time say nothing of what it leads to.
    private static FileInfo Final(string path)
    {
        var file = new FileInfo(path);
        try
        {
            return file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;
        }
        catch (IOException)
        {
            return file;
        }
    }

    private static long Length(FileInfo file) => file.Exists ? file.Length : -1;
}
