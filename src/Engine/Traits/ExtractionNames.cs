namespace EmScan.Engine.Traits;

/// <summary>The names of methods and poolings in files and on the command line.</summary>
internal static class ExtractionNames
{
    /// <summary>mean_difference, paired_pca or logistic_probe.</summary>
    public static string ToName(this DirectionMethod method) => method switch
    {
        DirectionMethod.MeanDifference => "mean_difference",
        DirectionMethod.PairedPca => "paired_pca",
        DirectionMethod.LogisticProbe => "logistic_probe",
        _ => throw new ArgumentOutOfRangeException(nameof(method), method, "There is no such method."),
    };

    /// <summary>last_token, mean_input or mean_output.</summary>
    public static string ToName(this Pooling pooling) => pooling switch
    {
        Pooling.LastToken => "last_token",
        Pooling.MeanInput => "mean_input",
        Pooling.MeanOutput => "mean_output",
        _ => throw new ArgumentOutOfRangeException(nameof(pooling), pooling, "There is no such pooling."),
    };

    /// <summary>The inverse of <see cref="ToName(DirectionMethod)"/>; false when there is no such method.</summary>
    public static bool TryParse(string? name, out DirectionMethod method) => TryFind(name, ToName, out method);

    /// <summary>The inverse of <see cref="ToName(Pooling)"/>; false when there is no such pooling.</summary>
    public static bool TryParse(string? name, out Pooling pooling) => TryFind(name, ToName, out pooling);

    private static bool TryFind<T>(string? name, Func<T, string> toName, out T value) where T : struct, Enum
    {
        foreach (T candidate in Enum.GetValues<T>())
        {
            if (toName(candidate) != name) continue;
            value = candidate;
            return true;
        }

        value = default;
        return false;
    }
}
