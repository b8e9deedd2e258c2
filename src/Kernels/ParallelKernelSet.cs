namespace EmScan.Kernels;

/// <summary>
/// A kernel set on several threads: gives the same bits as the set it runs, whatever their number, because each number of a result is
/// computed by one thread in the order in which one thread alone would.
/// </summary>
/// <remarks>
/// <para>Rows of a projection and of norms, columns of a sum over rows, and tiles of outer products are shared out; a call that is too
/// small to share runs on the thread that made it. Worth it for blocks of rows, not for single ones.</para>
/// <para>Calls from several threads wait for each other. The threads are its own, soon sleep between calls and end with
/// <see cref="Dispose"/>. No call allocates managed memory once the shared array pool is warm.</para>
/// </remarks>
public sealed unsafe class ParallelKernelSet : KernelSet, IDisposable
{
    /// <summary>Numbers that a part reads: long beside the hand-over to another thread, short beside a large call.</summary>
    private const int PartLength = 1 << 16;

    /// <summary>Columns in a part of a sum, at least: whole cache lines of the rows and of the sum, wherever they start.</summary>
    private const int SumColumns = 256;

    private readonly KernelSet _kernels;
    private readonly WorkerThreads _threads;
    private readonly Lock _gate = new();
    private readonly Action<int, int> _project;
    private readonly Action<int, int> _rowNorms;
    private readonly Action<int, int> _addRows;
    private readonly Action<int, int> _runPass;
    private float[][] _projectionScratch = []; // (threads)
    private double[][] _tileScratch = []; // (threads)

    // The call at hand.
    private ProjectionPass _projection;
    private OuterProductPass _pass;
    private float* _states;
    private double* _result;
    private int _rows;
    private int _dimension; // from row to row
    private int _columns; // of a row
    private int _partSize;
    private int _packParts;
    private volatile int _packed; // of them, how many are done

    /// <summary>Starts the threads.</summary>
    /// <param name="threads">How many threads work on a call, the caller's among them.</param>
    /// <param name="kernels">What runs on each, or null for <see cref="KernelSets.Default"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no thread.</exception>
    /// <exception cref="ArgumentException">The kernel set runs on several threads itself.</exception>
    /// <exception cref="KernelSelectionException">No kernel set is given and the environment names one that cannot run.</exception>
    public ParallelKernelSet(int threads, KernelSet? kernels = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _kernels = kernels ?? KernelSets.Default;
        if (_kernels is ParallelKernelSet)
            throw new ArgumentException("The kernel set runs on several threads already.", nameof(kernels));
        _threads = new WorkerThreads(threads);
        _project = ProjectPart;
        _rowNorms = RowNormsPart;
        _addRows = AddRowsPart;
        _runPass = PassPart;
    }

    /// <summary>Name of the set that runs on each thread.</summary>
    public override string Name => _kernels.Name;

    /// <inheritdoc/>
    public override bool IsSupported => _kernels.IsSupported;

    /// <summary>Threads that work on a call.</summary>
    public int Threads => _threads.Threads;

    internal override int ProjectionScratch => _kernels.ProjectionScratch;

    internal override int TileScratch => _kernels.TileScratch;

    /// <summary>Ends the threads. No call may be at work or follow.</summary>
    public void Dispose() => _threads.Dispose();

    internal override long CopyLength(int rows, int count, int dimension) => _kernels.CopyLength(rows, count, dimension);

    internal override void CopyDirections(in ProjectionPass pass) => _kernels.CopyDirections(pass);

    internal override void ProjectRows(in ProjectionPass pass, int first, int rows, Span<float> scratch) =>
        _kernels.ProjectRows(pass, first, rows, scratch);

    internal override void RowNormsCore(ReadOnlySpan<float> states, int dimension, Span<double> norms)
    {
        lock (_gate)
        {
            fixed (float* statesAt = states)
            fixed (double* normsAt = norms)
                Run(_rowNorms, statesAt, norms.Length, dimension, dimension, normsAt, norms.Length, PartRows(dimension));
        }
    }

    internal override void AddRowsCore(ReadOnlySpan<float> states, int rows, int stride, Span<double> sum)
    {
        lock (_gate)
        {
            fixed (float* statesAt = states)
            fixed (double* sumAt = sum)
                Run(_addRows, statesAt, rows, stride, sum.Length, sumAt, sum.Length, Math.Max(SumColumns, PartLength / Math.Max(rows, 1)));
        }
    }

    internal override int StripDirections => _kernels.StripDirections;

    internal override int PanelStates => _kernels.PanelStates;

    internal override long PackedStatesLength(int rows, int dimension) => _kernels.PackedStatesLength(rows, dimension);

    internal override void PackStates(float* states, int rows, int dimension, float* packed) =>
        _kernels.PackStates(states, rows, dimension, packed);

    internal override int StripScratch(int rows, int dimension) => _kernels.StripScratch(rows, dimension);

    internal override void ProjectStrip(in WidePass pass, int strip, float* scratch) => _kernels.ProjectStrip(pass, strip, scratch);

    internal override int PackParts(int dimension) => _kernels.PackParts(dimension);

    internal override long PackedLength(int count, int dimension) => _kernels.PackedLength(count, dimension);

    internal override void Pack(in OuterProductPass pass, int part) => _kernels.Pack(pass, part);

    internal override int Tiles(int dimension) => _kernels.Tiles(dimension);

    internal override void AddTile(in OuterProductPass pass, int tile, Span<double> scratch) => _kernels.AddTile(pass, tile, scratch);

    private protected override void RunProjection(in ProjectionPass pass)
    {
        lock (_gate)
        {
            if (_projectionScratch.Length == 0)
                _projectionScratch = [.. Enumerable.Range(0, Threads).Select(_ => new float[ProjectionScratch])];
            _projection = pass;
            _partSize = PartRows(pass.Dimension);
            _threads.Run(_project, Parts(pass.Rows));
        }
    }

    private protected override void RunPass(in OuterProductPass pass)
    {
        lock (_gate)
        {
            if (_tileScratch.Length == 0)
                _tileScratch = [.. Enumerable.Range(0, Threads).Select(_ => new double[TileScratch])];
            _pass = pass;
            _packParts = PackParts(pass.Dimension);
            _packed = 0;
            _threads.Run(_runPass, _packParts + Tiles(pass.Dimension));
        }
    }

    /// <summary>Rows in a part.</summary>
    private static int PartRows(int dimension) => Math.Max(1, PartLength / dimension);

    private int Parts(int length) => (int)(((long)length + _partSize - 1) / _partSize);

    private void Run(
        Action<int, int> part, float* states, int rows, int dimension, int columns, double* result, int length, int partSize)
    {
        _states = states;
        _rows = rows;
        _dimension = dimension;
        _columns = columns;
        _result = result;
        _partSize = partSize;
        _threads.Run(part, Parts(length));
    }

    private void ProjectPart(int part, int worker)
    {
        int first = part * _partSize;
        _kernels.ProjectRows(_projection, first, Math.Min(_partSize, _projection.Rows - first), _projectionScratch[worker]);
    }

    private void RowNormsPart(int part, int worker)
    {
        int first = part * _partSize, rows = Math.Min(_partSize, _rows - first);
        ReadOnlySpan<float> states = new(_states + (nint)first * _dimension, rows * _dimension);
        _kernels.RowNormsCore(states, _dimension, new Span<double>(_result + first, rows));
    }

    private void AddRowsPart(int part, int worker)
    {
        int first = part * _partSize, columns = Math.Min(_partSize, _columns - first);
        ReadOnlySpan<float> states = new(_states + first, Math.Max(0, (_rows - 1) * _dimension + columns));
        _kernels.AddRowsCore(states, _rows, _dimension, new Span<double>(_result + first, columns));
    }

    /// <summary>
    /// Parts of the packing come first, then tiles, in one job: nobody goes to sleep in between. Parts are taken in order, so whoever gets
    /// a tile waits at most for parts that others are at work on.
    /// </summary>
    private void PassPart(int part, int worker)
    {
        if (part < _packParts)
        {
            _kernels.Pack(_pass, part);
            Interlocked.Increment(ref _packed);
            return;
        }

        SpinWait wait = default;
        while (_packed < _packParts)
            wait.SpinOnce(sleep1Threshold: -1);

        _kernels.AddTile(_pass, part - _packParts, _tileScratch[worker]);
    }
}
