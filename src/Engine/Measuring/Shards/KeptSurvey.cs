using EmScan.Engine.Adapters;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>
/// What the numbers in an adapter's file say, kept beside its measurement: a merge then reads headers, where it would have to read every
/// weight of every adapter again. Under the adapter's fingerprint, so that another content has another one.
/// </summary>
internal static class KeptSurvey
{
    /// <summary>Keeps a survey with values.</summary>
    /// <exception cref="InputFileException">The store cannot be written.</exception>
    internal static void Keep(CellStore store, string fingerprint, AdapterSurvey survey)
    {
        CellKey key = Key(fingerprint);
        if (store.Contains(key) || !survey.HasValues) return;
        double[] Of(Func<ModuleValues, double> value) => [.. survey.Modules.Select(module => value(module.Values!))];
        store.Append([new StoredCell(key, key.Short, new CellResult(
            ("squared_norm", Of(v => v.SquaredNorm)), ("zero_rows_b", Of(v => v.ZeroRowsOfB)), ("zero_rows_a", Of(v => v.ZeroRowsOfA)), ("zero_columns_a", Of(v => v.ZeroColumnsOfA))))]);
    }

    /// <summary>The survey of an adapter of a known content; null where none was kept.</summary>
    /// <exception cref="InputFileException">The adapter's headers cannot be read.</exception>
    internal static AdapterSurvey? Find(CellStore store, string fingerprint, string path)
    {
        if (!store.TryGet(Key(fingerprint), out CellResult? kept)) return null;
        double[] norms = kept["squared_norm"], rowsB = kept["zero_rows_b"], rowsA = kept["zero_rows_a"], columnsA = kept["zero_columns_a"];
        return AdapterSurvey.Read(path, [.. norms.Select((norm, m) => new ModuleValues(norm, (long)rowsB[m], (int)rowsA[m], (long)columnsA[m]))]);
    }

    private static CellKey Key(string fingerprint) => CellKey.Of($"emscan survey 1\n{fingerprint}\n");
}
