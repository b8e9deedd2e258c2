using EmScan.Engine.Tests.Support;
using EmScan.Fuzz;

namespace EmScan.Engine.Tests.Fuzz;

/// <summary>The property that tests/Fuzz looks for counterexamples of, on its seeds, on what it found, and on seeded mutations of both.</summary>
public sealed class FuzzCorpusTests
{
    private static readonly string Root = Repository.File("tests/Fuzz");

    // Bytes that formats give a meaning to, beside single bits and pieces of other inputs.
    private static readonly byte[][] Tokens =
    [
        [0], [0xFF], [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0, 0, 0, 0, 0x80], [0xEF, 0xBB, 0xBF], [0xFF, 0xFE], "\""u8.ToArray(), "{"u8.ToArray(), "}"u8.ToArray(), "["u8.ToArray(),
        "]"u8.ToArray(), ":"u8.ToArray(), ","u8.ToArray(), "\n"u8.ToArray(), "- "u8.ToArray(), "&a "u8.ToArray(), "*a"u8.ToArray(), "!!"u8.ToArray(), "1e999"u8.ToArray(),
        "-1"u8.ToArray(), "NaN"u8.ToArray(), "null"u8.ToArray(), "\\ud800"u8.ToArray(), "{{"u8.ToArray(), "{%"u8.ToArray(), "%}"u8.ToArray(), "GGUF"u8.ToArray(),
    ];

    public static TheoryData<string> Targets => [.. FuzzTarget.All.Select(t => t.Name)];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Seeds_are_there_and_are_those_that_the_command_makes(string target)
    {
        string[] made = [.. FuzzTarget.Seeds().Where(s => s.Target == target).Select(s => s.Name)];
        Assert.NotEmpty(made);
        Assert.Equal(made.Order(), Inputs("corpus", target).Select(f => Path.GetFileName(f)!).Order());
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public void Seeds_are_accepted_and_findings_stay_mended(string target)
    {
        FuzzTarget reader = Reader(target);
        Assert.Contains(Inputs("corpus", target), file => reader.Run(File.ReadAllBytes(file)) == null);
        foreach (string file in Inputs("findings", target)) _ = reader.Run(File.ReadAllBytes(file));
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public void Mutations_are_accepted_or_refused_in_one_sentence(string target)
    {
        FuzzTarget reader = Reader(target);
        byte[][] inputs = [.. Inputs("corpus", target).Concat(Inputs("findings", target)).Select(File.ReadAllBytes)];
        var random = new Random(2026);
        int refused = 0;
        for (int round = 0; round < 400; round++)
        {
            byte[] mutated = Mutate(random, inputs[random.Next(inputs.Length)], inputs[random.Next(inputs.Length)]);
            try
            {
                if (reader.Run(mutated) != null) refused++;
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"{Convert.ToHexString(mutated)}\n{e}");
            }
        }

        // What a thing is can be said of any bytes; all other readers must refuse some.
        Assert.True(refused > 0 || target == "recognise");
    }

    private static byte[] Mutate(Random random, byte[] bytes, byte[] other)
    {
        for (int edits = random.Next(1, 6); edits > 0; edits--)
        {
            int at = random.Next(bytes.Length + 1), length = Math.Min(random.Next(1, 20), bytes.Length - at);
            byte[] token = Tokens[random.Next(Tokens.Length)];
            bytes = random.Next(6) switch
            {
                0 => [.. bytes[..at], .. bytes[(at + length)..]],
                1 => [.. bytes[..at], .. token, .. bytes[at..]],
                2 => [.. bytes[..at], .. token, .. bytes[Math.Min(bytes.Length, at + token.Length)..]],
                3 => [.. bytes[..at], .. bytes[at..(at + length)], .. bytes[at..]],
                4 when other.Length > 0 => [.. bytes[..at], .. other[random.Next(other.Length)..]],
                _ => Flipped(bytes, at),
            };
        }

        return bytes;

        byte[] Flipped(byte[] source, int at)
        {
            if (source.Length == 0) return source;
            byte[] flipped = [.. source];
            flipped[Math.Min(at, source.Length - 1)] ^= (byte)(1 << random.Next(8));
            return flipped;
        }
    }

    private static FuzzTarget Reader(string target) => FuzzTarget.All.Single(t => t.Name == target);

    private static string[] Inputs(string folder, string target)
    {
        string path = Path.Combine(Root, folder, target);
        return Directory.Exists(path) ? [.. Directory.GetFiles(path).Order(StringComparer.Ordinal)] : [];
    }
}
