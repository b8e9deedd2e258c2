using System.Globalization;
using EmScan.Engine;

namespace EmScan.Bench.Scan;

/// <summary>What the command line asks for.</summary>
internal sealed record Options
{
    internal const string Usage =
        """
        usage: EmScan.Bench.Scan [--size small|medium|large|wide|7b] [--type q8_0|q4_k_m|bf16] [--folder DIR]
                                 [--model FILE --adapters DIR [--traits FILE]]
                                 [--pytorch PYTHON] [--part all|memory|depth|places|reference|cores|diff|start|watch|report]
                                 [--rounds N] [--threads N] [--prompts N] [--rank R] [--batch N] [--checkpoints N] [--clock wall|cpu]

        Measures what is claimed of the speed of a scan. Both sides of every ratio run in turns; medians. Takes about fifteen minutes on
        quiet cores at --size small. Run it with nothing else on the machine.

        --size, --type   writes a random llama (0.2, 0.3 or 0.5 billion weights, 1.1 billion in 4 layers of width 4096, or 8 billion) into
                         --folder (the temporary folder unless given), and removes it at the end
        --model          measures a scan of this model instead, with the first --checkpoints (50) adapters below --adapters
        --pytorch        also runs reference.py, which does the reference pipeline's work in PyTorch on the same weights, with this
                         Python interpreter; it needs torch and numpy
        --part           measures only this; of what is not in all, diff runs the program itself: 'emscan diff' of all layers over 5,000
                         tokens, and 'emscan scan' of the same tokens, of a random model (--size wide --threads 2: five minutes);
                         start is what the choice of a kernel device adds to a command's start; watch and report, of a given --model,
                         run 'emscan watch' beside 'emscan scan' on its checkpoints, and 'emscan report' on 2,000 runs of copies of them
        --rounds         fewer than five are not figures to go by
        --checkpoints    adapters measured in one round (random model: 4)
        --clock cpu      takes processor time instead of time, and leaves out the comparison of one core with two: good enough while the
                         machine is busy
        """;

    private static readonly Dictionary<string, ModelShape> Shapes = new()
    {
        ["small"] = new ModelShape(12, 1024, 2816, 16, 8, 32000),
        ["medium"] = new ModelShape(20, 1024, 2816, 16, 8, 32000),
        ["large"] = new ModelShape(36, 1024, 2816, 16, 8, 32000),
        ["wide"] = new ModelShape(4, 4096, 14336, 32, 8, 32000),
        ["7b"] = new ModelShape(32, 4096, 14336, 32, 8, 128256),
    };

    private static readonly Dictionary<string, ModelFileType?> Types = new()
    {
        ["q8_0"] = null,
        ["q4_k_m"] = ModelFileType.Q4KM,
        ["bf16"] = ModelFileType.BF16,
    };

    /// <summary>Shape of the random model.</summary>
    internal required ModelShape Shape { get; init; }

    /// <summary>Type of the random model; null for Q8_0.</summary>
    internal ModelFileType? Type { get; init; }

    /// <summary>A model to measure instead of a random one; null for none.</summary>
    internal string? Model { get; init; }

    /// <summary>Its checkpoints.</summary>
    internal string? Adapters { get; init; }

    /// <summary>Its trait set; null for the one beside it.</summary>
    internal string? Traits { get; init; }

    /// <summary>Python interpreter with PyTorch; null for none.</summary>
    internal string? Python { get; init; }

    /// <summary>Where files are written.</summary>
    internal required string Folder { get; init; }

    /// <summary>What is measured: all, memory, depth, places, reference, cores, diff, start, watch or report.</summary>
    internal required string Part { get; init; }

    internal required int Rounds { get; init; }

    internal required int Threads { get; init; }

    /// <summary>Prompts for the random model, P; <see cref="PromptTokens"/> each.</summary>
    internal required int Prompts { get; init; }

    internal required int Rank { get; init; }

    /// <summary>Checkpoints measured in one round.</summary>
    internal required int Checkpoints { get; init; }

    /// <summary>Tokens in a batch where the same batches are compared; holds whole prompts, so that packed prompts and full batches are the
    /// same thing.</summary>
    internal required int BatchTokens { get; init; }

    /// <summary>Whether processor time is taken instead of time.</summary>
    internal required bool CpuTime { get; init; }

    /// <summary>Tokens of a prompt for the random model.</summary>
    internal static int PromptTokens => 40;

    /// <summary>Tokens that all these prompts begin with.</summary>
    internal static int SharedTokens => 20;

    /// <summary>Reads a command line.</summary>
    /// <exception cref="EmScanException">It cannot be understood.</exception>
    internal static Options Parse(string[] arguments)
    {
        var values = new Dictionary<string, string?>
        {
            ["--size"] = "medium",
            ["--type"] = "q8_0",
            ["--folder"] = Path.GetTempPath(),
            ["--model"] = null,
            ["--adapters"] = null,
            ["--traits"] = null,
            ["--pytorch"] = null,
            ["--part"] = "all",
            ["--rounds"] = "5",
            ["--threads"] = "1",
            ["--prompts"] = "48",
            ["--rank"] = "16",
            ["--batch"] = "480",
            ["--checkpoints"] = null,
            ["--clock"] = "wall",
        };
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (!values.ContainsKey(arguments[i])) throw new EmScanException($"{arguments[i]} is not an option.");
            if (i + 1 == arguments.Length) throw new EmScanException($"{arguments[i]} needs a value.");
            values[arguments[i]] = arguments[i + 1];
        }

        bool given = values["--model"] != null;
        if (given != (values["--adapters"] != null)) throw new EmScanException("--model and --adapters go together.");
        if (given && values["--part"] == "diff") throw new EmScanException("--part diff is of a random model; leave --model out.");
        if (!given && values["--part"] is ("watch" or "report")) throw new EmScanException($"--part {values["--part"]} is of a given model; add --model and --adapters.");
        if (values["--traits"] != null && !given) throw new EmScanException("--traits belongs to a --model.");
        ModelFileType? type = Types[Choice("--type", [.. Types.Keys])];
        if (type == ModelFileType.Q4KM && values["--pytorch"] != null)
            throw new EmScanException("--pytorch cannot read Q4_K_M; leave --type q4_k_m out.");
        values["--checkpoints"] ??= given ? "50" : "4";
        return new Options
        {
            Shape = Shapes[Choice("--size", [.. Shapes.Keys])],
            Type = type,
            Model = values["--model"],
            Adapters = values["--adapters"],
            Traits = values["--traits"],
            Python = values["--pytorch"],
            Folder = values["--folder"]!,
            Part = Choice("--part", "all", "memory", "depth", "places", "reference", "cores", "diff", "start", "watch", "report"),
            Rounds = Number("--rounds", 1),
            Threads = Number("--threads", 1),
            Prompts = Number("--prompts", 1),
            Rank = Number("--rank", 1),
            Checkpoints = Number("--checkpoints", 1),
            BatchTokens = Number("--batch", PromptTokens) / PromptTokens * PromptTokens,
            CpuTime = Choice("--clock", "wall", "cpu") == "cpu",
        };

        string Choice(string name, params string[] choices) => choices.Contains(values[name])
            ? values[name]!
            : throw new EmScanException($"{name} is one of {string.Join(", ", choices)}, not '{values[name]}'.");

        int Number(string name, int least) =>
            int.TryParse(values[name], NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= 4096
                ? value
                : throw new EmScanException($"{name} is a number from {least} to 4096, not '{values[name]}'.");
    }
}
