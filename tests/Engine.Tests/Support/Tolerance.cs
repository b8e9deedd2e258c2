namespace EmScan.Engine.Tests.Support;

/// <summary>Compares numbers, also inside sequences, up to an absolute error.</summary>
internal static class Tolerance
{
    internal static IEqualityComparer<double> Of(double error) =>
        EqualityComparer<double>.Create((left, right) => Math.Abs(left - right) <= error, _ => 0);
}
