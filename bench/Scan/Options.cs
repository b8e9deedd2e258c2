using System.Globalization;

namespace EmScan.Bench.Scan;

/// <summary>What the command line asks for.</summary>
internal sealed record Options(ModelShape Shape, string Size, int Prompts, int PromptTokens, int SharedTokens, int Rounds, int Threads, int Rank, int Checkpoints, int BatchTokens, bool CpuTime)
{
    internal const string Usage =
        """
        usage: EmScan.Bench.Scan [--size small|medium|large|wide] [--rounds N] [--threads N] [--prompts N] [--rank R]
                                    [--batch N] [--clock wall|cpu]

        Writes a random model (0.2, 0.3 or 0.5 billion weights, or 1.1 billion in 4 layers of width 4096;
        Q8_0) into the temporary folder, measures what is claimed of the speed of a
        scan, and removes it. Both sides of every ratio run in turns; medians. Takes about five minutes on two quiet
        cores at the default size. Run it with nothing else on the machine.
        --clock cpu takes processor time instead of time, and leaves out the comparison of one core with two: good enough while the
        machine is busy.
        """;

    internal static Options? Parse(string[] arguments)
    {
        var values = new Dictionary<string, string>
        {
            ["--size"] = "medium",
            ["--rounds"] = "5",
            ["--threads"] = "1",
            ["--prompts"] = "48",
            ["--rank"] = "16",
            ["--batch"] = "480",
            ["--clock"] = "wall",
        };
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (i + 1 == arguments.Length || !values.ContainsKey(arguments[i])) return null;
            values[arguments[i]] = arguments[i + 1];
        }

        int? Number(string name, int least) =>
            int.TryParse(values[name], NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= 4096 ? value : null;
        ModelShape? shape = values["--size"] switch
        {
            "small" => new ModelShape(12, 1024, 2816, 16, 8, 32000),
            "medium" => new ModelShape(20, 1024, 2816, 16, 8, 32000),
            "large" => new ModelShape(36, 1024, 2816, 16, 8, 32000),
            "wide" => new ModelShape(4, 4096, 14336, 32, 8, 32000),
            _ => null,
        };
        return shape != null && Number("--rounds", 5) is { } rounds && Number("--threads", 1) is { } threads && Number("--prompts", 12) is { } prompts
            && Number("--rank", 1) is { } rank && Number("--batch", 40) is { } batch && values["--clock"] is "wall" or "cpu"
            // A batch holds a whole number of prompts, so that packed prompts and full batches are the same thing.
            ? new Options(shape, values["--size"], prompts, 40, 20, rounds, threads, rank, 4, batch / 40 * 40, values["--clock"] == "cpu")
            : null;
    }
}
