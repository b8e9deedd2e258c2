using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Labels;

/// <summary>Measured EM rates of checkpoints, from a CSV file with a header line.</summary>
/// <remarks>
/// <para>Columns, in any order: <c>step</c> (a whole number, 0 for the base model, or <c>final</c>) and <c>em_rate</c> (a fraction from
/// 0 to 1; a percentage where each has a percent sign, or where the heading says so, <see cref="RateColumn"/>) are required, and <c>run</c>, or <c>perturbation</c> and <c>seed</c> for runs named <c>perturbation/seed_S</c>. Further
/// columns that are used: <c>model</c>, <c>n_scored</c>, and <c>perturbation</c> and <c>seed</c> beside <c>run</c>, which otherwise are
/// taken from the run's name (<see cref="RunName.Split"/>). Others are left alone.</para>
/// <para>(model, run, step) occurs once. Immutable; thread safe.</para>
/// </remarks>
internal sealed class LabelFile
{
    private LabelFile(string path, EmLabel[] labels)
    {
        Path = path;
        Labels = labels;
        Models = [.. labels.Select(label => label.Model).OfType<string>().Distinct().Order(NaturalOrder.Instance)];
    }

    /// <summary>The path the file was read from.</summary>
    public string Path { get; }

    /// <summary>One entry per row, in the order of the file; at least one.</summary>
    public IReadOnlyList<EmLabel> Labels { get; }

    /// <summary>The base models that the file names, in natural order; empty when it names none.</summary>
    public IReadOnlyList<string> Models { get; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="InputFileException">The file cannot be read, is not CSV, lacks a column, or has a row that is wrong; the sentence
    /// names the line.</exception>
    public static LabelFile Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        InputUse.Labels.Require(path);
        LabelColumns? columns = null;
        var labels = new List<EmLabel>();
        var lines = new Dictionary<(string? Model, string Run, CheckpointStep Step), int>();
        foreach (CsvRecord record in CsvRecords.Read(path))
        {
            if (columns is null)
            {
                columns = LabelColumns.Find(path, record.Fields);
                continue;
            }

            EmLabel label = columns.Read(record);
            if (!lines.TryAdd((label.Model, label.Run, label.Step), label.Line))
            {
                int first = lines[(label.Model, label.Run, label.Step)];
                throw new InputFileException(path, $"line {label.Line} labels {label.Name} again, as line {first} does; keep one of them");
            }

            labels.Add(label);
        }

        if (columns is null) throw new InputFileException(path, $"is empty; {LabelColumns.Expected}");
        if (labels.Count == 0) throw new InputFileException(path, "has a header and no labels below it");
        return new LabelFile(path, [.. labels]);
    }

    /// <summary>Finds the checkpoint of every label.</summary>
    /// <param name="runs">The runs that were found on disk.</param>
    /// <param name="model">The base model whose labels are meant; may be null when the file names at most one.</param>
    /// <exception cref="InputFileException">No label fits any checkpoint, or it is not clear which model's labels are meant.</exception>
    public LabelMatch Match(IEnumerable<CheckpointRun> runs, string? model = null)
    {
        ArgumentNullException.ThrowIfNull(runs);
        return LabelMatch.Compute(this, OfModel(model), [.. runs]);
    }

    /// <summary>The labels of one base model.</summary>
    /// <exception cref="InputFileException">It is not clear which model is meant, or it has none.</exception>
    internal EmLabel[] OfModel(string? model)
    {
        string models = string.Join(", ", Models.Select(name => $"'{InputFile.OneLine(name)}'"));
        if (model is null && Models.Count > 1)
            throw new InputFileException(Path, $"labels checkpoints of several models ({models}); say which one is meant");
        if (model is null) return [.. Labels];
        if (Models.Count > 0 && !Models.Contains(model))
            throw new InputFileException(Path, $"has no labels of model '{InputFile.OneLine(model)}', only of {models}");
        return [.. Labels.Where(label => label.Model is null || label.Model == model)];
    }
}
