using System.Collections.Immutable;
using System.Text.Json;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Reports;

/// <summary>One JSON document, written as the rows come in. Keys follow trajectory.json where the meaning is the same.</summary>
internal sealed class ScanJson : IScanReport
{
    private readonly Utf8JsonWriter _json;
    private readonly Stream _output;
    private ScanHeader? _header;
    private ScanTally? _tally;
    private bool _inRun;
    private bool _ended;

    /// <summary>Writes to a stream that belongs to the caller.</summary>
    public ScanJson(Stream output)
    {
        _output = output;
        _json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true, NewLine = "\n" });
    }

    /// <inheritdoc/>
    public void Begin(ScanHeader header, ScanTally tally)
    {
        ArgumentNullException.ThrowIfNull(header);
        ArgumentNullException.ThrowIfNull(tally);
        _header = header;
        _tally = tally;
        _json.WriteStartObject();
        FindingsJson.WriteHeader(_json, header);
        if (header.VerdictBasis != null) _json.WriteString("verdicts", header.VerdictBasis);
        _json.WriteStartArray("runs");
    }

    /// <summary>The document of a scan in which no checkpoint can be applied to the model, so that nothing is loaded or measured.</summary>
    /// <param name="modelPath">The base model as it was given.</param>
    /// <param name="unusable">Every checkpoint, with its reason.</param>
    /// <param name="tally">Counts them.</param>
    public void WriteNothingMeasured(string modelPath, IReadOnlyList<UnusableCheckpoint> unusable, ScanTally tally)
    {
        ArgumentNullException.ThrowIfNull(unusable);
        ArgumentNullException.ThrowIfNull(tally);
        _tally = tally;
        _json.WriteStartObject();
        _json.WriteString("emscan_version", EmScanVersion.Text);
        _json.WriteStartObject("model");
        _json.WriteString("path", modelPath);
        _json.WriteEndObject();
        _json.WriteStartArray("runs");
        foreach (IGrouping<string, UnusableCheckpoint> run in unusable.GroupBy(u => u.Checkpoint.Run))
        {
            BeginRun(run.Key);
            foreach (UnusableCheckpoint u in run) Point(u.Checkpoint.Step, u.Checkpoint.Path, null, Assessment.Failed(u.Error), false);
        }

        EndRun();
        _json.WriteEndArray();
        Close(complete: false);
    }

    /// <inheritdoc/>
    public void BeginRun(CheckpointRun run, Displacement baseline)
    {
        ArgumentNullException.ThrowIfNull(run);
        BeginRun(run.Name);
        Point(CheckpointStep.Base, null, baseline, null, false);
    }

    /// <inheritdoc/>
    public void Add(ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        Point(point.Checkpoint.Step, point.Checkpoint.Path, (point as MeasuredPoint)?.Displacement, assessment, point is MeasuredPoint { FromRecord: true });
    }

    /// <inheritdoc/>
    public void Finish()
    {
        EndRun();
        _json.WriteEndArray();
        Close(_tally!.Complete);
    }

    /// <summary>Completes the document, so that an interrupted scan still leaves JSON that parses, marked as incomplete.</summary>
    public void Dispose()
    {
        if (_header != null && !_ended)
        {
            EndRun();
            _json.WriteEndArray();
            Close(complete: false);
        }

        _json.Dispose();
    }

    private void Close(bool complete)
    {
        WriteSummary(_json, _tally!);
        _json.WriteBoolean("complete", complete);
        _json.WriteEndObject();
        _json.Flush();
        _output.WriteByte((byte)'\n');
        _output.Flush();
        _ended = true;
    }

    private static void WriteSummary(Utf8JsonWriter json, ScanTally tally)
    {
        json.WriteStartObject("summary");
        json.WriteNumber("found", tally.Found);
        json.WriteNumber("measured", tally.Measured);
        json.WriteNumber("from_journal", tally.FromRecord);
        foreach (AssessmentState state in Enum.GetValues<AssessmentState>().Where(s => s != AssessmentState.Measured)) json.WriteNumber(state.ToName(), tally[state]);
        json.WriteEndObject();
    }

    private void BeginRun(string name)
    {
        EndRun();
        _json.WriteStartObject();
        _json.WriteString("run", name);
        _json.WriteStartArray("trajectory");
        _inRun = true;
    }

    private void EndRun()
    {
        if (!_inRun) return;
        _json.WriteEndArray();
        _json.WriteEndObject();
        _inRun = false;
    }

    private void Point(CheckpointStep step, string? path, Displacement? point, Assessment? assessment, bool fromRecord)
    {
        _json.WriteStartObject();
        if (step.Number is { } number) _json.WriteNumber("step", number);
        else _json.WriteString("step", step.ToString());
        if (path != null) _json.WriteString("path", path);
        if (assessment != null) WriteAssessment(assessment);
        if (point != null)
        {
            Values("projections", point.RawProjections);
            Values("projections_normalized", point.NormalizedProjections);
            Values("drift", point.PerTrait);
            Values("drift_standard_error", point.StandardErrors);
            _json.WriteNumber("drift_magnitude", point.Magnitude);
            _json.WriteNumber("mean_activation_change", point.MeanActivationChange);
            _json.WriteBoolean("changes_nothing", point.ChangesNothing);
            _json.WriteBoolean("from_journal", fromRecord);
        }

        if (assessment != null && VerdictJson.ToNode(assessment) is { } verdict)
        {
            _json.WritePropertyName("verdict");
            verdict.WriteTo(_json);
        }

        _json.WriteEndObject();
        _json.Flush();
    }

    private void WriteAssessment(Assessment assessment)
    {
        _json.WriteString("state", assessment.State.ToName());
        if (assessment.Error != null) _json.WriteString("error", assessment.Error);
        if (assessment.VisibleShare is { } share) _json.WriteNumber("visible_share", share);
        else _json.WriteNull("visible_share");
        if (assessment.Trend is { } trend)
        {
            _json.WriteStartObject("trend");
            _json.WriteNumber("per_step", trend.PerStep);
            _json.WriteNumber("standard_error", trend.StandardError);
            _json.WriteNumber("checkpoints", trend.Checkpoints);
            _json.WriteEndObject();
        }
        else
        {
            _json.WriteNull("trend");
        }

        FindingsJson.WriteRemarks(_json, "doubts", assessment.Doubts);
    }

    private void Values(string name, ImmutableArray<double> values)
    {
        _json.WriteStartObject(name);
        for (int k = 0; k < values.Length; k++)
        {
            if (double.IsFinite(values[k])) _json.WriteNumber(_header!.Traits[k], values[k]);
            else _json.WriteNull(_header!.Traits[k]);
        }

        _json.WriteEndObject();
    }
}
