using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Reports;

/// <summary>What an analysis has found: one sentence first, then what it rests on. Every report renders this and knows no analysis.</summary>
internal sealed record Findings
{
    /// <summary>The one sentence that answers the question.</summary>
    public required string Conclusion { get; init; }

    /// <summary>What was measured, with what; null where no model was.</summary>
    public required FindingsHeader? Header { get; init; }

    /// <summary>All numbers, under the keys that programs read. A quantity that cannot be formed is null, and a note says why.</summary>
    public JsonObject Data { get; init; } = [];

    /// <summary>Tables for people.</summary>
    public IReadOnlyList<FindingsTable> Tables { get; init; } = [];

    /// <summary>Curves for a plot.</summary>
    public IReadOnlyList<FindingsCurve> Curves { get; init; } = [];

    /// <summary>Horizontal lines in plots, such as the threshold of an alarm.</summary>
    public IReadOnlyList<FindingsThreshold> Thresholds { get; init; } = [];

    /// <summary>Marked points in plots, such as the step of the first alarm.</summary>
    public IReadOnlyList<FindingsMark> Marks { get; init; } = [];

    /// <summary>Grids for a heat map.</summary>
    public IReadOnlyList<FindingsGrid> Grids { get; init; } = [];

    /// <summary>What is said about danger; most analyses say nothing.</summary>
    public FindingsVerdict Verdict { get; init; }

    /// <summary>What a reader must know to read the numbers right: quantities that are missing, and warnings.</summary>
    public IReadOnlyList<Remark> Notes { get; init; } = [];
}

/// <summary>What findings say about danger.</summary>
internal enum FindingsVerdict
{
    /// <summary>Nothing: the analysis does not judge.</summary>
    None,

    /// <summary>Nothing dangerous was seen.</summary>
    Clear,

    /// <summary>Something could not be judged.</summary>
    Unknown,

    /// <summary>Nothing is dangerous yet, and something is expected to become so.</summary>
    Expected,

    /// <summary>Something is dangerous.</summary>
    Dangerous,
}

/// <summary>What was measured, with what: the head of every report.</summary>
public record FindingsHeader
{
    /// <summary>Stands for a number that a file of an earlier scan does not tell.</summary>
    internal const int Unknown = -1;

    /// <summary>Version of emscan.</summary>
    public string Version { get; init; } = EmScanVersion.Text;

    /// <summary>The base model as it was given.</summary>
    public required string ModelPath { get; init; }

    /// <summary>SHA-256 of the model file, hex.</summary>
    public required string ModelSha256 { get; init; }

    /// <summary>Architecture, size and quantization.</summary>
    public required string ModelDescription { get; init; }

    /// <summary>L.</summary>
    public required int LayerCount { get; init; }

    /// <summary>D.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>The layer that the scan measures.</summary>
    public required int Layer { get; init; }

    /// <summary>Trait names, (K).</summary>
    public required IReadOnlyList<string> Traits { get; init; }

    /// <summary>Where the traits come from.</summary>
    public required string TraitSet { get; init; }

    /// <summary>Where the directions come from.</summary>
    public required string Directions { get; init; }

    /// <summary>Pooling of the states that the directions were extracted from, by its name; null when their file does not say.</summary>
    public string? DirectionsPooling { get; init; }

    /// <summary>Where in each evaluation prompt, or in the base's answer to it, hidden states are taken.</summary>
    public MeasuredPlace Place { get; init; }

    /// <summary>Evaluation prompts, P.</summary>
    public required int Prompts { get; init; }

    /// <summary>n0 at that layer: mean norm of the base's hidden states where the scan takes them.</summary>
    public required double Step0Norm { get; init; }

    /// <summary>Numeric mode and device kind.</summary>
    public required string NumericMode { get; init; }

    /// <summary>The device that computes.</summary>
    public required string Device { get; init; }

    /// <summary>Where second moments and products with the vocabulary were computed; null for the processor.</summary>
    public string? KernelDevice { get; init; }

    /// <summary>CPU threads.</summary>
    public required int Threads { get; init; }
}

/// <summary>A table for people.</summary>
/// <param name="Title">What its rows are; may be empty.</param>
/// <param name="Columns">Its columns.</param>
/// <param name="Rows">A value for each column: text, a number, or null for what is not known.</param>
internal sealed record FindingsTable(string Title, IReadOnlyList<FindingsColumn> Columns, IReadOnlyList<IReadOnlyList<object?>> Rows);

/// <summary>A column of a table.</summary>
/// <param name="Name">Its heading.</param>
/// <param name="Format">.NET format of its numbers; null for text.</param>
internal sealed record FindingsColumn(string Name, string? Format = null);

/// <summary>A curve in a plot.</summary>
/// <param name="Plot">Curves with the same plot name are drawn together.</param>
/// <param name="Name">The curve's name.</param>
/// <param name="XLabel">Quantity and unit of x.</param>
/// <param name="YLabel">Quantity and unit of y.</param>
/// <param name="X">Where.</param>
/// <param name="Y">Values; as many as in <paramref name="X"/>.</param>
internal sealed record FindingsCurve(string Plot, string Name, string XLabel, string YLabel, IReadOnlyList<double> X, IReadOnlyList<double> Y)
{
    /// <summary>Lower end of the interval at every x; null where there are no intervals.</summary>
    public IReadOnlyList<double>? Low { get; init; }

    /// <summary>Upper end of the interval at every x.</summary>
    public IReadOnlyList<double>? High { get; init; }
}

/// <summary>A horizontal line in a plot.</summary>
/// <param name="Plot">The plot's name.</param>
/// <param name="Y">Where.</param>
/// <param name="Label">What it stands for.</param>
internal sealed record FindingsThreshold(string Plot, double Y, string Label);

/// <summary>A marked point in a plot.</summary>
/// <param name="Plot">The plot's name.</param>
/// <param name="X">Where.</param>
/// <param name="Y">Where.</param>
/// <param name="Label">What is there.</param>
internal sealed record FindingsMark(string Plot, double X, double Y, string Label)
{
    /// <summary>The curve that it belongs to: drawn only where the curve is. Null for one that is always drawn.</summary>
    public string? Curve { get; init; }
}

/// <summary>A heat map.</summary>
/// <param name="Name">Quantity and unit of the values.</param>
/// <param name="XLabel">Quantity of x.</param>
/// <param name="YLabel">Quantity of y.</param>
/// <param name="X">Columns.</param>
/// <param name="Y">Rows.</param>
/// <param name="Values">Value [y][x].</param>
internal sealed record FindingsGrid(
    string Name, string XLabel, string YLabel, IReadOnlyList<double> X, IReadOnlyList<double> Y, IReadOnlyList<IReadOnlyList<double>> Values);
