using EmScan.Engine.Adapters;

namespace EmScan.Engine.Tests.Adapters;

public sealed class DiscoveryPropertyTests
{
    private static readonly string[] Names =
    [
        "checkpoint-10", "checkpoint-20", "checkpoint-030", "step_10", "global_step_4", "epoch_0", "epoch_1", "epoch-2-step-9", "iter-000003-ckpt", "checkpoint-10-f16", "000010", "42", "seed_42",
        "medical", "legal", "final", "best", "latest", "actor", "lora_adapter", "ref", "reference", "tmp-checkpoint-5", ".hidden", "run", "runs", "medical-checkpoint-7", "merged", "checkpoints",
    ];

    private static readonly string[] Files = ["medical-checkpoint-20-f16", "medical-checkpoint-20-q8_0", "checkpoint-20", "20", "adapter", "medical", "legal-step_3", "ggml-adapter-model-f16", "best"];

    /// <summary>Every adapter lies in exactly one run, or is named with the reason why not; within a run each step occurs once.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void In_random_trees_no_adapter_is_lost(int block)
    {
        for (int i = 0; i < 30; i++)
        {
            int seed = block * 1000 + i;
            using var tree = new AdapterTree();
            List<string> adapters = Grow(tree, new Random(seed));
            DiscoveredCheckpoints found = Find(tree);
            string[] scanned = [.. found.Runs.SelectMany(r => r.Checkpoints).Select(c => RealPath.Of(c.Path)!)];
            Assert.True(scanned.Distinct().Count() == scanned.Length, $"seed {seed}: scanned twice: {string.Join(", ", scanned)}");
            foreach (string adapter in adapters)
            {
                bool told = found.LeftOut.Any(l => RealPath.Of(l.Path) is { } place && (RealPath.IsWithin(adapter, place) || place == adapter));
                Assert.True(scanned.Contains(adapter) || told, $"seed {seed}: {adapter} is lost");
            }

            foreach (CheckpointRun run in found.Runs)
                Assert.True(run.Checkpoints.Select(c => c.Step).Distinct().Count() == run.Checkpoints.Count, $"seed {seed}: run {run.Name} has a step twice");
            Assert.True(found.Runs.Select(r => r.Name).Distinct().Count() == found.Runs.Count, $"seed {seed}: two runs have one name");
            Assert.True(found.Runs.Select(r => r.OutputPath).Distinct().Count() == found.Runs.Count, $"seed {seed}: two runs have one output folder");
        }
    }

    [Fact]
    public void The_order_of_several_folders_changes_nothing()
    {
        for (int seed = 1; seed <= 20; seed++)
        {
            using var tree = new AdapterTree();
            Grow(tree, new Random(seed));
            string[] roots = [.. Directory.GetDirectories(tree.Root).Where(d => new DirectoryInfo(d).LinkTarget == null)];
            if (roots.Length < 2) continue;
            string? Text(string[] order)
            {
                try
                {
                    DiscoveredCheckpoints found = CheckpointDiscovery.Find(order);
                    return string.Join('\n', found.Runs.SelectMany(r => r.Checkpoints.Select(c => $"{r.Name} {c.Step} {c.Path}")).Concat(found.Remarks.Select(r => r.Text)));
                }
                catch (InputFileException)
                {
                    return null;
                }
            }

            Assert.Equal(Text(roots), Text([.. roots.Reverse()]));
        }
    }

    private static DiscoveredCheckpoints Find(AdapterTree tree)
    {
        tree.Peft("always/checkpoint-1", 987654);
        return CheckpointDiscovery.Find(tree.Root);
    }

    /// <summary>Real paths of all adapters that were written.</summary>
    private static List<string> Grow(AdapterTree tree, Random random)
    {
        var adapters = new List<string>();
        var folders = new List<string> { tree.Root };
        for (int i = 0; i < 14; i++)
        {
            string parent = folders[random.Next(folders.Count)];
            string folder = Path.Combine(parent, Names[random.Next(Names.Length)]);
            if (Directory.Exists(folder) || folder.Length > tree.Root.Length + 120) continue;
            Directory.CreateDirectory(folder);
            folders.Add(folder);

            // Few seeds, so that some adapters are the same.
            if (random.Next(3) > 0) adapters.Add(tree.Peft(folder, random.Next(6)));
            if (random.Next(4) == 0) adapters.Add(tree.Gguf(Path.Combine(folder, Files[random.Next(Files.Length)] + ".gguf"), random.Next(6)));
        }

        string outside = Path.Combine(tree.Outside, "checkpoint-77");
        for (int i = 0; i < 4; i++)
        {
            string link = Path.Combine(folders[random.Next(folders.Count)], random.Next(2) == 0 ? Names[random.Next(Names.Length)] : $"link{i}");
            if (Path.Exists(link)) continue;
            string target = random.Next(4) switch
            {
                0 => outside,
                1 => tree["nowhere"],
                _ => folders[random.Next(folders.Count)],
            };
            Directory.CreateSymbolicLink(link, target);
            bool hidden = link[tree.Root.Length..].Split('/').Any(CheckpointCompleteness.IsStagingName);
            if (target == outside && !hidden)
            {
                if (!Directory.Exists(outside)) tree.Peft(outside, 5);
                if (!adapters.Contains(outside)) adapters.Add(outside);
            }
        }

        return adapters;
    }
}
