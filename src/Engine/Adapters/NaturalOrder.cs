namespace EmScan.Engine.Adapters;

/// <summary>Orders text as a person would: runs of digits by their value (checkpoint-20 before checkpoint-100), the rest by character.</summary>
internal sealed class NaturalOrder : IComparer<string>
{
    /// <summary>The one instance; it has no state.</summary>
    public static NaturalOrder Instance { get; } = new();

    private NaturalOrder() { }

    /// <inheritdoc/>
    public int Compare(string? x, string? y)
    {
        if (x is null || y is null) return string.CompareOrdinal(x, y);
        int i = 0, j = 0;
        while (i < x.Length && j < y.Length)
        {
            if (char.IsAsciiDigit(x[i]) && char.IsAsciiDigit(y[j]))
            {
                ReadOnlySpan<char> a = Digits(x, ref i), b = Digits(y, ref j);
                int byValue = a.Length != b.Length ? a.Length.CompareTo(b.Length) : a.SequenceCompareTo(b);
                if (byValue != 0) return byValue;
            }
            else if (x[i] != y[j])
            {
                return x[i].CompareTo(y[j]);
            }
            else
            {
                i++;
                j++;
            }
        }

        int byLength = (x.Length - i).CompareTo(y.Length - j);

        // 007 and 7 have the same value; the order must still be total.
        return byLength != 0 ? byLength : string.CompareOrdinal(x, y);
    }

    private static ReadOnlySpan<char> Digits(string text, ref int index)
    {
        int start = index;
        while (index < text.Length && char.IsAsciiDigit(text[index])) index++;
        return text.AsSpan(start, index - start).TrimStart('0');
    }
}
