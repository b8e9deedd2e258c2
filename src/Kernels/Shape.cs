namespace EmScan.Kernels;

/// <summary>
/// Shape checks with one wording for all operations. Sizes are compared as 64-bit numbers, so no product of shapes wraps around.
/// </summary>
internal static class Shape
{
    /// <summary>Refuses a dimension below 1.</summary>
    public static void RequireDimension(int dimension)
    {
        if (dimension < 1)
            throw new ArgumentException($"The dimension is {dimension}; it must be at least 1.", nameof(dimension));
    }

    /// <summary>Number of co-moments of rows of width D, <see cref="PackedUpper.Length"/>, if they fit one array.</summary>
    public static long CoMoments(int dimension)
    {
        RequireDimension(dimension);
        long length = PackedUpper.Length(dimension);
        return length <= Array.MaxLength
            ? length
            : throw new ArgumentException($"The dimension is {dimension}; D (D + 1) / 2 co-moments do not fit one array.", nameof(dimension));
    }

    /// <summary>Number of rows of width D that a span of this length holds.</summary>
    public static int Rows(int length, int dimension, string parameter)
    {
        RequireDimension(dimension);
        if (length % dimension != 0)
        {
            throw new ArgumentException(
                $"{parameter} holds {length} numbers, which is not a whole number of rows of D = {dimension}.", parameter);
        }

        return length / dimension;
    }

    /// <summary>Numbers that each row has in a span of this length, at most so many.</summary>
    public static int PerRow(int length, int rows, int most, string parameter)
    {
        if (rows == 0 ? length != 0 : length % rows != 0 || length / rows > most)
            throw new ArgumentException($"{parameter} holds {length} numbers, not up to {most} for each of {rows} rows.", parameter);
        return rows == 0 ? 0 : length / rows;
    }

    /// <summary>Refuses a span whose length is not the one its shape asks for.</summary>
    public static void RequireLength(int length, long expected, string shape, string parameter)
    {
        if (length != expected)
            throw new ArgumentException($"{parameter} holds {length} numbers; its shape {shape} needs {expected}.", parameter);
    }
}
