using System.Globalization;
using System.Numerics.Tensors;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Steering;

/// <summary>What a direction is a case of.</summary>
internal enum SteeredKind
{
    /// <summary>A trait's direction.</summary>
    Trait,

    /// <summary>An adapter's mean activation change.</summary>
    MeanChange,

    /// <summary>The one random direction that every version of emscan steers with.</summary>
    FixedRandom,

    /// <summary>A seeded random direction: the control.</summary>
    Random,
}

/// <summary>A direction that is added to the residual stream at several doses.</summary>
internal sealed class SteeredDirection
{
    private readonly Variant[] _variants;
    private readonly double[] _unit;
    private readonly int _layer;
    private readonly double _n0;

    /// <summary>Defines it.</summary>
    /// <param name="name">For people and files.</param>
    /// <param name="kind">What it is.</param>
    /// <param name="unit">The unit vector v, (D).</param>
    /// <param name="layer">The layer L that it is added to.</param>
    /// <param name="n0">n0 of that layer: dose c adds c n0 v.</param>
    /// <param name="doses">The doses c, ascending, 0 among them.</param>
    internal SteeredDirection(string name, SteeredKind kind, double[] unit, int layer, double n0, double[] doses)
    {
        Name = name;
        Kind = kind;
        Doses = doses;
        (_unit, _layer, _n0) = (unit, layer, n0);
        _variants = [.. doses.Select(At)];
    }

    internal string Name { get; }

    internal SteeredKind Kind { get; }

    /// <summary>Doses in units of n0.</summary>
    internal IReadOnlyList<double> Doses { get; }

    /// <summary>The base with the direction added, for each dose.</summary>
    internal IReadOnlyList<Variant> Variants => _variants;

    /// <summary>The base with the direction added at any dose.</summary>
    internal Variant At(double dose) => dose == 0 ? Variant.Base : Steer(_layer, _unit, dose * _n0);

    /// <summary>The base with a multiple of a vector added to a layer at every token.</summary>
    internal static Variant Steer(int layer, double[] vector, double factor) => new([], null, Vector(layer, vector, factor));

    internal static ControlVector Vector(int layer, double[] vector, double factor) =>
        new(vector.Length, new Dictionary<int, float[]> { [layer] = Array.ConvertAll(vector, v => (float)(factor * v)) });

    /// <summary>r_i = sin((i + 1)^2), i from 0, divided by its norm: random to the eye, and the same in every language.</summary>
    internal static double[] Fixed(int width) => Unit([.. Enumerable.Range(1, width).Select(i => Math.Sin((double)i * i))])!;

    /// <summary>A direction drawn evenly from the sphere.</summary>
    internal static double[] Random(int width, Random random)
    {
        double[] direction = new double[width];
        Normal.Direction(random, direction);
        return direction;
    }

    /// <summary>A vector divided by its norm; null for the zero vector.</summary>
    internal static double[]? Unit(double[] vector)
    {
        double norm = TensorPrimitives.Norm<double>(vector);
        return norm > 0 ? Array.ConvertAll(vector, v => v / norm) : null;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} at {Doses.Count} doses");
}
