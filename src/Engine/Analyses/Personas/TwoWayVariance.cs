namespace EmScan.Engine.Analyses.Personas;

/// <summary>
/// A two-way table without replication, taken apart: sums of squares over all traits, and variance components by expected mean squares,
/// s_p^2 = (MS_p - MS_r) / B, s_g^2 = (MS_g - MS_r) / A, s_r^2 = MS_r, cut at 0 (Searle, Casella and McCulloch 1992, section 4.5). Shares of sums of
/// squares favour the factor with more levels; the components do not.
/// </summary>
/// <param name="Personas">A.</param>
/// <param name="Groups">B.</param>
/// <param name="Squares">Sums of squares of personas, groups, and what neither explains, their interaction included.</param>
internal sealed record TwoWayVariance(int Personas, int Groups, (double Persona, double Group, double Residual) Squares)
{
    internal (int Persona, int Group, int Residual) Freedom => (Personas - 1, Groups - 1, (Personas - 1) * (Groups - 1));

    internal (double Persona, double Group, double Residual) MeanSquares =>
        (Squares.Persona / Freedom.Persona, Squares.Group / Freedom.Group, Squares.Residual / Freedom.Residual);

    internal (double Persona, double Group, double Residual) Components
    {
        get
        {
            (double persona, double group, double residual) = MeanSquares;
            return (Math.Max(0, (persona - residual) / Groups), Math.Max(0, (group - residual) / Personas), residual);
        }
    }

    /// <summary>Takes a table apart.</summary>
    /// <param name="y">[A][B](K), A and B at least 2.</param>
    internal static TwoWayVariance Of(double[][][] y)
    {
        int a = y.Length, b = y[0].Length, traits = y[0][0].Length;
        double persona = 0, group = 0, residual = 0;
        for (int k = 0; k < traits; k++)
        {
            double[] rows = [.. y.Select(p => p.Average(x => x[k]))], columns = [.. Enumerable.Range(0, b).Select(j => y.Average(p => p[j][k]))];
            double mean = rows.Average();
            persona += b * rows.Sum(r => (r - mean) * (r - mean));
            group += a * columns.Sum(c => (c - mean) * (c - mean));
            for (int i = 0; i < a; i++)
            {
                for (int j = 0; j < b; j++)
                {
                    double rest = y[i][j][k] - rows[i] - columns[j] + mean;
                    residual += rest * rest;
                }
            }
        }

        return new TwoWayVariance(a, b, (persona, group, residual));
    }

    /// <summary>Each of three numbers over their sum; NaN where all are zero.</summary>
    internal static (double Persona, double Group, double Residual) Shares((double Persona, double Group, double Residual) of)
    {
        double sum = of.Persona + of.Group + of.Residual;
        return (of.Persona / sum, of.Group / sum, of.Residual / sum);
    }
}
