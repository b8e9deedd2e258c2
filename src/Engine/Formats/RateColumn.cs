namespace EmScan.Engine.Formats;

/// <summary>How the column of EM rates in a label file is called.</summary>
internal static class RateColumn
{
    /// <summary>The name of a column of fractions.</summary>
    public const string Name = "em_rate";

    /// <summary>Whether a heading is that of EM rates, in whatever case: em_rate, or a name that says percent.</summary>
    public static bool Is(string heading) => heading.AsSpan().Trim().Equals(Name, StringComparison.OrdinalIgnoreCase) || IsPercent(heading);

    /// <summary>Whether a heading says that its EM rates are percentages: em_rate_percent, em_rate_pct, em_rate (%), em_rate %.</summary>
    public static bool IsPercent(string heading)
    {
        ReadOnlySpan<char> name = heading.AsSpan().Trim();
        if (!name.StartsWith(Name, StringComparison.OrdinalIgnoreCase)) return false;
        ReadOnlySpan<char> unit = name[Name.Length..].Trim(" _()[]");
        return unit is "%" || unit.Equals("percent", StringComparison.OrdinalIgnoreCase) || unit.Equals("pct", StringComparison.OrdinalIgnoreCase);
    }
}
