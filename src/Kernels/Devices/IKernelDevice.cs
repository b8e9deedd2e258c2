namespace EmScan.Kernels;

/// <summary>
/// Where the large jobs run: second moments, products with thousands of directions, sparse encodings. What they need again and again
/// stays on the device, and rows come in blocks. For a few directions, or one row at a time, use a <see cref="KernelSet"/>.
/// </summary>
/// <remarks>
/// The bounds of <see cref="WideProjection"/> and <see cref="RunningMoments"/> hold on every device; the last bits differ from device to
/// device. Thread safe, and so are the things it makes, unless they say otherwise; a device that is not the CPU does one thing at a time.
/// </remarks>
public interface IKernelDevice : IDisposable
{
    /// <summary>Its name as the user gives it and what it is, such as "cuda:0 NVIDIA H100 80GB HBM3" or "cpu vector512".</summary>
    string Name { get; }

    /// <summary>Whether it is the processor that the program runs on.</summary>
    bool IsCpu { get; }

    /// <summary>Keeps directions, to project many blocks of states on them.</summary>
    /// <param name="directions">(K, D) float32; not changed while they are kept.</param>
    /// <param name="dimension">D.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension);

    /// <summary>Keeps states, to project them on many blocks of directions.</summary>
    /// <param name="states">(T, D) float32; not changed while they are kept.</param>
    /// <param name="dimension">D.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension);

    /// <summary>Starts mean and covariance of a stream of rows.</summary>
    /// <param name="dimension">D.</param>
    /// <exception cref="ArgumentException">D is out of range.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    IMoments StartMoments(int dimension);

    /// <summary>Keeps the encoder of a sparse autoencoder.</summary>
    /// <param name="encoder">Its weights; not changed while they are kept.</param>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    ISparseEncoder Keep(SparseEncoderWeights encoder);
}

/// <summary>Directions that wait for states.</summary>
public interface IResidentDirections : IDisposable
{
    /// <summary>Number of directions, K.</summary>
    int Count { get; }

    /// <summary>Width, D.</summary>
    int Dimension { get; }

    /// <summary>
    /// <c>projections[t, k] = sum over d of states[t, d] * directions[k, d]</c>; error below 1.5e-6 * ||state|| * ||direction||.
    /// </summary>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="projections">(T, K) float64, overwritten.</param>
    /// <exception cref="ArgumentException">The shapes do not agree.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    void Project(ReadOnlySpan<float> states, Span<double> projections);
}

/// <summary>States that wait for directions.</summary>
public interface IResidentStates : IDisposable
{
    /// <summary>Number of states, T.</summary>
    int Rows { get; }

    /// <summary>Width, D.</summary>
    int Dimension { get; }

    /// <summary>
    /// <c>projections[t, k] = sum over d of states[t, d] * directions[k, d]</c>; error below 1.5e-6 * ||state|| * ||direction||.
    /// </summary>
    /// <param name="directions">(K, D) float32.</param>
    /// <param name="projections">(T, K) float64, overwritten.</param>
    /// <exception cref="ArgumentException">The shapes do not agree.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    void Project(ReadOnlySpan<float> directions, Span<double> projections);
}

/// <summary>
/// Mean and covariance over a stream of rows, where they are computed: the contract of <see cref="RunningMoments"/>. Not thread safe.
/// </summary>
public interface IMoments : IDisposable
{
    /// <summary>Width of a row, D.</summary>
    int Dimension { get; }

    /// <summary>Number of rows so far.</summary>
    long Count { get; }

    /// <summary>Adds rows.</summary>
    /// <param name="states">(T, D) float32; T may be 0.</param>
    /// <exception cref="ArgumentException">The length is not a whole number of rows.</exception>
    /// <exception cref="KernelDeviceException">The device is gone, and what was added with it.</exception>
    void Add(ReadOnlySpan<float> states);

    /// <summary>Adds the rows that another object of the same device has seen, whose results stay the same.</summary>
    /// <exception cref="ArgumentException">The other has a different D or is of another device.</exception>
    /// <exception cref="KernelDeviceException">The device is gone, and what was added with it.</exception>
    void Merge(IMoments other);

    /// <summary>Writes the mean; NaN everywhere when there are no rows.</summary>
    /// <param name="mean">(D) float64.</param>
    /// <exception cref="ArgumentException">The length is not D.</exception>
    /// <exception cref="KernelDeviceException">The device is gone, and what was added with it.</exception>
    void CopyMean(Span<double> mean);

    /// <summary>Writes the covariance, both halves; NaN everywhere when there are too few rows.</summary>
    /// <param name="covariance">(D, D) float64, row-major.</param>
    /// <param name="kind">Divisor n - 1 or n.</param>
    /// <exception cref="ArgumentException">The length is not D * D, or the kind is unknown.</exception>
    /// <exception cref="KernelDeviceException">The device is gone, and what was added with it.</exception>
    void CopyCovariance(Span<double> covariance, VarianceKind kind);
}

/// <summary>The encoder of a sparse autoencoder.</summary>
public interface ISparseEncoder : IDisposable
{
    /// <summary>Width of a state, D.</summary>
    int Dimension { get; }

    /// <summary>Number of latents, F.</summary>
    int Latents { get; }

    /// <summary>All activations.</summary>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="activations">(T, F) float32, overwritten.</param>
    /// <exception cref="ArgumentException">The shapes do not agree.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    void Encode(ReadOnlySpan<float> states, Span<float> activations);

    /// <summary>The largest activations of each state, the largest first; of equal ones the smaller latent first.</summary>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="latents">(T, k), overwritten; its length gives k. -1 where fewer latents are active.</param>
    /// <param name="activations">(T, k) float32, overwritten; 0 where fewer latents are active.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or k is above F.</exception>
    /// <exception cref="KernelDeviceException">The device has no room, or is gone.</exception>
    void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations);
}
