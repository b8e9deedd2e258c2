using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts.Evaluation;

/// <summary>Makes evaluation sets for tests.</summary>
internal static class Sets
{
    internal static EvaluationSet Of(params (string Run, int Step, double Truth, double Predicted)[] rows) =>
        new(rows.Select(r => new EvaluatedCheckpoint(r.Run, CheckpointStep.At(r.Step), r.Truth, r.Predicted)));

    /// <summary>Rows [run, step, true rate, predicted rate].</summary>
    internal static EvaluationSet Read(JsonElement rows) =>
        Of([.. rows.EnumerateArray().Select(r => (r[0].GetString()!, r[1].GetInt32(), r[2].GetDouble(), r[3].GetDouble()))]);

    /// <summary>A few runs of different lengths; rates are tenths, so that there are many ties and degenerate sets.</summary>
    internal static EvaluationSet Random(Random random, int fewestRuns = 1)
    {
        int values = random.Next(1, 11);
        return Of(
        [
            .. Enumerable.Range(0, random.Next(fewestRuns, 9)).SelectMany(run => Enumerable.Range(0, random.Next(1, 7)).Select(step =>
                ($"run_{run}", step, random.Next(values + 1) / 10.0, random.Next(values + 1) / 10.0))),
        ]);
    }
}
