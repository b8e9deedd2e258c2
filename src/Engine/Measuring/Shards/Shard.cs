using System.Globalization;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>A share of what is to be measured: that of process <paramref name="Index"/>, from 0, of <paramref name="Count"/> that share the work.</summary>
internal readonly record struct Shard(int Index, int Count)
{
    /// <summary>In place of a number: the number that the scheduler has given to this process.</summary>
    internal const string Auto = "auto";

    internal const int Most = 100_000;

    private const string SlurmPrefix = "SLURM_ARRAY_TASK_";
    private const string KubernetesIndex = "JOB_COMPLETION_INDEX";

    /// <summary>
    /// Reads <c>2/8</c>, <c>auto/8</c> (the number from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX), or <c>auto</c> (from a Slurm array from 0
    /// to n - 1, with n).
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="environment">Gives an environment variable, or null.</param>
    /// <exception cref="InvalidSettingException">It is none of these, or the scheduler has not said what is needed.</exception>
    internal static Shard Parse(string text, Func<string, string?> environment)
    {
        string[] parts = text.Split('/');
        if (parts.Length > 2) throw Malformed(text);
        if (parts[0] != Auto)
        {
            return parts.Length == 2 && Number(parts[0]) is { } index && Number(parts[1]) is { } count && index < count && count <= Most
                ? new Shard(index, count)
                : throw Malformed(text);
        }

        if ((environment(SlurmPrefix + "ID") ?? environment(KubernetesIndex)) is not { } given)
            throw new InvalidSettingException($"The shard is '{text}', but neither {SlurmPrefix}ID nor {KubernetesIndex} is set here; give it as I/N, I from 0 to N - 1.");
        if (Number(given) is not { } task)
            throw new InvalidSettingException($"The scheduler's number of this task is '{given}', which is no whole number from 0 on; give the shard as I/N, I from 0 to N - 1.");
        if (parts.Length == 2)
        {
            int count = Number(parts[1]) is { } n and > 0 and <= Most ? n : throw Malformed(text);
            return task < count ? new Shard(task, count)
                : throw new InvalidSettingException($"The scheduler's number of this task is {task}, but there are {count} shards, numbered from 0 to {count - 1}.");
        }

        // A part of an array that is submitted again would be taken for a whole one: only 0 to n - 1 says what n is.
        bool whole = Number(environment(SlurmPrefix + "MIN") ?? "") == 0 && (environment(SlurmPrefix + "STEP") ?? "1") == "1";
        return whole && Number(environment(SlurmPrefix + "COUNT") ?? "") is { } all and > 0 and <= Most && task < all
            ? new Shard(task, all)
            : throw new InvalidSettingException($"The shard is '{Auto}', but the number of shards is known only from a Slurm array from 0 to N - 1 as a whole; give {Auto}/N.");
    }

    /// <summary>As <see cref="Parse"/> reads it.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Index}/{Count}");

    private static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;

    private static InvalidSettingException Malformed(string text) =>
        new($"'{text}' is no shard; give I/N, I from 0 to N - 1 (0/4, 1/4, 2/4, 3/4), {Auto}/N for the scheduler's number of this task, or {Auto} in a Slurm array from 0 to N - 1.");
}
