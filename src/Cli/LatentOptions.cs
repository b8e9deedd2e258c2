using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Cli;

/// <summary>The sparse autoencoder whose latents detectors are fitted to, and the device that computes them.</summary>
internal sealed class LatentOptions
{
    private readonly KernelDeviceOption _kernelDevice = new("latents of --sae");

    internal Option<string?> Sae { get; } = MadeOnce.Autoencoder();

    internal void AddTo(Command command)
    {
        command.Options.Add(Sae);
        _kernelDevice.AddTo(command);
    }

    /// <exception cref="UsageException">The name of the device is none.</exception>
    internal void Check(ParseResult parsed) => _kernelDevice.Check(parsed);

    /// <summary>Reads it for detectors.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="recipes">Those that were named.</param>
    /// <returns>Null where none was given.</returns>
    /// <exception cref="UsageException">A detector needs one and there is none, or the other way round.</exception>
    /// <exception cref="InputFileException">It cannot be read.</exception>
    internal SparseAutoencoder? ReadFor(ParseResult parsed, IReadOnlyCollection<DetectorRecipe> recipes)
    {
        DetectorRecipe? ofLatents = recipes.FirstOrDefault(recipe => recipe.Features.IsOfLatents);
        if (parsed.GetValue(Sae) is not { } path)
            return ofLatents == null ? null : throw new UsageException($"--detector {ofLatents.Name} reads the latents of a sparse autoencoder; give it with {Sae.Name} DIR.");
        return recipes.Count == 0 || ofLatents != null ? SparseAutoencoder.Read(path)
            : throw new UsageException($"{Sae.Name} needs a detector that reads it: --detector {FeatureCatalog.Latents.Name}/REGRESSOR, or no --detector at all.");
    }

    /// <summary>What has a session measure them; null where there is no autoencoder.</summary>
    internal Action<ScanSession>? Begin(ParseResult parsed, SparseAutoencoder? autoencoder, CancellationToken cancellationToken) =>
        autoencoder == null ? null : session => session.MeasureLatents(autoencoder, _kernelDevice.Open(parsed, session), cancellationToken);
}
