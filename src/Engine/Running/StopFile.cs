using EmScan.Engine.Formats;

namespace EmScan.Engine.Running;

/// <summary>The file that asks a training to stop: <c>emscan.stop</c> in the training's output folder (docs/trainer-callback.md).</summary>
internal static class StopFile
{
    /// <summary>Name of the file.</summary>
    public const string Name = "emscan.stop";

    /// <summary>Writes it, so that a reader sees all of it or nothing; an older one is replaced.</summary>
    /// <param name="outputFolder">The training's output folder, never a checkpoint's: trainers choose by modification time which to delete.</param>
    /// <param name="alarm">Its content.</param>
    /// <returns>The path that was written.</returns>
    /// <exception cref="InputFileException">The folder is not writable.</exception>
    public static string Write(string outputFolder, Alarm alarm)
    {
        ArgumentException.ThrowIfNullOrEmpty(outputFolder);
        ArgumentNullException.ThrowIfNull(alarm);
        string path = Path.Combine(outputFolder, Name);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(alarm.ToJson());
            stream.WriteByte((byte)'\n');
        });
        return path;
    }
}
