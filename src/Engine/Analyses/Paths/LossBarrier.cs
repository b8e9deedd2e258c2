using System.Text.Json.Nodes;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>How high a loss rises between two models (docs/path.md).</summary>
/// <param name="AboveChord">max(0, max over u of L(u) - (1 - u) L(0) - u L(1)).</param>
/// <param name="AtU">Where that is; 0 where there is none.</param>
/// <param name="SignedInner">The same over inner points only, with its sign: negative is convex.</param>
/// <param name="AboveMean">Highest point of the line above the mean of both ends.</param>
/// <param name="AboveHigher">The same above the higher end, at least 0.</param>
/// <param name="PassHeight">Highest point of the lowest path from A to B over the grid.</param>
/// <param name="PassAboveHigher">The same above the higher end, at least 0.</param>
/// <param name="Pass">That path, as weights of A and B; of equal heights the one of the least sum.</param>
internal sealed record LossBarrier(
    double AboveChord, double AtU, double SignedInner, double AboveMean, double AboveHigher, double PassHeight, double PassAboveHigher,
    IReadOnlyList<(double S, double T)> Pass)
{
    /// <summary>Finds it.</summary>
    /// <param name="u">From 0, A, to 1, B.</param>
    /// <param name="line">The loss there.</param>
    /// <param name="weights">Weights of A and of B on the grid, from 0 to 1.</param>
    /// <param name="grid">The loss [weight of A][weight of B].</param>
    internal static LossBarrier Of(double[] u, double[] line, double[] weights, double[][] grid)
    {
        double[] above = [.. line.Select((loss, i) => loss - ((1 - u[i]) * line[0]) - (u[i] * line[^1]))];
        double inner = above[1..^1].Max(), higher = Math.Max(line[0], line[^1]), top = line.Max();
        (int S, int T)[] path = LowestPath(grid);
        double pass = path.Max(node => grid[node.S][node.T]);
        return new LossBarrier(
            Math.Max(0, inner), inner > 0 ? u[Array.IndexOf(above, inner)] : 0, inner, top - ((line[0] + line[^1]) / 2), Math.Max(0, top - higher),
            pass, Math.Max(0, pass - Math.Max(grid[^1][0], grid[0][^1])), [.. path.Select(node => (weights[node.S], weights[node.T]))]);
    }

    internal JsonObject ToJson() => new()
    {
        ["above_chord"] = FindingsData.Number(AboveChord),
        ["above_chord_signed_max_inner"] = FindingsData.Number(SignedInner),
        ["above_mean_of_ends"] = FindingsData.Number(AboveMean),
        ["above_higher_end"] = FindingsData.Number(AboveHigher),
        ["at_u"] = FindingsData.Number(AtU),
        ["minimax_height"] = FindingsData.Number(PassHeight),
        ["minimax_above_higher_end"] = FindingsData.Number(PassAboveHigher),
        ["minimax_path"] = new JsonArray([.. Pass.Select(node => (JsonNode?)FindingsData.Numbers([node.S, node.T]))]),
    };

    // First the least height at which both ends hang together, then the cheapest path below it; a node has 8 neighbours.
    private static (int S, int T)[] LowestPath(double[][] grid)
    {
        int n = grid.Length;
        double height = grid.SelectMany(row => row).Order().First(level => Path(level) != null);
        return Path(height)!;

        (int S, int T)[]? Path(double level)
        {
            (int, int) start = (n - 1, 0), end = (0, n - 1);
            if (grid[n - 1][0] > level || grid[0][n - 1] > level) return null;
            var from = new Dictionary<(int, int), (int, int)>();
            var cost = new Dictionary<(int, int), double> { [start] = grid[n - 1][0] };
            var queue = new PriorityQueue<(int S, int T), double>([(start, cost[start])]);
            while (queue.TryDequeue(out (int S, int T) node, out double sum))
            {
                if (node == end) break;
                if (sum > cost[node]) continue;
                for (int s = Math.Max(0, node.S - 1); s <= Math.Min(n - 1, node.S + 1); s++)
                {
                    for (int t = Math.Max(0, node.T - 1); t <= Math.Min(n - 1, node.T + 1); t++)
                    {
                        double further = sum + grid[s][t];
                        if (grid[s][t] > level || (cost.TryGetValue((s, t), out double known) && known <= further)) continue;
                        cost[(s, t)] = further;
                        from[(s, t)] = node;
                        queue.Enqueue((s, t), further);
                    }
                }
            }

            if (!cost.ContainsKey(end)) return null;
            var path = new List<(int, int)> { end };
            while (path[^1] != start) path.Add(from[path[^1]]);
            path.Reverse();
            return [.. path];
        }
    }
}
