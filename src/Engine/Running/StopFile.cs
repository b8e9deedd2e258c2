using EmScan.Engine.Adapters;
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

    /// <summary>Where a training that wrote a checkpoint may look for the file: the folder that was given, and, where that holds several runs, the
    /// run's own output folder below it.</summary>
    /// <param name="checkpoint">Path of the checkpoint.</param>
    /// <param name="roots">The folders that are watched.</param>
    internal static IReadOnlyList<string> Folders(string checkpoint, IReadOnlyList<string> roots)
    {
        string full = Path.GetFullPath(checkpoint);
        string root = roots.Where(r => RealPath.IsWithin(full, Absolute(r))).MaxBy(r => r.Length) ?? roots[0];
        string top = Absolute(root);
        for (string at = full; at != top && RealPath.IsWithin(at, top); at = Path.GetDirectoryName(at)!)
        {
            // Below its step lies the adapter (global_step_30/actor), above it the run; of epoch_1/step_200 it is above both.
            if (!IsNumbered(at)) continue;
            string run = Path.GetDirectoryName(at)!;
            if (run != top && IsNumbered(run)) run = Path.GetDirectoryName(run)!;
            return run == top ? [root] : [root, run];
        }

        return [root];
    }

    private static string Absolute(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));

    private static bool IsNumbered(string path) => PathName.OfFolder(Path.GetFileName(path)) is { Kind: NameKind.Numbered, Bare: false };
}
