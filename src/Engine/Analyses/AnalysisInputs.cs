using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses;

/// <summary>Files that several analyses take.</summary>
internal static class AnalysisInputs
{
    private const int MaxBytes = 16 << 20;

    /// <summary>Reads the loadings of a drift axis: a JSON object with a number for each trait.</summary>
    /// <param name="path">The file.</param>
    /// <param name="traits">The traits, (K).</param>
    /// <returns>The loading of each trait, (K).</returns>
    /// <exception cref="InputFileException">It cannot be read, or a trait has no number in it.</exception>
    public static double[] Axis(string path, IReadOnlyList<string> traits)
    {
        ArgumentNullException.ThrowIfNull(traits);
        InputUse.Axis.Require(path);
        return JsonInput.Parse(path, InputFile.ReadSmall(path, MaxBytes), root => traits.Select(trait => JsonInput.Number(path, root, trait)
            ?? throw new InputFileException(path, $"has no loading for the trait '{trait}'; one number for each of {string.Join(", ", traits)} is expected.")).ToArray());
    }

    /// <summary>
    /// Reads words, one a line, and gives the tokens that are one of them: alone or behind a space. Words of several tokens count with none.
    /// </summary>
    /// <exception cref="InputFileException">It cannot be read, or no word is a token.</exception>
    public static int[] WordTokens(string path, Vocabulary vocabulary)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        InputUse.Lines.Require(path);
        string[] words = [.. TextInput.Read(path, MaxBytes, "words, one a line").Split('\n').Select(line => line.Trim()).Where(word => word.Length > 0)];
        int[] tokens = [.. words.SelectMany(word => new[] { word, " " + word })
            .Select(text => vocabulary.Tokenize(text, parseSpecial: false, addSpecial: false)).Where(ids => ids.Length == 1).Select(ids => ids[0]).Distinct().Order()];
        return tokens.Length > 0 ? tokens : throw new InputFileException(path, "none of its words is a token of this model; one word a line is expected.");
    }
}
