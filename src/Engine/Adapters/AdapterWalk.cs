using System.Text.RegularExpressions;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// Walks folders and finds every adapter in them once, by the place where it really lies. Folders come first and links after them, so that
/// a link to something that is found anyway changes nothing, in whatever order the file system lists its entries.
/// </summary>
internal sealed partial class AdapterWalk
{
    // Hidden folders are looked into only to be able to say that adapters lie there.
    private const int HiddenEntries = 20_000;

    private readonly DateTime _now;
    private readonly TimeSpan _quietTime;
    private readonly Func<string, bool>? _unchanged;
    private readonly HashSet<string> _visited = [];
    private readonly List<Link> _links = [];
    private readonly List<LeftOut> _configsAlone = [];
    private readonly List<string> _roots = [];

    /// <summary>A walk that has found nothing yet.</summary>
    /// <param name="now">The time, UTC.</param>
    /// <param name="quietTime">See <see cref="CheckpointCompleteness.DefaultQuietTime"/>.</param>
    /// <param name="unchanged">Says of an adapter's path that it was found complete before and is the same still, so that its files need not be
    /// opened again; null where nothing is known from before.</param>
    internal AdapterWalk(DateTime now, TimeSpan quietTime, Func<string, bool>? unchanged = null) => (_now, _quietTime, _unchanged) = (now, quietTime, unchanged);

    internal List<FoundAdapter> Found { get; } = [];

    internal List<LeftOut> LeftOut { get; } = [];

    /// <summary>Folders that are searched from; links never lead up to one of them.</summary>
    internal void AddRoot(string real) => _roots.Add(real);

    /// <summary>Searches a folder.</summary>
    internal void Folder(string path, string real, string baseFolder, string[] names) => Visit(path, real, baseFolder, names, inNumbered: false);

    /// <summary>Takes one GGUF file.</summary>
    internal void File(string path, string real, string baseFolder, string[] names, bool isOnlyFile)
    {
        if (_visited.Add(real)) Gguf(path, real, baseFolder, names, isOnlyFile, given: true);
    }

    /// <summary>Follows the links that were met, once all folders are known; then says which configurations lie alone.</summary>
    internal void FollowLinks()
    {
        while (_links.Count > 0)
        {
            // A link that names a step goes before one that merely says "best".
            Link link = _links.OrderBy(l => PathName.OfFolder(Path.GetFileNameWithoutExtension(l.Path)).Kind == NameKind.Numbered ? 0 : 1)
                .ThenBy(l => string.Join('/', l.Names), NaturalOrder.Instance).ThenBy(l => l.Path, NaturalOrder.Instance).First();
            _links.Remove(link);
            Follow(link);
        }

        foreach (LeftOut config in _configsAlone)
        {
            // A run's folder, where some trainers put the configuration before the first step, is no checkpoint.
            bool isRun = Found.Any(f => f.Path.StartsWith(config.Path + Path.DirectorySeparatorChar, StringComparison.Ordinal));
            LeftOut.Add(config with { IsCheckpoint = !isRun });
        }
    }

    private void Follow(Link link)
    {
        bool numbered = PathName.OfFolder(link.Names[^1]).Kind == NameKind.Numbered;
        if (RealPath.Of(link.Path) is not { } real)
        {
            LeftOut.Add(new LeftOut(link.Path, LeftOutReason.DanglingLink, $"{link.Path} is a link that leads nowhere.", numbered || IsGguf(link.Path)));
        }
        else if (_visited.Contains(real) || _roots.Any(root => RealPath.IsWithin(root, real)))
        {
            if (Found.Any(f => RealPath.IsWithin(f.Real, real)))
                LeftOut.Add(new LeftOut(link.Path, LeftOutReason.Linked, $"{link.Path} is a link to {real}, which is scanned at its own place.", false));
        }
        else if (System.IO.File.Exists(real))
        {
            _visited.Add(real);
            Gguf(link.Path, real, link.Base, WithStep(link.Names, Path.GetFileNameWithoutExtension(real), isFile: true), link.IsOnlyFile, given: false);
        }
        else if (CheckpointCompleteness.IsStagingName(Path.GetFileName(real)))
        {
            Hidden(link.Path);
        }
        else
        {
            Visit(link.Path, real, link.Base, WithStep(link.Names, Path.GetFileName(real), isFile: false), inNumbered: false);
        }
    }

    // "best" linked to .../checkpoint-30 elsewhere is step 30 of the run that it is linked from; "medical" linked there is step 30 of medical.
    private static string[] WithStep(string[] names, string target, bool isFile)
    {
        PathName own = isFile ? PathName.OfFile(names[^1]) : PathName.OfFolder(names[^1]), there = isFile ? PathName.OfFile(target) : PathName.OfFolder(target);
        if (there.Kind != NameKind.Numbered || there.Bare) return names;
        return own.Kind switch
        {
            NameKind.Final => [.. names[..^1], target],
            NameKind.Plain when !isFile => [.. names, target],
            _ => names,
        };
    }

    /// <summary>Searches a folder and what lies below it.</summary>
    /// <returns>What it is when it holds nothing that was found or left out.</returns>
    private Barren Visit(string path, string real, string baseFolder, string[] names, bool inNumbered)
    {
        if (!_visited.Add(real)) return Barren.None;
        PathName name = names.Length > 0 ? PathName.OfFolder(names[^1]) : default;
        bool numbered = names.Length > 0 && name is { Kind: NameKind.Numbered, Bare: false };
        FileSystemInfo[] entries;
        try
        {
            entries = [.. new DirectoryInfo(path).EnumerateFileSystemInfos().OrderBy(e => e.Name, NaturalOrder.Instance)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            bool gone = e is DirectoryNotFoundException;
            LeftOut.Add(gone && Path.GetFileName(path).Contains('\uFFFD')
                ? new LeftOut(path, LeftOutReason.Unreadable, $"{path} has a name that is not UTF-8, so that it cannot be opened here, and is skipped; rename it.", true)
                : gone
                ? new LeftOut(path, LeftOutReason.Gone, $"{path} disappeared while it was looked at.", numbered)
                : new LeftOut(path, LeftOutReason.Unreadable, $"{path} cannot be read ({(e is UnauthorizedAccessException ? "permission denied" : InputFile.OneLine(e.Message))}) and is skipped.", numbered || !BarrenFolder.IsOfTheSystem(Path.GetFileName(path))));
            return Barren.None;
        }

        int before = Found.Count + LeftOut.Count + _configsAlone.Count;
        var folders = new List<string>();
        var files = new List<string>();
        foreach (FileSystemInfo entry in entries)
        {
            // File.Exists is true for a link that leads nowhere.
            string? target = entry.LinkTarget == null ? entry.FullName : RealPath.Of(entry.FullName);
            if (entry.LinkTarget != null && !PeftAdapterReader.FileNames.Contains(entry.Name))
            {
                if (target == null || Directory.Exists(target) || IsGguf(entry.Name)) _links.Add(ToLink(entry, path, baseFolder, names, entries));
                else files.Add(entry.Name);
            }
            else if (entry.Attributes.HasFlag(FileAttributes.Directory) && entry.LinkTarget == null)
            {
                folders.Add(entry.Name);
            }
            else if (target == null)
            {
                LeftOut.Add(new LeftOut(entry.FullName, LeftOutReason.DanglingLink, $"{Path.Combine(path, entry.Name)} is a link that leads nowhere.", entry.Name != PeftAdapterReader.ConfigName));
            }
            else
            {
                files.Add(entry.Name);
            }
        }

        Barren signs = Files(path, real, baseFolder, names, files, numbered || inNumbered);
        foreach (string folder in folders)
        {
            string child = Path.Combine(path, folder);
            if (CheckpointCompleteness.IsStagingName(folder)) Hidden(child);
            else signs = BarrenFolder.Worse(signs, Visit(child, Path.Combine(real, folder), baseFolder, [.. names, folder], numbered || inNumbered));
        }

        if (Found.Count + LeftOut.Count + _configsAlone.Count > before) return Barren.None;
        if (!numbered && !inNumbered && files.Contains("config.json") && files.Exists(f => BarrenFolder.SignOf(f) == Barren.Model))
        {
            LeftOut.Add(new LeftOut(path, LeftOutReason.Model, BarrenFolder.Sentence(path, Barren.Model), false));
            return Barren.None;
        }

        if (!numbered || inNumbered) return signs;
        Empty(path, signs, name);
        return Barren.None;
    }

    private static Link ToLink(FileSystemInfo entry, string folder, string baseFolder, string[] names, FileSystemInfo[] entries)
    {
        bool gguf = IsGguf(entry.Name) && !Directory.Exists(entry.FullName);
        string name = gguf ? Path.GetFileNameWithoutExtension(entry.Name) : entry.Name;
        return new Link(Path.Combine(folder, entry.Name), baseFolder, [.. names, name], gguf && entries.Count(e => IsGguf(e.Name)) == 1);
    }

    private void Hidden(string path)
    {
        try
        {
            var options = new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint, ReturnSpecialDirectories = false };
            int adapters = Directory.EnumerateFiles(path, "*", options).Take(HiddenEntries)
                .Count(f => Path.GetFileName(f) is PeftAdapterReader.WeightsName or PeftAdapterReader.PickleName || IsGguf(f));
            if (adapters > 0)
            {
                LeftOut.Add(new LeftOut(
                    path, LeftOutReason.Staging, $"{path} is a hidden or staging folder; the {adapters} adapter {(adapters == 1 ? "file" : "files")} in it {(adapters == 1 ? "is" : "are")} left out.", false));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Staging folders are renamed while one looks; nothing that is ready was in it.
            LeftOut.Add(new LeftOut(path, LeftOutReason.Staging, $"{path} is a hidden or staging folder that cannot be looked into; it is left out.", false));
        }
    }

    private void Empty(string path, Barren signs, PathName name)
    {
        bool young = CheckpointCompleteness.Of(path, name.Step is { } step ? CheckpointStep.At(step) : null, _now, _quietTime).State != CheckpointState.Complete;
        if (young && signs <= Barren.Training) LeftOut.Add(new LeftOut(path, LeftOutReason.Incomplete, $"{path} holds no adapter yet and is skipped.", true));
        else LeftOut.Add(new LeftOut(path, LeftOutReason.NoAdapter, BarrenFolder.Sentence(path, signs), signs != Barren.Nothing || CheckpointWord().IsMatch(Path.GetFileName(path))));
    }

    /// <summary>Whether a name is that of a GGUF file.</summary>
    internal static bool IsGguf(string name) => name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);

    [GeneratedRegex("^(?:checkpoint|ckpt|chkpt|global[-_]?step)|(?:checkpoint|ckpt)", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex CheckpointWord();

    private sealed record Link(string Path, string Base, string[] Names, bool IsOnlyFile);
}
