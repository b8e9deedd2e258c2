using System.Runtime.ExceptionServices;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>Work on several weights, or draws, at a time, with results in their order: the same numbers on any number of processors.</summary>
internal static class ModuleParallel
{
    // Each holds the factors of a weight and a few megabytes of counts.
    private static readonly int Workers = Math.Min(Environment.ProcessorCount, 16);

    /// <summary>Results in order, made as they are asked for: at most so many are held as there are workers.</summary>
    /// <exception cref="EmScanException">What the work threw.</exception>
    internal static IEnumerable<TResult> Select<T, TResult>(IEnumerable<T> items, Func<T, TResult> work, CancellationToken cancellationToken)
    {
        foreach (T[] some in items.Chunk(Workers))
        {
            TResult[] results = new TResult[some.Length];
            try
            {
                Parallel.For(0, some.Length, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = Workers }, i => results[i] = work(some[i]));
            }
            catch (AggregateException e)
            {
                ExceptionDispatchInfo.Capture(e.InnerExceptions[0]).Throw();
            }

            foreach (TResult result in results) yield return result;
        }
    }
}
