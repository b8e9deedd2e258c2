using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>
/// What makes a verdict on an adapter doubtful: signs that its file is not the whole adapter that was trained, or that nothing was trained.
/// A doubt never takes an alarm back; it only forbids "ok".
/// </summary>
internal static class AdapterDoubts
{
    /// <summary>
    /// The last step at which lora_B may still be exactly zero in a healthy run: a schedule that warms up from 0 leaves the first update
    /// without effect, and a loss scaler in float16 skips its first few.
    /// </summary>
    public const int LastUntrainedStep = 5;

    /// <summary>From this share on, rows (or columns) of exact zeros in most modules mean shards that were not saved. With two ranks it is one half.</summary>
    private const double ZeroShare = 0.5;

    /// <summary>Code of the doubt that a file names blocks which it does not hold, as far as the file alone can tell.</summary>
    internal const string MissingBlocks = "missing-blocks";

    /// <summary>Code of the doubt that the model has modules which the configuration names and the file lacks.</summary>
    internal const string MissingModules = "missing-modules";

    /// <summary>What the files alone show.</summary>
    internal static IEnumerable<Remark> OfFile(AdapterSurvey survey)
    {
        if (survey.Modules.Count == 0)
        {
            yield return new Remark("no-lora-tensors", "it holds no LoRA matrices");
            yield break;
        }

        if (ZeroAlpha(survey) is { } alpha) yield return alpha;
        if (survey.Config != null && WithoutModules(survey, survey.Config) is { } blocks) yield return blocks;
        if (survey.Config?.UnknownSwitch is { } key)
            yield return new Remark("unknown-setting", $"{PeftAdapterReader.ConfigName} sets {InputFile.OneLine(key)}, which is not known here and may change what the matrices mean");
        if (!survey.HasValues || survey.ChangesNothing) yield break;
        if (ZeroLines(survey) is { } rows) yield return rows;
        if (Untrained(survey) is { } untrained) yield return untrained;
    }

    /// <summary>All that is known of one checkpoint's file: what the file alone shows, what its step says, and what its base says is missing.</summary>
    /// <param name="survey">The checkpoint's survey, with values.</param>
    /// <param name="step">The step it was saved at.</param>
    /// <param name="model">The base model.</param>
    public static IReadOnlyList<Remark> Of(AdapterSurvey survey, CheckpointStep step, GgufFile model)
    {
        ArgumentNullException.ThrowIfNull(survey);
        ArgumentNullException.ThrowIfNull(model);

        // The model knows its own modules; what the file alone could tell of missing blocks is the lesser half of that.
        List<Remark> doubts = [.. survey.Doubts.Where(d => d.Code != MissingBlocks)];
        if (Missing(survey, model) is { } missing) doubts.Add(missing);
        if (survey.ChangesNothing && step.Number is not <= LastUntrainedStep && doubts.Count == 0)
            doubts.Add(new Remark("nothing-trained", $"every lora_B is exactly zero at {(step.Number is { } n ? $"step {n}" : "the end")}; nothing was trained, or nothing was saved"));
        return doubts;
    }

    /// <summary>
    /// Modules of the model that the configuration names (target_modules, layers_to_transform, layers_pattern, exclude_modules) and the
    /// file lacks. Routers of expert models are not asked for: whether they are modules depends on the version of the training library.
    /// </summary>
    private static Remark? Missing(AdapterSurvey survey, GgufFile model)
    {
        if (survey.Config is not { HasTargets: true } config || survey.Modules.Count == 0) return null;
        Dictionary<int, string[]> held = survey.Modules.Where(m => m.Block != null)
            .GroupBy(m => m.Block!.Value).ToDictionary(g => g.Key, g => g.Select(m => m.Kind).ToArray());
        var lacking = new List<(int Block, string Kind)>();
        foreach (string prefix in survey.BlockPrefixes)
        {
            for (int block = 0; block < model.BlockCount; block++)
            {
                // A weight goes by several names, of which "all-linear" would name each.
                lacking.AddRange(AdapterLayout.Uncovered(model, block, held.GetValueOrDefault(block, []))
                    .Where(module => config.Targets(string.Create(CultureInfo.InvariantCulture, $"{prefix}{block}.{module.Kind}")))
                    .DistinctBy(module => module.Weight).Select(module => (block, module.Kind)));
            }
        }

        bool head = model.Tensors.ContainsKey(WeightName.Output) && config.Targets("lm_head") && survey.Modules.All(m => m.Place != ModulePlace.Head);
        if (lacking.Count == 0 && !head) return null;
        int[] empty = [.. lacking.Select(l => l.Block).Distinct().Where(b => !held.ContainsKey(b)).Order()];
        List<string> parts = [];
        if (empty.Length > 0) parts.Add($"nothing for {Blocks(empty)}");
        (int Block, string Kind)[] single = [.. lacking.Where(l => held.ContainsKey(l.Block))];
        if (single.Length > 0)
        {
            IEnumerable<string> kinds = single.Select(l => l.Kind[(l.Kind.LastIndexOf('.') + 1)..]).Distinct();
            parts.Add($"no {string.Join(", ", kinds)} in {Blocks(single.Select(l => l.Block))}");
        }

        if (head) parts.Add("no lm_head");
        return new Remark(MissingModules, $"incomplete: the file holds {string.Join(", ", parts)}, which target_modules in {PeftAdapterReader.ConfigName} names");
    }

    // Blocks that the configuration names and the file holds nothing for, judged by the modules that it holds in other blocks.
    private static Remark? WithoutModules(AdapterSurvey survey, PeftConfig config)
    {
        if (!config.HasTargets || survey.Blocks.Count == 0) return null;
        string[] kinds = [.. survey.Modules.Where(m => m.Block != null).Select(m => m.Kind).Distinct()];
        int last = Math.Max(survey.Blocks[^1], config.LayersToTransform.DefaultIfEmpty(0).Max());
        int[] empty =
        [
            .. Enumerable.Range(0, Math.Min(last, 65535) + 1).Except(survey.Blocks).Where(block => survey.BlockPrefixes.Any(
                prefix => kinds.Any(kind => config.Targets(string.Create(CultureInfo.InvariantCulture, $"{prefix}{block}.{kind}"))))),
        ];
        return empty.Length == 0 ? null
            : new Remark(MissingBlocks, $"incomplete: the file holds nothing for {Blocks(empty)}, which target_modules in {PeftAdapterReader.ConfigName} names");
    }

    private static Remark? ZeroAlpha(AdapterSurvey survey)
    {
        if (survey.Config == null)
        {
            return survey.Alpha == 0
                ? new Remark("zero-alpha", "its adapter.lora.alpha is 0, which llama.cpp takes for a factor of 1 and other programs for no effect")
                : null;
        }

        return survey.Alpha == 0 ? new Remark("zero-alpha", "lora_alpha is 0, so the adapter has no effect as it was saved")
            : survey.Config.HasZeroAlpha ? new Remark("zero-alpha", "alpha_pattern gives some modules an alpha of 0, so they have no effect as they were saved")
            : null;
    }

    // Rows of B, or rows or columns of A, are zero where another rank of the training had them. Embeddings are left aside: tokens that no
    // training text held leave columns of zeros there.
    private static Remark? ZeroLines(AdapterSurvey survey)
    {
        AdaptedModule[] changing = [.. survey.Modules.Where(m => m.Place != ModulePlace.Embedding && m.Values!.SquaredNorm != 0)];
        if (changing.Length == 0) return null;
        double[] rows = [.. changing.Select(m => (double)m.Values!.ZeroRowsOfB / m.Outputs)];
        double[] worst =
        [
            .. changing.Select((m, i) => Math.Max(rows[i], Math.Max((double)m.Values!.ZeroRowsOfA / m.Rank, (double)m.Values.ZeroColumnsOfA / m.Inputs))),
        ];
        int torn = worst.Count(share => share >= ZeroShare);
        if (2 * torn < changing.Length) return null;
        string what = rows.Count(share => share >= ZeroShare) == torn ? "rows of lora_B" : "rows or columns";
        string where = torn == changing.Length ? "every module" : string.Create(CultureInfo.InvariantCulture, $"{torn} of {changing.Length} modules");
        double least = worst.Where(share => share >= ZeroShare).Min();
        return new Remark("zero-rows", string.Create(
            CultureInfo.InvariantCulture, $"incomplete: {100 * least:0.#}% of the {what} are exactly zero in {where}; shards of other ranks were not saved"));
    }

    // Modules of the language model that were never updated while others were: another rank's, which were saved as they began.
    private static Remark? Untrained(AdapterSurvey survey)
    {
        AdaptedModule[] all = [.. survey.Modules.Where(m => m.Place == ModulePlace.Block && !m.Kind.Contains("experts.", StringComparison.Ordinal))];
        AdaptedModule[] zero = [.. all.Where(m => m.Values!.ZeroRowsOfB == m.Outputs)];
        if (zero.Length == 0 || zero.Length == all.Length) return null;
        return new Remark("untrained-modules", string.Create(
            CultureInfo.InvariantCulture, $"lora_B is exactly zero in {zero.Length} of {all.Length} modules ({Blocks(zero.Select(m => m.Block!.Value))}), although others were trained"));
    }

    /// <summary>"block 3", "blocks 0 to 2 and 5".</summary>
    internal static string Blocks(IEnumerable<int> blocks)
    {
        int[] ordered = [.. blocks.Distinct().Order()];
        var ranges = new List<string>();
        for (int i = 0; i < ordered.Length; i++)
        {
            int first = ordered[i];
            while (i + 1 < ordered.Length && ordered[i + 1] == ordered[i] + 1) i++;
            ranges.Add(first == ordered[i] ? first.ToString(CultureInfo.InvariantCulture)
                : string.Create(CultureInfo.InvariantCulture, $"{first}{(ordered[i] == first + 1 ? " and" : " to")} {ordered[i]}"));
        }

        string text = ranges.Count <= 6 ? string.Join(", ", ranges) : $"{string.Join(", ", ranges.Take(5))} and others";
        return $"{(ordered.Length == 1 ? "block" : "blocks")} {text}";
    }
}
