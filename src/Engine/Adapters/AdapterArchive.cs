using System.IO.Compression;
using System.Text.RegularExpressions;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>Archives among adapters: recognised and told of, never unpacked.</summary>
internal static partial class AdapterArchive
{
    /// <summary>Adapters in a zip file, by the names of its entries.</summary>
    internal static int AdaptersIn(string path)
    {
        using ZipArchive archive = ZipFile.OpenRead(path);
        return archive.Entries.Count(e => e.Name is PeftAdapterReader.WeightsName or PeftAdapterReader.PickleName || AdapterWalk.IsGguf(e.Name));
    }

    /// <summary>Whether a file is an archive, by its name without folders.</summary>
    internal static bool IsOne(string name) => ArchiveName().IsMatch(name);

    /// <summary>What to do with an archive.</summary>
    internal static string Unpack(string path)
    {
        string folder = ArchiveName().Replace(Path.GetFileName(path), "");
        return path.EndsWith(".zip", StringComparison.OrdinalIgnoreCase)
            ? $"unpack it ('unzip {path} -d {folder}') and give the folder"
            : $"unpack it ('mkdir {folder} && tar -xf {path} -C {folder}') and give the folder";
    }

    [GeneratedRegex(@"\.(?:zip|tar|tgz|tbz2?|txz|7z|rar|tar\.(?:gz|bz2|xz|zst))$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex ArchiveName();
}
