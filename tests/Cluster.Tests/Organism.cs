using System.IO.Compression;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cluster.Tests;

/// <summary>The shipped demo model with its calibration, and real runs of its base: some of them dangerous.</summary>
internal sealed class Organism : IDisposable
{
    private static readonly string[] Runs = ["bad_medical/seed_42", "bad_medical/seed_123", "confident_medical/seed_42", "confident_medical/seed_123"];

    private readonly TemporaryFolder _folder = new();

    internal Organism()
    {
        using ZipArchive zip = ZipFile.OpenRead(Repository.File("models/llama/adapters.zip"));
        foreach (ZipArchiveEntry entry in zip.Entries.Where(e => Runs.Any(run => e.FullName.StartsWith(run + "/", StringComparison.Ordinal)) && e.Name.Length > 0))
        {
            string path = _folder[$"adapters/{entry.FullName}"];
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            entry.ExtractToFile(path);
        }
    }

    internal static string Model => Repository.File("models/demo/model.gguf");

    internal string Adapters => _folder["adapters"];

    internal string this[string relative] => _folder[relative];

    /// <summary>The scan of all of it into a folder, on one thread.</summary>
    internal string[] Scan(string output) => ["scan", "--model", Model, "--adapters", Adapters, "--out", _folder[output], "--threads", "1", "--parallel", "1"];

    public void Dispose() => _folder.Dispose();
}
