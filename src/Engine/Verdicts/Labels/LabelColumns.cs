using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Labels;

/// <summary>Where the columns of a label file are, and how a row is read.</summary>
internal sealed class LabelColumns
{
    /// <summary>What a label file must have, for sentences.</summary>
    public const string Expected = "the columns step and em_rate are needed, and run, or perturbation and seed";

    private readonly string _path;
    private readonly int _count;
    private readonly int _run, _perturbation, _seed, _step, _rate, _model, _scored; // index, -1 when absent
    private readonly bool _percent; // by the heading
    private (bool Signed, int Line)? _first; // whether the first rate has a percent sign

    private LabelColumns(string path, string[] header)
    {
        _path = path;
        _count = header.Length;
        _run = Index("run");
        _perturbation = Index("perturbation");
        _seed = Index("seed");
        _step = Index("step");
        _rate = IndexOf(RateColumn.Name, RateColumn.Is);
        _percent = _rate >= 0 && RateColumn.IsPercent(header[_rate]);
        _model = Index("model");
        _scored = Index("n_scored");

        int Index(string column) => IndexOf(column, cell => cell.Trim().Equals(column, StringComparison.OrdinalIgnoreCase));

        int IndexOf(string column, Func<string, bool> isIt)
        {
            int[] found = [.. Enumerable.Range(0, header.Length).Where(i => isIt(header[i]))];
            if (found.Length > 1) throw new InputFileException(path, $"has {found.Length} columns named {column}");
            return found.FirstOrDefault(-1);
        }
    }

    /// <summary>Finds the columns by their names, whatever their case.</summary>
    /// <exception cref="InputFileException">One is missing or there twice.</exception>
    public static LabelColumns Find(string path, string[] header)
    {
        var columns = new LabelColumns(path, header);
        bool namesRuns = columns._run >= 0 || (columns._perturbation >= 0 && columns._seed >= 0);
        if (columns._step >= 0 && columns._rate >= 0 && namesRuns) return columns;
        string found = InputFile.OneLine(string.Join(", ", header.Select(name => name.Trim())));
        string hint = header is [var only] && only.AsSpan().ContainsAny(';', '\t') ? "; columns must be separated by commas, and numbers have a point (0.06)"
            : header[0].Trim().StartsWith("sep=", StringComparison.OrdinalIgnoreCase) ? "; leave out the line \"sep=\" that spreadsheets put first"
            : "";
        throw new InputFileException(path, $"lacks a column: {Expected}; found: {found}{hint}");
    }

    /// <summary>Reads a row.</summary>
    /// <exception cref="InputFileException">A value is missing or wrong.</exception>
    public EmLabel Read(CsvRecord record)
    {
        if (record.Fields.Length != _count)
            throw Bad(record, $"has {record.Fields.Length} fields where the header has {_count}");
        string? perturbation = Text(record, _perturbation), seed = Text(record, _seed) is { } written ? WithoutDecimals(written) : null;
        string run = RunOf(record, perturbation, seed);
        (string fromName, string? seedFromName) = RunName.Split(run);
        return new EmLabel(
            run, Step(record), Rate(record), perturbation ?? fromName, seed ?? seedFromName,
            Text(record, _model), Scored(record), record.Line);
    }

    private string RunOf(CsvRecord record, string? perturbation, string? seed)
    {
        if (_run < 0)
        {
            return perturbation is not null && seed is not null
                ? RunName.Compose(perturbation, seed)
                : throw Bad(record, $"has no {(perturbation is null ? "perturbation" : "seed")}");
        }

        string run = RunName.Normalise(Printable.FromCell(record.Fields[_run]));
        return run.Length > 0 ? run : throw Bad(record, "has no run");
    }

    private CheckpointStep Step(CsvRecord record)
    {
        string text = record.Fields[_step].Trim();
        if (text.Equals("final", StringComparison.OrdinalIgnoreCase)) return CheckpointStep.Final;
        return Whole(text) is { } step
            ? CheckpointStep.At(step)
            : throw Bad(record, $"has the step '{InputFile.OneLine(text)}', which is neither a whole number from 0 on nor 'final'");
    }

    private double Rate(CsvRecord record)
    {
        string text = record.Fields[_rate].Trim();
        string shown = $"has the em_rate '{InputFile.OneLine(text)}'";
        bool signed = text.EndsWith('%');
        string number = signed ? text[..^1] : text;
        if (!double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double rate) || !double.IsFinite(rate))
        {
            throw Bad(record, $"{shown}, which is not a number; " + (number.Contains(',') && double.TryParse(number.Replace(',', '.'), NumberStyles.Float, CultureInfo.InvariantCulture, out _)
                ? "write it with a point (0.06)" : "leave out the row when the rate is not known"));
        }

        // 0.8 beside 5% may be a fraction or another percentage.
        (bool firstSigned, int firstLine) = _first ??= (signed, record.Line);
        if (!_percent && signed != firstSigned)
            throw Bad(record, $"{shown} {(signed ? "with" : "without")} a percent sign, unlike line {firstLine}; write all rates in one way");
        if (_percent || signed)
            return rate is >= 0 and <= 100 ? rate / 100 : throw Bad(record, $"{shown}, which is not a percentage from 0 to 100");
        if (rate is > 1 and <= 100)
            throw Bad(record, $"{shown}, which looks like a percentage; write fractions from 0 to 1 (0.06 for 6%), or percentages with their sign");
        return rate is >= 0 and <= 1 ? rate : throw Bad(record, $"{shown}, which is not a fraction from 0 to 1");
    }

    private long? Scored(CsvRecord record)
    {
        if (Text(record, _scored) is not { } text) return null;
        return Whole(text) ?? throw Bad(record, $"has the n_scored '{InputFile.OneLine(text)}', which is not a whole number from 0 on");
    }

    /// <summary>The trimmed value of an optional column; null when it is absent or blank.</summary>
    private static string? Text(CsvRecord record, int column) =>
        column >= 0 && record.Fields[column].Trim() is { Length: > 0 } text ? text : null;

    /// <summary>A whole number from 0 on, also where a table with gaps was written as floating point ("120.0"); null for anything
    /// else.</summary>
    private static long? Whole(string text)
    {
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long whole)) return whole;
        return double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)
            && number <= 1L << 53 && number == Math.Floor(number)
            ? (long)number
            : null;
    }

    private static string WithoutDecimals(string text) =>
        text.Contains('.') && Whole(text) is { } whole ? whole.ToString(CultureInfo.InvariantCulture) : text;

    private InputFileException Bad(CsvRecord record, string problem) => new(_path, $"line {record.Line} {problem}");
}
