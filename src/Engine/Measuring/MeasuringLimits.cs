namespace EmScan.Engine.Measuring;

/// <summary>How much memory measuring may take beside the model.</summary>
/// <param name="BaseRowBytes">For the base model's rows of one piece.</param>
/// <param name="StateBytes">For the accumulators of one pass.</param>
internal sealed record MeasuringLimits(long BaseRowBytes, long StateBytes)
{
    internal static MeasuringLimits Default { get; } = new(128L << 20, 1L << 30);
}
