using System.Text;
using System.Text.RegularExpressions;
using EmScan.Engine.Formats;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace EmScan.Engine.Traits;

/// <summary>
/// Reads a <see cref="TraitSet"/> straight from the parser's events. The layout bounds the depth and no alias is followed, so a small file
/// cannot unfold into a large one, and every complaint knows its line.
/// </summary>
internal sealed partial class TraitSetReader
{
    private const int MaxBytes = 16 << 20;

    private readonly string _source;
    private readonly List<string> _remarks = [];
    private readonly Parser _parser;

    private TraitSetReader(string yaml, string source)
    {
        _source = source;
        _parser = new Parser(new Scanner(new StringReader(yaml), skipComments: true));
    }

    /// <summary>Reads the text of a file of at most 16 MiB.</summary>
    public static string ReadFile(string path)
    {
        InputUse.Traits.Require(path);
        return TextInput.Read(path, MaxBytes, "a YAML file of traits");
    }

    /// <summary>Reads one YAML document.</summary>
    public static TraitSet Read(string yaml, string source)
    {
        var reader = new TraitSetReader(yaml, source);
        try
        {
            return reader.ReadDocument();
        }
        catch (YamlException e)
        {
            throw new InputFileException(source, $"line {e.Start.Line}: is not valid YAML{Shown(yaml, e.Start.Line)}; look at its indentation, quotes, brackets and colons", e);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            // YamlDotNet answers some malformed scalars, and tags that are no URIs, with these instead of a YamlException.
            throw reader.Problem(reader._parser.Current, "is followed by something that is not valid YAML", e);
        }
    }

    private static string Shown(string yaml, long line)
    {
        string text = InputFile.OneLine(yaml.Split('\n', 1 + (int)Math.Min(line, 1 << 20)) is { } lines && line >= 1 && line <= lines.Length ? lines[line - 1].Trim() : "");
        return text.Length == 0 ? "" : $" (\"{(text.Length <= 60 ? text : text[..57] + "...")}\")";
    }

    private TraitSet ReadDocument()
    {
        _parser.Consume<StreamStart>();
        if (_parser.Current is StreamEnd)
            throw Problem(_parser.Current, "is empty; a trait set has the keys traits, questions and eval_prompts");
        _parser.Consume<DocumentStart>();
        string? name = null, description = null, acknowledgement = null;
        List<Trait>? traits = null;
        List<string>? questions = null;
        List<EvalCategory>? evalCategories = null;
        MappingStart top = ExpectMapping("a trait set");
        ForEachKey("a trait set", (key, node) =>
        {
            switch (key)
            {
                case "name": name = ReadText("the name"); break;
                case "description": description = ReadText("the description"); break;
                case "acknowledgement": acknowledgement = ReadText("the acknowledgement"); break;
                case "traits": traits = ReadTraits(); break;
                case "questions": questions = ReadTexts("questions"); break;
                case "eval_prompts": evalCategories = ReadEvalCategories(); break;
                default: SkipUnknown(node, key); break;
            }
        });
        if (traits is null) throw Problem(top, "has no traits; add the key traits");
        if (questions is null) throw Problem(top, "has no questions; add the key questions");
        if (evalCategories is null) throw Problem(top, "has no evaluation prompts; add the key eval_prompts");
        _parser.Consume<DocumentEnd>();
        if (_parser.Current is not StreamEnd)
            throw Problem(_parser.Current, "a second YAML document starts here; a trait set is one document");
        return new TraitSet(name ?? Path.GetFileNameWithoutExtension(_source), description, traits, questions, evalCategories)
        {
            Acknowledgement = acknowledgement,
            Remarks = _remarks,
        };
    }

    private List<Trait> ReadTraits()
    {
        List<Trait> traits = [];
        MappingStart start = ExpectMapping("traits");
        ForEachKey("traits", (name, node) =>
        {
            if (name.Any(c => c == ',' || char.IsControl(c)))
                throw Problem(node, $"trait '{InputFile.OneLine(name)}' has a comma or a control character in its name; rename it");
            traits.Add(ReadTrait(name));
        });
        return traits.Count > 0 ? traits : throw Problem(start, "traits is empty; define at least one trait");
    }

    private Trait ReadTrait(string name)
    {
        string what = $"trait '{InputFile.OneLine(name)}'";
        List<string>? positive = null, negative = null;
        MappingStart start = ExpectMapping(what);
        ForEachKey(what, (key, node) =>
        {
            switch (key)
            {
                case "positive_system_prompts" or "positive": ReadPool(ref positive, node, $"the positive system prompts of {what}"); break;
                case "negative_system_prompts" or "negative": ReadPool(ref negative, node, $"the negative system prompts of {what}"); break;
                case "description": ReadText($"the description of {what}"); break;
                default: SkipUnknown(node, key); break;
            }
        });
        if (positive is null) throw Problem(start, $"{what} has no positive_system_prompts; a trait needs both poles");
        if (negative is null) throw Problem(start, $"{what} has no negative_system_prompts; a trait needs both poles");
        return new Trait(name, positive, negative);
    }

    private void ReadPool(ref List<string>? pool, Scalar key, string what)
    {
        if (pool is not null) throw Problem(key, $"{what} are given twice; keep one");
        if (_parser.Current is not MappingStart)
        {
            pool = ReadTexts(what);
            return;
        }

        MappingStart start = ExpectMapping(what);
        List<string>? nested = null;
        ForEachKey(what, (name, node) =>
        {
            if (name == "system_prompts") nested = ReadTexts(what);
            else SkipUnknown(node, name);
        });
        pool = nested ?? throw Problem(start, $"{what} are missing; add the key system_prompts");
    }

    private List<EvalCategory> ReadEvalCategories()
    {
        // Without categories, all of them are one.
        if (_parser.Current is SequenceStart) return [new EvalCategory("all", ReadTexts("the evaluation prompts"))];
        List<EvalCategory> categories = [];
        MappingStart start = ExpectMapping("eval_prompts (category: list of prompts)");
        ForEachKey("eval_prompts", (name, _) =>
            categories.Add(new EvalCategory(name, ReadTexts($"evaluation prompts '{InputFile.OneLine(name)}'"))));
        return categories.Count > 0 ? categories : throw Problem(start, "eval_prompts is empty; give at least one category of prompts");
    }

    /// <summary>Reads the rest of a mapping whose start is consumed; <paramref name="read"/> must consume the value of the key.</summary>
    private void ForEachKey(string what, Action<string, Scalar> read)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        while (!_parser.Accept<MappingEnd>(out _))
        {
            if (_parser.Current is not Scalar node) throw WrongType($"a key of {what}", "a text");
            string key = ReadText($"a key of {what}");
            if (!seen.Add(key)) throw Problem(node, $"'{InputFile.OneLine(key)}' appears twice in {what}; keep one");
            read(key, node);
        }

        _parser.MoveNext();
    }

    private List<string> ReadTexts(string what)
    {
        if (_parser.Current is not SequenceStart start) throw WrongType(what, "a list of texts");
        _parser.MoveNext();
        List<string> texts = [];
        while (!_parser.Accept<SequenceEnd>(out _)) texts.Add(ReadText($"item {texts.Count + 1} of {what}"));
        _parser.MoveNext();
        return texts.Count > 0 ? texts : throw Problem(start, $"{what}: the list is empty; give at least one text");
    }

    private string ReadText(string what)
    {
        if (_parser.Current is not Scalar scalar) throw WrongType(what, "a text");
        if (!scalar.Tag.IsEmpty && scalar.Tag != "tag:yaml.org,2002:str" && scalar.Tag != "!")
            throw Problem(scalar, $"{what} has the tag {InputFile.OneLine(scalar.Tag.Value)}; only plain texts are read");
        if (string.IsNullOrWhiteSpace(scalar.Value)) throw Problem(scalar, $"{what} is empty; give a text");
        // A plain `true` or `42` is not a text in YAML; other readers of the same file would see something else than we do.
        if (scalar is { Style: ScalarStyle.Plain, Tag.IsEmpty: true } && NotText().IsMatch(scalar.Value))
            throw Problem(scalar, $"{what} is {InputFile.OneLine(scalar.Value)}, which YAML does not read as a text; put it in quotes");
        if (scalar.Value.Contains('\0')) throw Problem(scalar, $"{what} contains a NUL character; remove it");
        if (!IsWellFormed(scalar.Value)) throw Problem(scalar, $"{what} contains half of a surrogate pair; write the character itself");
        _parser.MoveNext();
        return scalar.Value;
    }

    private static bool IsWellFormed(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (!Rune.TryGetRuneAt(text, i++, out _)) return false;
        }

        return true;
    }

    private MappingStart ExpectMapping(string what)
    {
        if (_parser.Current is not MappingStart start) throw WrongType(what, "a mapping (key: value)");
        _parser.MoveNext();
        return start;
    }

    private InputFileException WrongType(string what, string expected)
    {
        ParsingEvent? node = _parser.Current;
        string found = node switch
        {
            AnchorAlias alias => $"the alias *{InputFile.OneLine(alias.Value.Value)}, and aliases are not followed; write the value out",
            Scalar => "a single value",
            SequenceStart => "a list",
            MappingStart => "a mapping",
            _ => "something else",
        };
        return Problem(node, $"{what} must be {expected}, but is {found}");
    }

    /// <summary>Passes over a key that other programs may need, and remembers to say so: it may as well be a misspelt one.</summary>
    private void SkipUnknown(ParsingEvent node, string key)
    {
        _remarks.Add($"{_source}: line {node.Start.Line}: the key '{InputFile.OneLine(key)}' is not used.");
        _parser.SkipThisAndNestedEvents();
    }

    private InputFileException Problem(ParsingEvent? node, string problem, Exception? cause = null)
    {
        string sentence = node is null ? problem : $"line {node.Start.Line}: {problem}";
        return cause is null ? new InputFileException(_source, sentence) : new InputFileException(_source, sentence, cause);
    }

    /// <summary>What YAML's core schema resolves to null, a boolean or a number.</summary>
    [GeneratedRegex(
        @"^(~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
        + @"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")]
    private static partial Regex NotText();
}
