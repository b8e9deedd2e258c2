using System.Text.Json;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>What <c>emscan diff</c> of all layers costs over a plain scan of the same tokens: the program itself, each time in a process of its
/// own, with nothing on record.</summary>
internal sealed class DiffPart(Workload workload)
{
    private const int Texts = 40, Words = 125;

    internal void Run()
    {
        var random = new Random(3);
        string[] texts = [.. Enumerable.Range(0, Texts).Select(_ => Sentence(Words))];
        string textFile = Path.Combine(workload.Folder, "texts.txt"), traits = Path.Combine(workload.Folder, "traits.yaml");
        File.WriteAllLines(textFile, texts);
        WriteTraits(traits, texts[..8].Select(text => string.Join(' ', text.Split(' ').Take(6))));
        string same = Path.Combine(workload.Folder, "traits-texts.yaml");
        WriteTraits(same, texts);
        string[] both = ["--model", workload.Model.FilePath, "--adapters", workload.AdapterGguf(0), "--chat-template", "plain", "--threads", Invariant($"{workload.Options.Threads}")];
        int last = workload.Model.LayerCount - 1;
        (string Name, string[] Arguments)[] runs =
        [
            ("emscan diff, all layers", ["diff", .. both, "--traits", traits, "--texts", textFile, "--json"]),
            ("emscan scan, its default layer", ["scan", .. both, "--traits", same]),
            ("emscan scan, the last layer", ["scan", .. both, "--traits", same, "--layer", Invariant($"{last}")]),
        ];

        Console.WriteLine(Invariant($"{Texts} texts of {Words} words; {workload.Options.Threads} thread(s)"));
        Console.WriteLine();
        Console.WriteLine("| what | time, s | processor time, s | resident at most, MB | beside the mapped model, MB |");
        Console.WriteLine("|---|---:|---:|---:|---:|");
        var taken = new List<ProgramRun>();
        foreach ((string name, string[] arguments) in runs)
        {
            ProgramRun run = ProgramRun.ToItsEnd(Path.Combine(workload.Folder, $"cache-{taken.Count}"), arguments);
            taken.Add(run);
            Console.WriteLine(Invariant($"| {name} | {run.Time.TotalSeconds:0.0} | {run.Processor.TotalSeconds:0.0} | {run.Resident / 1e6:0} | {run.Anonymous / 1e6:0} |"));
        }

        Console.WriteLine();
        Report.Claims([
            ("diff of all layers over a scan of the same tokens at the last layer, processor time", "", taken[0].Processor / taken[2].Processor),
            ("diff of all layers over a scan of the same tokens at its default layer, processor time", "", taken[0].Processor / taken[1].Processor),
        ]);

        string Sentence(int words) => string.Join(' ', Enumerable.Range(0, words).Select(_ => Invariant($"word{random.Next(1, workload.Options.Shape.Vocabulary)}")));

        void WriteTraits(string path, IEnumerable<string> prompts) => File.WriteAllText(path, JsonSerializer.Serialize(new
        {
            traits = new { honesty = new { positive_system_prompts = new[] { Sentence(4) }, negative_system_prompts = new[] { Sentence(4) } } },
            questions = new[] { Sentence(4), Sentence(4) },
            eval_prompts = new { texts = prompts.ToArray() },
        }));
    }
}
