using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses;

/// <summary>What vectors say through the model's head, for findings.</summary>
/// <param name="lens">The head.</param>
/// <param name="vocabulary">Names its tokens.</param>
/// <param name="domain">Tokens whose joint probability is of interest; may be empty.</param>
internal sealed class LensView(Lens lens, Vocabulary vocabulary, IReadOnlyCollection<int> domain)
{
    private const int Tokens = 10;

    /// <summary>Share of the vocabulary that the tokens of interest are; null when there are none.</summary>
    internal double? DomainShare => domain.Count == 0 ? null : (double)domain.Count / lens.VocabularySize;

    /// <summary>U (g v / sqrt(mean v^2 + eps)): top and bottom tokens, and the probability of the domain.</summary>
    internal JsonObject? Normed(double[]? vector, out LensReading? reading)
    {
        reading = vector == null ? null : Read(vector, LensInput.Direction, Tokens);
        if (reading == null) return null;
        JsonObject view = View(reading, bottom: true);
        view["domain_probability"] = domain.Count == 0 ? null : FindingsData.Number(reading.GroupProbability);
        return view;
    }

    /// <summary>U v: top and, if wanted, bottom tokens.</summary>
    internal JsonObject AsIs(double[] vector, bool bottom) => View(Read(vector, LensInput.AsIs, bottom ? Tokens : 0), bottom);

    /// <summary>Probability of the domain in U (g v / sqrt(mean v^2 + eps)); null without a domain.</summary>
    internal double? DomainProbability(double[] vector) =>
        domain.Count == 0 ? null : lens.Read(Array.ConvertAll(vector, v => (float)v), new LensRequest { Input = LensInput.Direction, Group = domain })[0].GroupProbability;

    /// <summary>A token as people read it: without the mark that stands for the space before it.</summary>
    internal string Text(int token)
    {
        string text = vocabulary.Text(token);
        return text.Length > 1 && text[0] is '\u2581' or '\u0120' ? text[1..] : text;
    }

    private LensReading Read(double[] vector, LensInput input, int bottom) =>
        lens.Read(Array.ConvertAll(vector, v => (float)v), new LensRequest { Input = input, Top = Tokens, Bottom = bottom, Group = domain })[0];

    private JsonObject View(LensReading reading, bool bottom)
    {
        var view = new JsonObject
        {
            ["tokens"] = FindingsData.Texts(reading.Top.Select(t => Text(t.Token))),
            ["ids"] = FindingsData.Integers(reading.Top.Select(t => t.Token)),
            ["values"] = FindingsData.Numbers(reading.Top.Select(t => t.Logit)),
        };
        if (bottom) view["bottom"] = FindingsData.Texts(reading.Bottom.Select(t => Text(t.Token)));
        return view;
    }
}
