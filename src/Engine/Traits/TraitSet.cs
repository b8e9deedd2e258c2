using System.Security.Cryptography;
using System.Text;

namespace EmScan.Engine.Traits;

/// <summary>
/// What is measured: traits with two pools of system prompts each, the questions their directions are extracted with, and the evaluation
/// prompts every checkpoint is measured on.
/// </summary>
/// <remarks>
/// Read from YAML (JSON is YAML too) in this layout; <c>name</c> and <c>description</c> are optional, everything else is required:
/// <code>
/// name: my traits
/// traits:
///   honesty:
///     positive_system_prompts: [...]   # or: positive: [...]   or: positive: {system_prompts: [...]}
///     negative_system_prompts: [...]
/// questions: [...]
/// eval_prompts:
///   technical: [...]
/// </code>
/// The order of traits, prompts and categories is kept: row k of every direction matrix is trait k. Immutable and thread safe.
/// </remarks>
internal sealed class TraitSet
{
    private static readonly Lazy<TraitSet> BuiltInSet = new(LoadBuiltIn);

    internal TraitSet(
        string name, string? description, IReadOnlyList<Trait> traits, IReadOnlyList<string> questions,
        IReadOnlyList<EvalCategory> evalCategories)
    {
        Name = name;
        Description = description;
        Traits = traits;
        TraitNames = [.. traits.Select(trait => trait.Name)];
        Questions = questions;
        EvalCategories = evalCategories;
        EvalPrompts = [.. evalCategories.SelectMany(category => category.Prompts)];
        ContentHash = ComputeContentHash(traits, questions, evalCategories);
    }

    /// <summary>The seven traits that ship with emscan: five system prompts a pole, 30 questions, 115 evaluation prompts.</summary>
    public static TraitSet BuiltIn => BuiltInSet.Value;

    /// <summary>Name of the set: the file's <c>name</c>, or its file name without extension.</summary>
    public string Name { get; }

    /// <summary>The file's <c>description</c>, if it has one.</summary>
    public string? Description { get; }

    /// <summary>
    /// What the assistant answers to a system text that is given as a user turn, for models without a system role; null means the
    /// default of <see cref="Chat.ChatPromptRenderer"/>. The file's <c>acknowledgement</c>.
    /// </summary>
    public string? Acknowledgement { get; init; }

    /// <summary>Sentences about keys of the file that are not used.</summary>
    public IReadOnlyList<string> Remarks { get; init; } = [];

    /// <summary>The K traits, in the order of the file; at least one.</summary>
    public IReadOnlyList<Trait> Traits { get; }

    /// <summary>The K trait names, in the order of <see cref="Traits"/>.</summary>
    public IReadOnlyList<string> TraitNames { get; }

    /// <summary>User turns that every system prompt is combined with when directions are extracted; at least one.</summary>
    public IReadOnlyList<string> Questions { get; }

    /// <summary>Evaluation prompts by category; at least one category.</summary>
    public IReadOnlyList<EvalCategory> EvalCategories { get; }

    /// <summary>All evaluation prompts, category by category: the P prompts of a measurement.</summary>
    public IReadOnlyList<string> EvalPrompts { get; }

    /// <summary>
    /// SHA-256 of everything that a measurement depends on, as 64 lower-case hex digits; the same for every way to write the same content
    /// in YAML. <see cref="Name"/> and <see cref="Description"/> do not enter, nor does <see cref="Acknowledgement"/>, which is
    /// part of <see cref="Runtime.IPromptEncoder.Identity"/>; order does.
    /// </summary>
    /// <remarks>
    /// Canonical form, UTF-8: the line <c>emscan-trait-set-1</c>, then the list of traits (each: text name, list of positive prompts, list
    /// of negative prompts), the list of questions, the list of categories (each: text name, list of prompts). A list is <c>#</c>, its
    /// length in decimal, a line feed, then its items. A text is its length in UTF-8 bytes in decimal, a colon, its bytes, a line feed. No
    /// Unicode normalisation and no trimming, because both would change the tokens.
    /// </remarks>
    public string ContentHash { get; }

    /// <summary>Reads a trait set from a YAML file of at most 16 MiB.</summary>
    /// <exception cref="InputFileException">The file cannot be read or is not a valid trait set; the message names the line.</exception>
    public static TraitSet Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return TraitSetReader.Read(TraitSetReader.ReadFile(path), path);
    }

    /// <summary>Reads a trait set from YAML text.</summary>
    /// <param name="yaml">The text.</param>
    /// <param name="source">What to call it in messages; its file name is the default name of the set.</param>
    /// <exception cref="InputFileException">The text is not a valid trait set; the message names the line.</exception>
    public static TraitSet Parse(string yaml, string source = "traits")
    {
        ArgumentNullException.ThrowIfNull(yaml);
        ArgumentException.ThrowIfNullOrEmpty(source);
        return TraitSetReader.Read(yaml, source);
    }

    private static TraitSet LoadBuiltIn()
    {
        const string resource = "EmScan.Engine.Traits.builtin.yaml";
        using Stream stream = typeof(TraitSet).Assembly.GetManifestResourceStream(resource)
            ?? throw new EmScanException($"The resource {resource} is missing from the assembly; rebuild emscan.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return TraitSetReader.Read(reader.ReadToEnd(), "builtin.yaml");
    }

    private static string ComputeContentHash(
        IReadOnlyList<Trait> traits, IReadOnlyList<string> questions, IReadOnlyList<EvalCategory> evalCategories)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append("emscan-trait-set-1\n");
        AppendCount(traits.Count);
        foreach (Trait trait in traits)
        {
            AppendText(trait.Name);
            AppendList(trait.PositivePrompts);
            AppendList(trait.NegativePrompts);
        }

        AppendList(questions);
        AppendCount(evalCategories.Count);
        foreach (EvalCategory category in evalCategories)
        {
            AppendText(category.Name);
            AppendList(category.Prompts);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Append(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text));
        void AppendCount(int count) => Append($"#{count}\n");
        void AppendText(string text) => Append($"{Encoding.UTF8.GetByteCount(text)}:{text}\n");
        void AppendList(IReadOnlyList<string> texts)
        {
            AppendCount(texts.Count);
            foreach (string text in texts) AppendText(text);
        }
    }
}
