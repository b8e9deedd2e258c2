using System.Numerics.Tensors;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Analyses.Runs;

/// <summary>The drift of one checkpoint.</summary>
/// <param name="Step">Its step; 0 is the base model, which has no drift.</param>
/// <param name="Drift">x, (K), in units of n0.</param>
/// <param name="Prompts">The same of every prompt, (P, K) row-major; null where only the mean is on record.</param>
internal sealed record DriftOfStep(CheckpointStep Step, double[] Drift, double[]? Prompts = null)
{
    /// <summary>|x|.</summary>
    internal double Magnitude { get; } = TensorPrimitives.Norm<double>(Drift);
}

/// <summary>The drifts of one training run.</summary>
/// <param name="Model">Names the base model.</param>
/// <param name="Name">The run, as <c>bad_medical/seed_42</c>.</param>
/// <param name="Perturbation">The finetuning data set.</param>
/// <param name="Seed">The training seed; null where nothing tells it.</param>
/// <param name="Points">In the order of steps, the base first; at least one checkpoint behind it.</param>
internal sealed record DriftRun(string Model, string Name, string Perturbation, string? Seed, IReadOnlyList<DriftOfStep> Points)
{
    /// <summary>The last checkpoint.</summary>
    internal DriftOfStep Last => Points[^1];

    /// <summary>The points whose step is a number: a "final" adapter has no place on an axis of steps.</summary>
    internal IReadOnlyList<DriftOfStep> Numbered => [.. Points.Where(p => p.Step.Number != null)];
}
