using System.Text.Json;

namespace EmScan.Engine.Tests.Drift;

/// <summary>Final drifts of the ordinary runs of a shipped organism, from the trajectories that its recipe measured in PyTorch.</summary>
internal sealed class OrganismDrifts
{
    internal OrganismDrifts(string trajectories)
    {
        var drifts = new List<double[]>();
        var groups = new List<string>();
        foreach (string line in File.ReadLines(trajectories))
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement run = document.RootElement;
            if (run.GetProperty("run").GetString()!.StartsWith("stress/", StringComparison.Ordinal)) continue;
            JsonElement[] points =
                [.. run.GetProperty("trajectory").EnumerateArray().Select(point => point.GetProperty("projections_normalized"))];
            Traits = [.. points[0].EnumerateObject().Select(trait => trait.Name)];
            drifts.Add([.. Traits.Select(trait => points[^1].GetProperty(trait).GetDouble() - points[0].GetProperty(trait).GetDouble())]);
            groups.Add(run.GetProperty("data_source").GetString()!);
            Layer = run.GetProperty("layer").GetInt32();
        }

        Drifts = [.. drifts];
        Groups = [.. groups];
    }

    internal string[] Traits { get; } = [];

    internal double[][] Drifts { get; }

    internal string[] Groups { get; }

    internal int Layer { get; }
}
