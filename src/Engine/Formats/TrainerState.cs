using System.Text.Json;

namespace EmScan.Engine.Formats;

/// <summary>What the Hugging Face Trainer logged, from a checkpoint's trainer_state.json.</summary>
/// <remarks>Immutable; safe to share between threads.</remarks>
internal sealed class TrainerState
{
    /// <summary>The file's name in a checkpoint folder.</summary>
    public const string FileName = "trainer_state.json";

    private const int MaxBytes = 256 << 20;

    private TrainerState((double Step, double Loss)[] losses, double? peakLearningRate) =>
        (Losses, PeakLearningRate) = (losses, peakLearningRate);

    /// <summary>Training loss by step, ascending, each step once (the last entry of a step counts).</summary>
    public IReadOnlyList<(double Step, double Loss)> Losses { get; }

    /// <summary>The largest learning rate in the log; the schedule's peak if it was logged there. Null when none was logged.</summary>
    public double? PeakLearningRate { get; }

    /// <summary>Epochs the training was set to (num_train_epochs), if the file says so.</summary>
    public double? Epochs { get; private init; }

    /// <summary>Steps between two checkpoints (save_steps), if the file says so.</summary>
    public long? SaveSteps { get; private init; }

    /// <summary>Seed, if the file says so.</summary>
    public long? Seed { get; private init; }

    /// <summary>The step at which the file was written (global_step), if it says so.</summary>
    public long? GlobalStep { get; private init; }

    /// <summary>Reads trainer_state.json.</summary>
    /// <exception cref="InputFileException">It cannot be read or has another form.</exception>
    public static TrainerState Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return JsonInput.Parse(path, JsonInput.WithoutNonFinite(InputFile.ReadSmall(path, MaxBytes)), root =>
        {
            var losses = new SortedDictionary<double, double>();
            double? peak = null;
            if (root.TryGetProperty("log_history", out JsonElement history))
            {
                if (history.ValueKind != JsonValueKind.Array)
                    throw new InputFileException(path, "has a \"log_history\" that is not a list");
                foreach (JsonElement entry in history.EnumerateArray())
                {
                    if (entry.ValueKind != JsonValueKind.Object)
                        throw new InputFileException(path, "has an entry of \"log_history\" that is not an object");

                    // Evaluation entries have eval_loss instead of loss.
                    if (JsonInput.Number(path, entry, "step") is { } step && JsonInput.Number(path, entry, "loss") is { } loss)
                        losses[step] = loss;
                    if (JsonInput.Number(path, entry, "learning_rate") is { } rate) peak = Math.Max(peak ?? rate, rate);
                }
            }

            return new TrainerState([.. losses.Select(entry => (entry.Key, entry.Value))], peak)
            {
                Epochs = JsonInput.Number(path, root, "num_train_epochs"),
                SaveSteps = JsonInput.Integer(path, root, "save_steps"),
                Seed = JsonInput.Integer(path, root, "seed"),
                GlobalStep = JsonInput.Integer(path, root, "global_step"),
            };
        });
    }

    /// <summary>The training loss at a step: linear between logged steps, the nearest logged value outside them.</summary>
    /// <returns>Null when no loss was logged.</returns>
    public double? LossAt(double step)
    {
        if (Losses.Count == 0) return null;
        int above = 0;
        while (above < Losses.Count && Losses[above].Step < step) above++;
        if (above == 0) return Losses[0].Loss;
        if (above == Losses.Count) return Losses[^1].Loss;
        (double x0, double y0) = Losses[above - 1];
        (double x1, double y1) = Losses[above];
        return y0 + (y1 - y0) * ((step - x0) / (x1 - x0));
    }
}
