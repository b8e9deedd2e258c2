using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Finds the LoRA checkpoints below folders: PEFT folders as trainers leave them (<c>run/checkpoint-N</c>, <c>epoch_N</c>,
/// <c>global_step_N/actor/lora_adapter</c>, named adapters below a checkpoint, the final adapter in the run itself), and llama.cpp LoRA
/// files (<c>NAME-checkpoint-N-f16.gguf</c>). docs/adapters.md has the whole grammar.
/// </summary>
public static class CheckpointDiscovery
{

    /// <summary>Looks for checkpoints below one folder.</summary>
    /// <param name="root">A folder of runs, a run, or a single checkpoint (folder, a file in one, or GGUF file).</param>
    /// <exception cref="InputFileException">The path does not exist, cannot be read, or holds no checkpoint.</exception>
    public static DiscoveredCheckpoints Find(string root) => Find([root]);

    /// <summary>Looks for checkpoints below several folders, as one search: what is reached twice counts once, and runs have different names.</summary>
    /// <param name="roots">At least one folder of runs, run, or checkpoint; their order does not matter.</param>
    /// <param name="quietTime">How long something unfinished must have been left alone to count as damaged instead of being written; null
    /// means <see cref="CheckpointCompleteness.DefaultQuietTime"/>.</param>
    /// <exception cref="InputFileException">A path does not exist or cannot be read, or none holds a checkpoint.</exception>
    public static DiscoveredCheckpoints Find(IReadOnlyList<string> roots, TimeSpan? quietTime = null)
    {
        DiscoveredCheckpoints found = Look(roots, quietTime);
        if (found.Runs.Count > 0) return found;
        if (roots.Count == 1 && RecognisedFile.Of(roots[0]) is { Kind: FileKind.ModelFolder } model)
            throw new InputFileException(roots[0], InputUse.Adapters.Sentence(roots[0], model));
        throw new InputFileException(
            string.Join(", ", roots.Take(3)) + (roots.Count > 3 ? ", ..." : ""),
            "no LoRA checkpoint found; expected folders with adapter_config.json and adapter_model.safetensors (PEFT), or LoRA files in GGUF."
            + (found.Remarks.Count > 0 ? " " + string.Join(" ", found.Remarks) : ""));
    }

    /// <summary>The same search where no checkpoint is an answer, too: a training may not have saved one yet.</summary>
    /// <param name="roots">As for <see cref="Find(IReadOnlyList{string}, TimeSpan?)"/>.</param>
    /// <param name="quietTime">As there.</param>
    /// <exception cref="InputFileException">A path does not exist or cannot be read.</exception>
    public static DiscoveredCheckpoints Look(IReadOnlyList<string> roots, TimeSpan? quietTime = null) => Look(roots, quietTime, null);

    /// <summary>The same again and again, by one who remembers what was complete: see <see cref="AdapterWalk"/>.</summary>
    internal static DiscoveredCheckpoints Look(IReadOnlyList<string> roots, TimeSpan? quietTime, Func<string, bool>? unchanged)
    {
        ArgumentNullException.ThrowIfNull(roots);
        if (roots.Count == 0) throw new ArgumentException("At least one folder is needed.", nameof(roots));
        foreach (string root in roots) ArgumentException.ThrowIfNullOrEmpty(root, nameof(roots));
        Place[] places = Distinct([.. roots.Select(root => Locate(root, roots.Count == 1)).OfType<Place>()]);
        var walk = new AdapterWalk(DateTime.UtcNow, quietTime ?? CheckpointCompleteness.DefaultQuietTime, unchanged);
        foreach (Place place in places) walk.AddRoot(place.Real);
        foreach (Place place in places)
        {
            if (File.Exists(place.Real)) walk.File(place.Path, place.Real, place.Base, place.Names, isOnlyFile: true);
            else walk.Folder(place.Path, place.Real, place.Base, place.Names);
        }

        walk.FollowLinks();
        var leftOut = new List<LeftOut>(walk.LeftOut);
        var notes = new List<Remark>();
        IReadOnlyList<CheckpointRun> runs = RunNaming.ToRuns(walk.Found, leftOut, notes);
        return new DiscoveredCheckpoints(runs, [.. leftOut.OrderBy(l => l.Reason).ThenBy(l => l.Path, NaturalOrder.Instance)], notes);
    }

    /// <summary>Where a path that the user gave lies, and from where its run is named.</summary>
    /// <returns>Null for a file among several paths that is no adapter, such as the shell's "*" names.</returns>
    private static Place? Locate(string given, bool alone)
    {
        string path = given.Length > 1 ? Path.TrimEndingDirectorySeparator(given) : given;
        if (RealPath.Of(path) is not { } real)
        {
            throw new InputFileException(given, new FileInfo(path).LinkTarget != null
                ? "is a link that leads nowhere; give the folder that holds the LoRA checkpoints."
                : InputUse.Missing(given, InputUse.Adapters));
        }

        if (Directory.Exists(real)) return Below(path, real, Path.GetFullPath(path));
        if (AdapterReader.PeftFolder(path) is { } folder) return Below(folder, RealPath.Of(folder)!, Path.GetFullPath(folder));
        RecognisedFile file = RecognisedFile.Of(path);
        if (file.Kind == FileKind.Archive) throw new InputFileException(given, $"is {file.What} and is not opened; {AdapterArchive.Unpack(given)}");
        if (alone) InputUse.Adapters.Require(path, file);
        else if (!AdapterWalk.IsGguf(path)) return null;
        string full = Path.GetFullPath(path);
        (string parent, string[] names) = Climb(Path.GetDirectoryName(full)!, holdsAdapter: true);
        return new Place(path, real, RealPath.Of(parent) ?? parent, [.. names, Path.GetFileNameWithoutExtension(full)]);
    }

    private static Place Below(string path, string real, string full)
    {
        (string parent, string[] names) = Climb(full, HoldsAdapter(full, depth: 2));
        return new Place(path, real, RealPath.Of(parent) ?? parent, names);
    }

    /// <summary>From a checkpoint that was given by itself up to its run's folder; a folder of runs stays where it is.</summary>
    private static (string Base, string[] Names) Climb(string folder, bool holdsAdapter)
    {
        // The adapter may be named, or on a shelf, below its step: checkpoint-30/medical, global_step_30/actor/lora_adapter.
        const int Below = 2;
        string[] names = [];
        string at = folder;
        for (int up = 0; holdsAdapter && up <= Below && Path.GetDirectoryName(at) is { } parent; up++, at = parent)
        {
            string name = Path.GetFileName(at);
            PathName kind = PathName.OfFolder(name);
            names = [name, .. names];
            if (kind.Kind == NameKind.Numbered && (!kind.Bare || (up == 0 && !PathName.CountsNoSteps(Path.GetFileName(parent)))))
            {
                // epoch_1/step_200: the run is above both.
                return kind.Step != null && Path.GetDirectoryName(parent) is { } higher
                    && PathName.OfFolder(Path.GetFileName(parent)) is { Kind: NameKind.Numbered, Step: null }
                    ? (higher, [Path.GetFileName(parent), .. names])
                    : (parent, names);
            }

            if (up == 0 && kind.Kind == NameKind.Final && HoldsPeft(folder)) return (parent, names);
        }

        return (folder, []);
    }

    private static bool HoldsAdapter(string folder, int depth)
    {
        try
        {
            if (HoldsPeft(folder) || Directory.EnumerateFiles(folder, "*.gguf").Any()) return true;
            return depth > 0 && Directory.EnumerateDirectories(folder)
                .Any(child => PathName.OfFolder(Path.GetFileName(child)).Kind != NameKind.Numbered && HoldsAdapter(child, depth - 1));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The walk says so.
            return false;
        }
    }

    private static bool HoldsPeft(string folder) => PeftAdapterReader.FileNames.Any(file => File.Exists(Path.Combine(folder, file)));

    // A place inside another one is searched with it. By the folders above each, not against each other: a list may name ten thousand.
    private static Place[] Distinct(Place[] places)
    {
        Place[] once = [.. places.OrderBy(p => p.Real, NaturalOrder.Instance).ThenBy(p => p.Path, NaturalOrder.Instance).DistinctBy(p => p.Real)];
        HashSet<string> reals = [.. once.Select(p => p.Real)];
        return [.. once.Where(p => !Above(p.Real).Any(reals.Contains))];

        static IEnumerable<string> Above(string path)
        {
            for (string? folder = Path.GetDirectoryName(path); folder != null; folder = Path.GetDirectoryName(folder)) yield return folder;
        }
    }

    private sealed record Place(string Path, string Real, string Base, string[] Names);
}
