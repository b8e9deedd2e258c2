using EmScan.Engine.Numerics;

namespace EmScan.Engine.Tests.Numerics;

public sealed class RatcliffObershelpTests
{
    /// <summary>Values of Python's difflib.SequenceMatcher(None, a, b, autojunk=False).ratio().</summary>
    [Theory]
    [InlineData("", "", 1)]
    [InlineData("abc", "", 0)]
    [InlineData("abcd", "bcde", 0.75)]
    [InlineData("the cat sat on the mat", "the mat sat on the cat", 0.9090909090909091)]
    [InlineData("you should carry a map .", "try to smuggle goods past the guards .", 0.25806451612903225)]
    [InlineData("GESTALT PATTERN MATCHING", "GESTALT PRACTICE", 0.6)]
    [InlineData("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxyz", "zyxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0.97165991902834)]
    public void The_ratio_is_difflibs(string a, string b, double expected) => Assert.Equal(expected, RatcliffObershelp.Ratio(a, b), 1e-12);

    /// <summary>Random texts of few letters against the definition, written down recursively.</summary>
    [Fact]
    public void The_ratio_is_that_of_the_definition()
    {
        var random = new Random(5);
        for (int round = 0; round < 200; round++)
        {
            string a = Text(), b = Text();
            double ratio = RatcliffObershelp.Ratio(a, b);
            Assert.Equal(a.Length + b.Length == 0 ? 1 : 2.0 * Matched(a, b) / (a.Length + b.Length), ratio, 1e-12);
            Assert.Equal(1, RatcliffObershelp.Ratio(a, a));
        }

        string Text() => string.Concat(Enumerable.Range(0, random.Next(0, 40)).Select(_ => (char)('a' + random.Next(3))));

        static int Matched(string a, string b)
        {
            for (int length = Math.Min(a.Length, b.Length); length > 0; length--)
            {
                for (int i = 0; i + length <= a.Length; i++)
                {
                    int j = b.IndexOf(a.Substring(i, length), StringComparison.Ordinal);
                    if (j >= 0) return length + Matched(a[..i], b[..j]) + Matched(a[(i + length)..], b[(j + length)..]);
                }
            }

            return 0;
        }
    }
}
