namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>
/// Bootstrap over whole runs: a draw takes R of the R runs with replacement, each with all of its checkpoints. Checkpoints of one run are
/// correlated, so drawing them one by one would make intervals far too narrow (Field and Welsh 2007, doi
/// 10.1111/j.1467-9868.2007.00593.x, the cluster bootstrap).
/// </summary>
/// <remarks>A draw is never built: it is the number of times that each run occurs, and figures are computed with these weights.</remarks>
internal static class RunBootstrap
{
    /// <summary>Computes figures on every draw.</summary>
    /// <param name="runs">R.</param>
    /// <param name="figures">Number of figures.</param>
    /// <param name="options">Draws and seed.</param>
    /// <param name="compute">Given how often each run occurs, (R), writes the figures, NaN where undefined.</param>
    /// <returns>Each figure's values, one array over draws per figure; empty arrays when R is below 2, where every draw is the
    /// same.</returns>
    public static double[][] Draw(int runs, int figures, BootstrapOptions options, WeightedFigures compute)
    {
        options.Check();
        int draws = runs < 2 ? 0 : options.Draws;
        double[][] values = [.. Enumerable.Range(0, figures).Select(_ => new double[draws])];
        var random = new Random(options.Seed);
        var weights = new int[runs];
        var drawn = new double[figures];
        for (int draw = 0; draw < draws; draw++)
        {
            Array.Clear(weights);
            for (int i = 0; i < runs; i++) weights[random.Next(runs)]++;
            compute(weights, drawn);
            for (int f = 0; f < figures; f++) values[f][draw] = drawn[f];
        }

        return values;
    }
}

/// <summary>Computes figures on runs with multiplicities.</summary>
/// <param name="weights">How often each run occurs, (R).</param>
/// <param name="figures">Receives the figures; NaN where one is undefined.</param>
internal delegate void WeightedFigures(ReadOnlySpan<int> weights, Span<double> figures);
