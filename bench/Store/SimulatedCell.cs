using System.Globalization;
using EmScan.Engine.Measuring;

namespace EmScan.Bench.Store;

/// <summary>Cells of the form that a scan writes, with numbers that follow from the cell's number.</summary>
internal static class SimulatedCell
{
    internal static CellKey Key(long number) => CellKey.Of(string.Create(CultureInfo.InvariantCulture, $"simulated {number}"));

    /// <summary>P (K + 1) exact values and D in single precision, K = 7.</summary>
    internal static CellResult Result(long number, int prompts, int width)
    {
        var random = new Random(unchecked((int)number));
        double[] projections = new double[prompts * 7], norms = new double[prompts], mean = new double[width];
        for (int i = 0; i < projections.Length; i++) projections[i] = random.NextDouble();
        for (int i = 0; i < norms.Length; i++) norms[i] = 30 + random.NextDouble();
        for (int i = 0; i < width; i++) mean[i] = random.NextSingle();
        return new CellResult(("projections", projections), ("norms", norms), ("mean", mean));
    }

    internal static StoredCell Stored(long number, int prompts, int width) => new(Key(number), (ulong)number, Result(number, prompts, width));
}
