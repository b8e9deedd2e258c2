namespace EmScan.Engine.Numerics;

/// <summary>How alike two texts are: 2 M / T, M the characters in matching blocks, T the characters of both.</summary>
/// <remarks>
/// Ratcliff and Metzener, "Pattern Matching: The Gestalt Approach", Dr. Dobb's Journal, July 1988: the longest block that both have, the earliest
/// one in the first text and then in the second where several are as long; then the same left and right of it. What Python's
/// difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() gives. Not symmetric. O(length^2) for a block, O(length^3) at worst.
/// </remarks>
internal static class RatcliffObershelp
{
    /// <summary>The similarity, 0 to 1; two empty texts are equal.</summary>
    internal static double Ratio(string a, string b)
    {
        if (a.Length + b.Length == 0) return 1;
        int matched = 0;
        var open = new Stack<(int FromA, int ToA, int FromB, int ToB)>([(0, a.Length, 0, b.Length)]);
        while (open.TryPop(out (int FromA, int ToA, int FromB, int ToB) part))
        {
            (int atA, int atB, int length) = Longest(a.AsSpan(part.FromA..part.ToA), b.AsSpan(part.FromB..part.ToB));
            if (length == 0) continue;
            matched += length;
            open.Push((part.FromA, part.FromA + atA, part.FromB, part.FromB + atB));
            open.Push((part.FromA + atA + length, part.ToA, part.FromB + atB + length, part.ToB));
        }

        return 2.0 * matched / (a.Length + b.Length);
    }

    // ends[j + 1]: length of the common block that ends at the current character of a and at b[j].
    private static (int AtA, int AtB, int Length) Longest(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        (int AtA, int AtB, int Length) best = default;
        int[] ends = new int[b.Length + 1];
        for (int i = 0; i < a.Length; i++)
        {
            for (int j = b.Length - 1; j >= 0; j--)
            {
                ends[j + 1] = a[i] == b[j] ? ends[j] + 1 : 0;
                int atA = i - ends[j + 1] + 1, atB = j - ends[j + 1] + 1;
                if (ends[j + 1] > best.Length || (ends[j + 1] == best.Length && best.Length > 0 && atA == best.AtA && atB < best.AtB)) best = (atA, atB, ends[j + 1]);
            }
        }

        return best;
    }
}
