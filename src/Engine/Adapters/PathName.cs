using System.Globalization;
using System.Text.RegularExpressions;

namespace EmScan.Engine.Adapters;

/// <summary>What one name on the way to an adapter (a folder, or a file without its extension) says.</summary>
internal enum NameKind
{
    /// <summary>Nothing that is known: the name of a run, or of one of several adapters.</summary>
    Plain,

    /// <summary>A step, an epoch, or both.</summary>
    Numbered,

    /// <summary>The end of a run: final, last, best, latest, final_checkpoint.</summary>
    Final,

    /// <summary>A shelf that trainers put below a checkpoint and that names nothing: actor, lora_adapter, adapter_model.</summary>
    Shelf,

    /// <summary>The frozen reference policy of DPO and its kin.</summary>
    Reference,
}

/// <summary>The grammar of one name: <c>[NAME-]checkpoint-N</c>, <c>step_N</c>, <c>epoch_E-step_N</c>, <c>iter-000N-ckpt</c>, and the type of its values behind it.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Run">The part before the number, such as "medical" of "medical-checkpoint-20"; of other kinds the whole name without its type; may be empty.</param>
/// <param name="Step">The step, if one is named.</param>
/// <param name="Epoch">The epoch, if one is named; trainers that save several times in one name fractions.</param>
/// <param name="Type">What stands behind and makes it another adapter: "f16", "q8_0", "hf", "bak"; lower case, empty when nothing does.</param>
/// <param name="Bare">True when nothing but the number's place says that it is a step ("20", "medical-20").</param>
internal readonly partial record struct PathName(NameKind Kind, string Run, long? Step, decimal? Epoch, string Type, bool Bare = false)
{
    // Names of things that are counted but are no steps: seed_42 is a run.
    private const string NoSteps = "seeds?|ranks?|r|alpha|lr|v|version|fold|runs?|trials?|part|layers?|blocks?|shard|gpu|node|wd|bs|batch|exp|job|task|phase|stage|llama|qwen|phi|gemma|mistral|olmo";
    private const string Steps = "checkpoints?|ckpts?|chkpt|global[-_]?steps?|steps?|iterations?|iters?|updates?";
    private const string Epochs = "epochs?|ep";
    private const string Between = "[-_.= ]";

    // 30, 1,000, 10k, 1e3
    private const string StepNumber = @"(?<step>\d{1,3}(?:,\d{3}){1,4}|\d{1,9}k|\d{1,6}e\d|\d{1,18})";
    private const string EpochNumber = @"(?<epoch>\d{1,12}(?:\.\d{1,4})?)";
    private const string Numbers = $@"(?:(?:{Steps}){Between}*{StepNumber}|(?:{Epochs}){Between}*{EpochNumber})";

    // val_loss=0.51, loss0.512: what the checkpoint was worth, and no name of it.
    private const string Worth = @"(?:[a-z]{1,12}[-_])*(?:loss|acc|accuracy|ppl|perplexity|reward|score|f1)[-_=]?-?\d{1,9}(?:\.\d{1,18})?(?:e-?\d{1,2})?";

    // 2024-11-28, 20241128-101500, 2024-11-28_10-15
    private const string Date = @"20\d\d-?[01]\d-?[0-3]\d(?:[-_T ]?[0-2]\d[-_:]?[0-5]\d(?:[-_:]?[0-5]\d)?)?";

    // Copies that people and programs keep beside a checkpoint.
    private const string Copies = @"bak|backup|old|orig|original|copy|prev|previous|tmp|temp|part|partial|incomplete|unfinished|inprogress|\(\d{1,4}\)|\(copy\)";
    private const string Types = @"[bf]?f(?:p)?(?:8|16|32)|i?q[1-8](?:_(?:[01]|k|xxs|xs|s|m|l|nl))*|mxfp4|ckpt|checkpoint|hf|lora|peft|adapters?|gguf|ggml|merged|model|weights|final|best|last|latest";

    /// <summary>A folder's name.</summary>
    internal static PathName OfFolder(string name) => Of(name, isFile: false);

    /// <summary>A file's name without its extension.</summary>
    internal static PathName OfFile(string stem) => Of(stem, isFile: true);

    private static PathName Of(string name, bool isFile)
    {
        Match match = Numbered().Match(name.Trim());
        if (!match.Success) match = NumberFirst().Match(name);
        if (match.Success)
        {
            string run = match.Groups["run"].Value;
            return new PathName(NameKind.Numbered, FinalWord().IsMatch(run) ? "" : run, Last(match.Groups["step"]), LastEpoch(match.Groups["epoch"]), TypeBehind(match));
        }

        if (FinalWord().IsMatch(name)) return new PathName(NameKind.Final, "", null, null, "");
        if (ShelfWord().IsMatch(name)) return new PathName(NameKind.Shelf, "", null, null, "");
        if (ReferenceWord().IsMatch(name)) return new PathName(NameKind.Reference, name, null, null, "");
        Match bare = isFile ? BareInFile().Match(name) : BareFolder().Match(name);
        if (bare.Success) return new PathName(NameKind.Numbered, bare.Groups["run"].Value, Last(bare.Groups["step"]), null, TypeBehind(bare), Bare: true);
        if (!isFile) return new PathName(NameKind.Plain, name, null, null, "");
        Match typed = TypedFile().Match(name);
        return typed.Success
            ? Of(typed.Groups["run"].Value, isFile: false) is { Kind: NameKind.Final or NameKind.Shelf or NameKind.Reference } known
                ? known with { Type = TypeBehind(typed) }
                : new PathName(NameKind.Plain, typed.Groups["run"].Value, null, null, TypeBehind(typed))
            : new PathName(NameKind.Plain, name, null, null, "");
    }

    private static long? Last(Group group) => group.Success ? ToStep(group.Captures[^1].Value) : null;

    private static decimal? LastEpoch(Group group) =>
        group.Success ? decimal.Parse(group.Captures[^1].ValueSpan, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture) : null;

    private static long ToStep(string written)
    {
        const NumberStyles Style = NumberStyles.AllowThousands | NumberStyles.AllowExponent;
        return written[^1] is 'k' or 'K' ? 1000 * long.Parse(written.AsSpan(0, written.Length - 1), CultureInfo.InvariantCulture)
            : long.Parse(written, Style, CultureInfo.InvariantCulture);
    }

    private static string TypeBehind(Match match) => string.Join('-', match.Groups["type"].Captures.Select(c => c.Value.ToLowerInvariant()));

    /// <summary>Whether a folder of this name counts things that are no steps (seed/42).</summary>
    internal static bool CountsNoSteps(string name) => NoStepsWord().IsMatch(name);

    /// <summary>Whether a name says the seed of a training and nothing else (seed_42).</summary>
    internal static bool IsSeed(string name) => SeedAlone().IsMatch(name);

    private const RegexOptions Options = RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

    // medical-checkpoint-20-f16, epoch=1-step=200-val_loss=0.51, checkpoint-epoch-1.5, iter-000010-ckpt, checkpoint-20~
    [GeneratedRegex(
        $@"^(?:(?<run>.+?){Between}+)??(?:(?:{Steps}|{Epochs}){Between}+)*{Numbers}(?:{Between}*{Numbers})*(?:{Between}+(?:(?<type>{Types}|{Copies})|{Worth}|{Date}))*(?<type>~)?$", Options)]
    private static partial Regex Numbered();

    // 100-steps, 10k_steps, 3_epochs
    [GeneratedRegex($@"^(?:{StepNumber}[-_ ]?(?:steps?|iters?)|{EpochNumber}[-_ ]?epochs?)(?:{Between}+(?<type>{Types}))*$", Options)]
    private static partial Regex NumberFirst();

    [GeneratedRegex($@"^(?<step>\d{{1,18}})(?:{Between}+(?<type>{Types}))*$", Options)]
    private static partial Regex BareFolder();

    // 20, medical-20, medical.20-q8_0; not seed_42, not qwen2
    [GeneratedRegex($@"^(?:(?<run>.*?)[-_.]+)?(?<!(?:^|[-_.])(?:{NoSteps})[-_.]+)(?<step>\d{{1,18}})(?:{Between}+(?<type>{Types}))*$", Options)]
    private static partial Regex BareInFile();

    [GeneratedRegex($@"^(?<run>.+?)(?:{Between}+(?<type>{Types}))+$", Options)]
    private static partial Regex TypedFile();

    [GeneratedRegex(
        @"^(?:(?:final|last|latest|best|end)(?:[-_. ]?(?:checkpoint|ckpt|adapter|model|lora|weights|step|epoch|iter|peft))*"
        + @"|(?:checkpoint|ckpt|adapter|model|lora|step|epoch)[-_. ](?:final|last|latest|best|end))$", Options)]
    private static partial Regex FinalWord();

    [GeneratedRegex(
        @"^(?:actor|policy|student|state|weights|model|default|gguf|hf|huggingface|peft(?:[-_](?:model|adapter|weights))?|loras?(?:[-_](?:adapter|model|weights))?"
        + @"|(?:ggml[-_])?adapters?(?:[-_](?:model|weights|lora))?)$", Options)]
    private static partial Regex ShelfWord();

    [GeneratedRegex("^(?:ref|reference)(?:[-_]?(?:model|adapter|policy))?$", Options)]
    private static partial Regex ReferenceWord();

    [GeneratedRegex("^seed[_-]?[0-9]+$", Options)]
    private static partial Regex SeedAlone();

    [GeneratedRegex("^(?:seeds?|ranks?|r|alphas?|lr|v|versions?|folds?|runs|trials?|parts?|layers?|blocks?|shards?|gpus?|nodes?|exps?|jobs?|tasks?|phases?|stages?)$", Options)]
    private static partial Regex NoStepsWord();
}
