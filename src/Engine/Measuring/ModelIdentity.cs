namespace EmScan.Engine.Measuring;

/// <summary>What numbers depend on besides the cell: the model file and the way it is computed.</summary>
/// <param name="Fingerprint">SHA-256 of the model file, hex.</param>
/// <param name="NumericMode">"exact" or "fast" and the kind of device: numbers of different modes are not mixed.</param>
internal sealed record ModelIdentity(string Fingerprint, string NumericMode);
