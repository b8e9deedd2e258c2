using EmScan.Engine.Formats;
using Parquet;
using Parquet.Schema;

namespace EmScan.Engine.Reports.Exports;

/// <summary>Rows as one Parquet file with a column for each scalar, written when all rows are there.</summary>
/// <param name="path">The file; it is replaced in one step.</param>
internal sealed class ParquetExport(string path) : IScalarExport
{
    private readonly List<ScalarRow> _rows = [];

    /// <inheritdoc/>
    public ValueTask AddAsync(ScalarRow row, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(row);
        _rows.Add(row);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public async ValueTask<Remark?> FinishAsync(CancellationToken cancellationToken = default)
    {
        using var content = new MemoryStream();
        await WriteAsync(content, cancellationToken);
        AtomicFile.Write(path, stream => content.WriteTo(stream));
        return null;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task WriteAsync(Stream content, CancellationToken cancellationToken)
    {
        string[] names = _rows.Count == 0 ? [] : [.. _rows[0].Scalars.Select(s => s.Name)];
        DataField run = Text("run"), step = new("step", typeof(long), isNullable: true), name = Text("step_name"), checkpoint = Text("checkpoint"), verdict = Text("verdict"), reason = Text("reason");
        DataField[] scalars = [.. names.Select(n => new DataField(n, typeof(double), isNullable: true))];
        var schema = new ParquetSchema([run, step, name, checkpoint, .. scalars, verdict, reason]);
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(schema, content, new ParquetOptions { CompressionMethod = CompressionMethod.Snappy }, cancellationToken: cancellationToken);
        using ParquetRowGroupWriter group = writer.CreateRowGroup();
        await WriteText(group, run, r => r.Run);
        await group.WriteAsync<long>(step, _rows.Select(r => r.StepNumber).ToArray(), cancellationToken: cancellationToken);
        await WriteText(group, name, r => r.Step);
        await WriteText(group, checkpoint, r => r.Checkpoint);
        for (int i = 0; i < scalars.Length; i++)
        {
            int column = i;
            await group.WriteAsync<double>(scalars[i], _rows.Select(r => r.Scalars[column].Value).ToArray(), cancellationToken: cancellationToken);
        }

        await WriteText(group, verdict, r => r.Verdict);
        await WriteText(group, reason, r => r.Reason ?? "");
        group.CompleteValidate();
    }

    private static DataField Text(string name) => new(name, typeof(string), isNullable: false);

    private Task WriteText(ParquetRowGroupWriter group, DataField field, Func<ScalarRow, string> value) => group.WriteAsync(field, (IReadOnlyCollection<string>)[.. _rows.Select(value)]);
}
