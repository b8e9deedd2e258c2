using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Verdicts;

/// <summary>Labelled checkpoints of one base model, measured.</summary>
/// <param name="Base">What they were measured on.</param>
/// <param name="Directions">Unit trait directions that the drifts were measured with, (K, D) row-major.</param>
/// <param name="Checkpoints">Every labelled checkpoint that could be measured; the base itself is not among them.</param>
/// <param name="BaseRate">EM rate of the base model, when it was labelled.</param>
/// <param name="Remarks">One sentence for each thing that was left out.</param>
internal sealed record LabelledSet(
    CalibratedBase Base, float[] Directions, IReadOnlyList<LabelledObservation> Checkpoints, double? BaseRate, IReadOnlyList<string> Remarks)
{
    /// <summary>What was measured, with what, for findings; null for sets that were not measured here.</summary>
    public FindingsHeader? Header { get; init; }

    /// <summary>Digest, hex, over every checkpoint's name, label and drift: what a detector was fitted on.</summary>
    public static string Fingerprint(IEnumerable<LabelledObservation> checkpoints)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (LabelledObservation c in checkpoints)
        {
            Observation o = c.Observation;
            hash.AppendData(Encoding.UTF8.GetBytes(FormattableString.Invariant($"{o.Model}\n{o.Run}\n{o.Step}\n{c.EmRate:R}\n{c.Perturbation}\n{c.Seed}\n")));
            foreach (double x in o.Displacement.PerTrait) hash.AppendData(BitConverter.GetBytes(x));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
