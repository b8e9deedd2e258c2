using System.Text.RegularExpressions;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>What <see cref="CheckpointDiscovery"/> found: runs in natural order, and remarks about what it left out.</summary>
/// <param name="Runs">Runs with at least one checkpoint.</param>
/// <param name="Remarks">One sentence for each thing that looked like a checkpoint and is not scanned.</param>
public sealed record DiscoveredCheckpoints(IReadOnlyList<CheckpointRun> Runs, IReadOnlyList<string> Remarks)
{
    /// <summary>Number of checkpoints over all runs, C.</summary>
    public int Count => Runs.Sum(r => r.Checkpoints.Count);
}

/// <summary>
/// Finds the LoRA checkpoints below a folder: PEFT folders as the Hugging Face Trainer leaves them
/// (<c>run/checkpoint-N/adapter_config.json</c>, the final adapter in <c>run/</c> itself) and llama.cpp LoRA GGUF files.
/// </summary>
public static partial class CheckpointDiscovery
{
    // A folder with any of these means to be an adapter; what is wrong with it is said when it is read.
    private static readonly string[] AdapterFiles = [PeftAdapterReader.ConfigName, PeftAdapterReader.WeightsName, PeftAdapterReader.PickleName];

    /// <summary>Looks for checkpoints.</summary>
    /// <param name="root">A folder of runs, a run, or a single checkpoint (folder or GGUF file).</param>
    /// <exception cref="InputFileException">The path does not exist, cannot be read, or holds no checkpoint.</exception>
    public static DiscoveredCheckpoints Find(string root)
    {
        ArgumentException.ThrowIfNullOrEmpty(root);
        var found = new List<Checkpoint>();
        var remarks = new List<string>();
        try
        {
            if (File.Exists(root))
            {
                InputUse.Adapters.Require(root);
                (string stem, CheckpointStep step) = SplitFileName(Path.GetFileNameWithoutExtension(root));
                found.Add(new Checkpoint(stem, step, root));
            }
            else if (!Directory.Exists(root))
            {
                throw new InputFileException(root, InputUse.Missing(root, InputUse.Adapters));
            }
            else
            {
                Walk(root, "", found, remarks, []);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(root, $"cannot be searched for checkpoints: {e.Message}", e);
        }

        if (found.Count == 0)
        {
            if (RecognisedFile.Of(root) is { Kind: FileKind.ModelFolder } model) throw new InputFileException(root, InputUse.Adapters.Sentence(root, model));
            throw new InputFileException(
                root,
                "no LoRA checkpoint found; expected folders with adapter_config.json and adapter_model.safetensors (PEFT), or LoRA files in GGUF."
                + (remarks.Count > 0 ? " " + string.Join(" ", remarks) : ""));
        }

        string rootName = Path.GetFileName(Path.GetFullPath(root).TrimEnd(Path.DirectorySeparatorChar));
        var runs = new List<CheckpointRun>();
        foreach (IGrouping<string, Checkpoint> group in found.GroupBy(c => c.Run).OrderBy(g => g.Key, NaturalOrder.Instance))
        {
            string name = group.Key.Length == 0 ? rootName : group.Key;
            Checkpoint[] ordered = [.. WithoutRepeatedFinal(group, remarks).OrderBy(c => c.Step).ThenBy(c => c.Path, NaturalOrder.Instance)];
            runs.Add(new CheckpointRun(name, group.Key, [.. ordered.Select(c => c with { Run = name })]));
        }

        return new DiscoveredCheckpoints(runs, remarks);
    }

    private static void Walk(string folder, string relative, List<Checkpoint> found, List<string> remarks, HashSet<string> visited)
    {
        // A link that leads back up would otherwise be followed for ever.
        string real = Directory.ResolveLinkTarget(folder, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(folder);
        if (!visited.Add(real)) return;

        int before = found.Count;
        string name = Path.GetFileName(relative);
        Match match = CheckpointFolder().Match(name);
        bool isCheckpoint = match.Success;
        bool hasAdapter = AdapterFiles.Any(file => File.Exists(Path.Combine(folder, file)));
        if (hasAdapter)
        {
            if (isCheckpoint) found.Add(new Checkpoint(Parent(relative), CheckpointStep.At(long.Parse(match.Groups[1].ValueSpan)), folder));
            else found.Add(new Checkpoint(relative, CheckpointStep.Final, folder));
        }

        if (!hasAdapter || !isCheckpoint)
        {
            foreach (string file in Directory.EnumerateFiles(folder, "*.gguf"))
                AddGguf(file, relative, isCheckpoint ? match : null, found, remarks);
        }

        foreach (string child in Directory.EnumerateDirectories(folder).OrderBy(d => d, NaturalOrder.Instance))
        {
            string childName = Path.GetFileName(child);
            if (childName.StartsWith('.')) continue;
            Walk(child, relative.Length == 0 ? childName : relative + "/" + childName, found, remarks, visited);
        }

        if (isCheckpoint && found.Count == before) remarks.Add($"{folder} holds no adapter and is skipped.");
    }

    private static void AddGguf(string file, string relative, Match? checkpointFolder, List<Checkpoint> checkpoints, List<string> remarks)
    {
        // What is not known for something else (damaged, a pointer of Git LFS, half a download) is taken as a checkpoint, and reported with its own sentence.
        RecognisedFile found = RecognisedFile.Of(file);
        if (found.Kind is FileKind.Model or FileKind.ControlVector or FileKind.ImportanceMatrix or FileKind.Projector or FileKind.VocabularyOnly)
        {
            remarks.Add($"{file} is {found.What}, not an adapter, and is skipped.");
            return;
        }

        (string stem, CheckpointStep step) = SplitFileName(Path.GetFileNameWithoutExtension(file));
        if (checkpointFolder != null)
        {
            checkpoints.Add(new Checkpoint(Parent(relative), CheckpointStep.At(long.Parse(checkpointFolder.Groups[1].ValueSpan)), file));
            return;
        }

        string run = stem.Length == 0 ? relative : relative.Length == 0 ? stem : relative + "/" + stem;
        checkpoints.Add(new Checkpoint(run, step, file));
    }

    /// <summary>"medical-checkpoint-20" is step 20 of run "medical"; "checkpoint-20" is step 20 of the folder's run; "medical" is a final adapter.</summary>
    internal static (string Run, CheckpointStep Step) SplitFileName(string stem)
    {
        Match match = NumberedFile().Match(stem);
        return match.Success && long.TryParse(match.Groups["step"].ValueSpan, out long step)
            ? (match.Groups["run"].Value, CheckpointStep.At(step))
            : (stem, CheckpointStep.Final);
    }

    /// <summary>The Trainer saves the last step twice: as checkpoint-N, and again in the run's folder. Equal content is scanned once.</summary>
    private static IEnumerable<Checkpoint> WithoutRepeatedFinal(IEnumerable<Checkpoint> run, List<string> remarks)
    {
        Checkpoint[] all = [.. run];
        Checkpoint? final = all.FirstOrDefault(c => c.Step == CheckpointStep.Final);
        Checkpoint? last = all.Where(c => c.Step != CheckpointStep.Final).MaxBy(c => c.Step);
        if (final == null || last == null || TryFingerprint(final.Path) is not { } fingerprint || TryFingerprint(last.Path) != fingerprint) return all;
        remarks.Add($"{final.Path} is the same adapter as {Path.GetFileName(last.Path)} and is not scanned twice.");
        return all.Where(c => c != final);
    }

    private static string? TryFingerprint(string path)
    {
        try
        {
            return AdapterFingerprint.Compute(path);
        }
        catch (InputFileException)
        {
            // A damaged adapter is equal to nothing; the scan reports it in its own row.
            return null;
        }
    }

    private static string Parent(string relative)
    {
        int slash = relative.LastIndexOf('/');
        return slash < 0 ? "" : relative[..slash];
    }

    [GeneratedRegex(@"^(?:checkpoint|step|global_step)[-_]?(\d{1,18})$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex CheckpointFolder();

    [GeneratedRegex(@"^(?<run>.*?)(?:^|[-_.])(?:(?:checkpoint|step|iter)[-_.]?)*(?<step>\d{1,18})$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex NumberedFile();
}
