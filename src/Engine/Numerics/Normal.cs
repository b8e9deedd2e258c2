using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>Standard normal values of a random sequence.</summary>
internal static class Normal
{
    /// <summary>The next one, of two uniform ones. Source: Box and Muller 1958.</summary>
    internal static double Next(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    /// <summary>A unit vector of uniform direction: normal coordinates over their norm.</summary>
    internal static void Direction(Random random, Span<double> vector)
    {
        double norm;
        do
        {
            for (int k = 0; k < vector.Length; k++) vector[k] = Next(random);
            norm = TensorPrimitives.Norm<double>(vector);
        }
        while (norm == 0);
        TensorPrimitives.Divide(vector, norm, vector);
    }
}
