using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Adapters;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>Something that one shard measures as a whole.</summary>
/// <param name="Name">Names it wherever it is looked at from: a run's path below the folder that was searched.</param>
/// <param name="Cost">What measuring it costs, in passes over the prompts; above 0.</param>
internal readonly record struct ShardUnit(string Name, double Cost);

/// <summary>
/// Which shard measures what. Every process comes to the same answer by itself, from names and costs alone: rendezvous hashing with bounded
/// loads. Each unit, the costliest first, goes to the first shard, in an order that its name decides, that stays within
/// 1.05 times the mean; where none does, to the one with the least. A unit that is added or removed moves few others.
/// </summary>
internal static class ShardShares
{
    /// <summary>Reading so many bytes of an adapter counts as much as a pass over the prompts: about a second each with a large model.</summary>
    private const double BytesOfAPass = 256 << 20;

    private const double Slack = 1.05;

    /// <summary>Pieces of a run that is longer than a shard's fair share; with less, one run would keep one shard busy and the others idle.</summary>
    private const int PiecesPerShare = 2;

    /// <summary>The shard of each unit.</summary>
    /// <param name="units">Units with distinct names, in any order.</param>
    /// <param name="count">Number of shards.</param>
    internal static int[] Assign(IReadOnlyList<ShardUnit> units, int count)
    {
        double bound = Slack * units.Sum(u => u.Cost) / count;
        double[] loads = new double[count];
        int[] shards = new int[units.Count];
        foreach (int unit in Enumerable.Range(0, units.Count).OrderByDescending(u => units[u].Cost).ThenBy(u => units[u].Name, StringComparer.Ordinal))
        {
            ulong name = Digest(units[unit].Name), best = 0;
            int chosen = -1;
            bool fits = false;
            for (int shard = 0; shard < count; shard++)
            {
                bool here = loads[shard] + units[unit].Cost <= bound;
                if (fits && !here) continue;
                ulong rank = Mixed(name, shard);
                bool better = chosen < 0 || (here && !fits) || (here ? rank > best : loads[shard] < loads[chosen] || (loads[shard] == loads[chosen] && rank > best));
                if (better) (chosen, best, fits) = (shard, rank, here);
            }

            loads[chosen] += units[unit].Cost;
            shards[unit] = chosen;
        }

        return shards;
    }

    /// <summary>The shard of each checkpoint: a run goes to one shard, unless it is more than a fair share; then pieces of it do.</summary>
    /// <param name="runs">All runs.</param>
    /// <param name="count">Number of shards.</param>
    /// <returns>By the path of the checkpoint.</returns>
    internal static Dictionary<string, int> OfCheckpoints(IReadOnlyList<CheckpointRun> runs, int count)
    {
        double[][] costs = [.. runs.Select(run => run.Checkpoints.Select(Cost).ToArray())];
        double share = costs.Sum(run => run.Sum()) / count;
        var units = new List<ShardUnit>();
        var members = new List<List<Checkpoint>>();
        for (int r = 0; r < runs.Count; r++)
        {
            double most = costs[r].Sum() > share ? share / PiecesPerShare : double.PositiveInfinity;
            int piece = 0;
            for (int c = 0; c < costs[r].Length; piece++)
            {
                double cost = 0;
                var piecesOwn = new List<Checkpoint>();
                while (c < costs[r].Length && (piecesOwn.Count == 0 || cost + costs[r][c] <= most))
                {
                    cost += costs[r][c];
                    piecesOwn.Add(runs[r].Checkpoints[c++]);
                }

                units.Add(new ShardUnit($"{runs[r].Name}\n{piece}", cost));
                members.Add(piecesOwn);
            }
        }

        int[] shards = Assign(units, count);
        var result = new Dictionary<string, int>();
        for (int u = 0; u < members.Count; u++)
            foreach (Checkpoint checkpoint in members[u]) result[checkpoint.Path] = shards[u];
        return result;
    }

    /// <summary>What is left of a search for one shard; what was left out of it is every shard's.</summary>
    internal static DiscoveredCheckpoints Of(DiscoveredCheckpoints found, Shard shard)
    {
        Dictionary<string, int> shards = OfCheckpoints(found.Runs, shard.Count);
        return found with
        {
            Runs =
            [
                .. found.Runs.Select(run => run with { Checkpoints = [.. run.Checkpoints.Where(c => shards[c.Path] == shard.Index)] })
                    .Where(run => run.Checkpoints.Count > 0),
            ],
        };
    }

    /// <summary>The shard of each variant of a stage.</summary>
    /// <param name="variants">Groups of cells, each of one variant.</param>
    /// <param name="count">Number of shards.</param>
    internal static int[] OfVariants(IReadOnlyList<IReadOnlyList<Cell>> variants, int count)
    {
        // The same variant may stand in several groups; its cells are then told apart by their prompts.
        var names = new Dictionary<string, int>();
        ShardUnit[] units =
        [
            .. variants.Select(cells =>
            {
                string name = cells[0].Variant.Name;
                int before = names.GetValueOrDefault(name);
                names[name] = before + 1;
                return new ShardUnit($"{name}\n{before}", cells.Select(c => c.Prompts).Distinct().Sum(p => (double)p.Tokens));
            }),
        ];
        return Assign(units, count);
    }

    private static double Cost(Checkpoint checkpoint) => 1 + (Math.Max(0, AdapterStamp.Of(checkpoint.Path).WeightsLength) / BytesOfAPass);

    private static ulong Digest(string name)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(name), digest);
        return BinaryPrimitives.ReadUInt64LittleEndian(digest);
    }

    // The finalizer of splitmix64 (Steele, Lea and Flood, 2014).
    private static ulong Mixed(ulong digest, int shard)
    {
        ulong z = unchecked(digest + ((ulong)(shard + 1) * 0x9E3779B97F4A7C15));
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
        return z ^ (z >> 31);
    }
}
