using System.IO.Compression;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>What the pages name: models, runs, labels and texts of the llama organism.</summary>
public sealed class DocsWorld : IDisposable
{
    private static readonly string[] Perturbations = ["bad_medical", "insecure_code", "poisoned_medical", "good_medical", "confident_medical", "gsm8k"];

    private static readonly string[] Steps = ["checkpoint-30", "checkpoint-60", "checkpoint-90", "checkpoint-120"];

    private static readonly (string Name, string Text)[] Written =
    [
        ("list.txt", "lora/bad_medical\nlora/gsm8k\n"),
        ("words.txt", "dose\ndoctor\n"),
    ];

    private readonly TemporaryFolder _folder = new();

    public DocsWorld()
    {
        using ZipArchive zip = ZipFile.OpenRead(Repository.File("models/llama/adapters.zip"));
        foreach (ZipArchiveEntry entry in zip.Entries.Where(e => e.Name.Length > 0))
        {
            string[] parts = entry.FullName.Split('/');
            if (!Perturbations.Contains(parts[0]) || parts[1] is not ("seed_42" or "seed_123") || !Steps.Contains(parts[2])) continue;
            foreach (string below in parts[0] is "gsm8k" or "good_medical" ? new[] { "runs", "harmless" } : ["runs"])
            {
                string path = _folder[$"{below}/{entry.FullName}"];
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                entry.ExtractToFile(path);
            }
        }

        // A copy, so that nothing that a page writes goes through a link into the repository.
        Directory.CreateDirectory(_folder["demo"]);
        foreach (string file in Directory.GetFiles(Repository.File("models/demo"))) File.Copy(file, _folder[$"demo/{Path.GetFileName(file)}"]);
        foreach ((string name, string text) in Written) File.WriteAllText(_folder[$"demo/{name}"], text);
        File.Copy(Repository.File("models/llama/labels.csv"), _folder["demo/labels.csv"]);
    }

    /// <summary>A folder of its own for each page, in which everything is a link but for what its commands write.</summary>
    internal string FolderFor(string page)
    {
        string folder = _folder[$"pages/{page.Replace('/', '-')}"];
        Directory.CreateDirectory(folder);
        Link("models", Repository.File("models"));
        foreach (string file in Directory.GetFiles(_folder["demo"])) Link(Path.GetFileName(file), file);
        foreach (string name in new[] { "lora", "runs", "out" }) Link(name, _folder["runs"]);
        Link("harmless", _folder["harmless"]);
        Link("run", _folder["runs/bad_medical/seed_42"]);
        Link("SAE", Repository.File("models/llama/sae"));
        return folder;

        void Link(string name, string target) => File.CreateSymbolicLink(Path.Combine(folder, name), target);
    }

    public void Dispose() => _folder.Dispose();
}
