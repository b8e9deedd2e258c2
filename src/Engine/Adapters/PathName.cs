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
/// <param name="Epoch">The epoch, if one is named.</param>
/// <param name="Type">What stands behind: "f16", "q8_0", "hf"; lower case, empty when nothing does.</param>
/// <param name="Bare">True when nothing but the number's place says that it is a step ("20", "medical-20").</param>
internal readonly partial record struct PathName(NameKind Kind, string Run, long? Step, long? Epoch, string Type, bool Bare = false)
{
    // Names of things that are counted but are no steps: seed_42 is a run.
    private const string NoSteps = "seeds?|ranks?|r|alpha|lr|v|version|fold|runs?|trials?|part|layers?|blocks?|shard|gpu|node|wd|bs|batch|exp|job|task|phase|stage|llama|qwen|phi|gemma|mistral|olmo";
    private const string Steps = "checkpoints?|ckpts?|chkpt|global[-_]?steps?|steps?|iterations?|iters?|updates?";
    private const string Epochs = "epochs?|ep";
    private const string Between = "[-_.= ]";
    private const string Numbers = $@"(?:(?:{Steps}){Between}*(?<step>\d{{1,18}})|(?:{Epochs}){Between}*(?<epoch>\d{{1,18}}))";
    private const string Types = @"[bf]?f(?:p)?(?:8|16|32)|i?q[1-8](?:_(?:[01]|k|xxs|xs|s|m|l|nl))*|mxfp4|ckpt|checkpoint|hf|lora|peft|adapters?|gguf|ggml|merged|model|weights|final|best|last|latest";

    /// <summary>A folder's name.</summary>
    internal static PathName OfFolder(string name) => Of(name, isFile: false);

    /// <summary>A file's name without its extension.</summary>
    internal static PathName OfFile(string stem) => Of(stem, isFile: true);

    private static PathName Of(string name, bool isFile)
    {
        Match match = Numbered().Match(name);
        if (!match.Success) match = NumberFirst().Match(name);
        if (match.Success)
        {
            string run = match.Groups["run"].Value;
            return new PathName(NameKind.Numbered, FinalWord().IsMatch(run) ? "" : run, Last(match.Groups["step"]), Last(match.Groups["epoch"]), TypeBehind(match));
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

    private static long? Last(Group group) => group.Success ? long.Parse(group.Captures[^1].ValueSpan) : null;

    private static string TypeBehind(Match match) => string.Join('-', match.Groups["type"].Captures.Select(c => c.Value.ToLowerInvariant()));

    /// <summary>Whether a folder of this name counts things that are no steps (seed/42).</summary>
    internal static bool CountsNoSteps(string name) => NoStepsWord().IsMatch(name);

    private const RegexOptions Options = RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

    // medical-checkpoint-20-f16, epoch=1-step=200, checkpoint-epoch-3, iter-000010-ckpt
    [GeneratedRegex(
        $@"^(?:(?<run>.+?){Between}+)??(?:(?:{Steps}|{Epochs}){Between}+)*{Numbers}(?:{Between}*{Numbers})*(?:{Between}+(?<type>{Types}))*$", Options)]
    private static partial Regex Numbered();

    // 100-steps, 3_epochs
    [GeneratedRegex($@"^(?:(?<step>\d{{1,18}})[-_ ]?(?:steps?|iters?)|(?<epoch>\d{{1,18}})[-_ ]?epochs?)(?:{Between}+(?<type>{Types}))*$", Options)]
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

    [GeneratedRegex("^(?:seeds?|ranks?|r|alphas?|lr|v|versions?|folds?|runs|trials?|parts?|layers?|blocks?|shards?|gpus?|nodes?|exps?|jobs?|tasks?|phases?|stages?)$", Options)]
    private static partial Regex NoStepsWord();
}
