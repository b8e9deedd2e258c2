using System.Diagnostics;
using EmScan.Engine.Measuring;

namespace EmScan.Bench.Store;

/// <summary>A store of the size that a laboratory gets to: what opening, appending and looking up cost there.</summary>
internal static class SizeBenchmark
{
    private const int Rounds = 5;

    internal static int Run(string folder, int cells, int width, int prompts)
    {
        Console.WriteLine($"{cells} cells of {SimulatedCell.Result(0, prompts, width).Encode().Length} bytes; {DateTime.UtcNow:yyyy-MM-dd}");
        using (CellStore store = CellStore.Open(folder))
        {
            var batch = new List<StoredCell>();
            for (int i = store.Count; i < cells; i++)
            {
                batch.Add(SimulatedCell.Stored(i, prompts, width));
                if (batch.Count < 2000 && i < cells - 1) continue;
                store.Append(batch);
                batch.Clear();
            }
        }

        double bytes = Directory.GetFiles(folder, "*.emscan").Sum(f => (double)new FileInfo(f).Length);
        double[] indexed = [.. Enumerable.Range(0, Rounds).Select(_ => Seconds(() => CellStore.Open(folder).Dispose()))];
        string[] indices = Directory.GetFiles(folder, "*.index");
        double[] plain = [.. Enumerable.Range(0, indices.Length == 0 ? 0 : Rounds).Select(_ =>
        {
            foreach (string file in indices) File.Move(file, file + ".away");

            // Opened by a reader, so that no new index is made: the files are held by their owner.
            double seconds = Seconds(() => CellStore.Open(folder).Dispose());
            foreach (string file in indices) File.Move(file + ".away", file, overwrite: true);
            return seconds;
        })];
        double before = GC.GetTotalMemory(forceFullCollection: true);
        using CellStore open = CellStore.Open(folder);
        double held = (GC.GetTotalMemory(forceFullCollection: true) - before) / 1e6;
        var random = new Random(7);
        double lookup = Seconds(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                long number = random.Next(cells);
                if (!open.TryGet(SimulatedCell.Key(number), out CellResult? result) || !(i % 100 != 0 || result.SameNumbers(SimulatedCell.Result(number, prompts, width))))
                    throw new InvalidDataException($"cell {number} is not what was written");
            }
        }) / 10_000;
        double append = Seconds(() =>
        {
            for (int i = 0; i < 500; i++) open.Append([SimulatedCell.Stored(cells + i, prompts, width)]);
        }) / 500;
        double contains = Seconds(() =>
        {
            for (int i = 0; i < cells; i++)
            {
                if (!open.Contains(SimulatedCell.Key(i))) throw new InvalidDataException($"cell {i} is missing");
            }
        }) / cells;

        Console.WriteLine($"""

            | what | median | range |
            |---|---:|---:|
            | files, GB | {bytes / 1e9:0.00} | |
            | open, s | {Median(indexed):0.00} | {indexed.Min():0.00} to {indexed.Max():0.00} |
            | open without the index, s (files in the page cache) | {Median(plain):0.00} | {plain.Min():0.00} to {plain.Max():0.00} |
            | memory of an open store, MB | {held:0} | |
            | look up and read one of 10,000 at random, us | {lookup * 1e6:0.0} | |
            | is it there, us | {contains * 1e6:0.00} | |
            | append one, on the disk, us | {append * 1e6:0} | |
            """);
        return 0;
    }

    private static double Seconds(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Median(double[] values) => values.Length == 0 ? double.NaN : values.Order().ElementAt(values.Length / 2);
}
