using System.Buffers.Text;
using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>
/// Watches the graph of one context as it is computed and hands the wanted rows of the residual stream to a sink. llama.cpp names the
/// residual stream after block N <c>l_out-N</c>, F32, (tokens, D). After the last wanted block the graph is stopped: nothing above it,
/// nor the vocabulary head, is computed.
/// </summary>
internal sealed unsafe class ResidualTap
{
    private readonly LlamaImports _imports;
    private readonly int _hiddenSize;
    private readonly bool[] _wanted;
    private readonly bool[] _seen;
    private float[] _staging = [];

    private Watch _watch;
    private IHiddenStateSink? _sink;
    private CaptureBatch? _batch;
    private int _lastLayer;
    private bool _stopped;
    private ExceptionDispatchInfo? _failure;

    internal ResidualTap(LlamaImports imports, int layerCount, int hiddenSize)
    {
        _imports = imports;
        _hiddenSize = hiddenSize;
        _wanted = new bool[layerCount];
        _seen = new bool[layerCount];
    }

    /// <summary>Time spent on handing out rows, the sink's own included, in ticks of <see cref="Stopwatch"/>.</summary>
    internal long Ticks { get; set; }

    internal static nint Callback => (nint)(delegate* unmanaged<GgmlTensor*, byte, nint, byte>)&OnNode;

    /// <summary>Sets what the next decode has to deliver. The batch must fit into one graph (n_ubatch).</summary>
    /// <param name="layers">Wanted layers.</param>
    /// <param name="batch">Who gets which rows.</param>
    /// <param name="sink">Takes them.</param>
    /// <param name="stop">Whether the graph stops behind the last of them.</param>
    internal void Arm(IReadOnlyList<int> layers, CaptureBatch batch, IHiddenStateSink sink, bool stop)
    {
        Array.Clear(_wanted);
        Array.Clear(_seen);
        foreach (int layer in layers) _wanted[layer] = true;
        _batch = batch;
        _sink = sink;
        Start(Watch.Rows, stop ? layers[^1] : int.MaxValue);
    }

    /// <summary>
    /// Has the next decode stop as soon as the keys and values of a block are in the cache, which is all that later tokens need of it.
    /// </summary>
    internal void ArmCacheOnly(int lastLayer) => Start(Watch.Cache, lastLayer);

    /// <summary>Lets the graph run untouched from here on.</summary>
    internal void Disarm()
    {
        _watch = Watch.Nothing;
        _sink = null;
        _batch = null;
    }

    private void Start(Watch watch, int lastLayer)
    {
        _watch = watch;
        _lastLayer = lastLayer;
        _stopped = false;
        _failure = null;
    }

    /// <summary>Throws what went wrong inside the callback, or says that a wanted layer never came by.</summary>
    internal void ThrowIfIncomplete()
    {
        _failure?.Throw();
        if (_watch != Watch.Rows) return;
        for (int layer = 0; layer < _wanted.Length; layer++)
        {
            if (_wanted[layer] && !_seen[layer])
                throw new LlamaException($"llama.cpp's graph for this architecture has no node l_out-{layer}; its residual stream cannot be read.");
        }
    }

    [UnmanagedCallersOnly]
    private static byte OnNode(GgmlTensor* tensor, byte ask, nint userData)
    {
        var tap = (ResidualTap)GCHandle.FromIntPtr(userData).Target!;
        return tap.Node(tensor, ask != 0) ? (byte)1 : (byte)0;
    }

    private bool Node(GgmlTensor* tensor, bool ask)
    {
        if (_watch == Watch.Nothing) return !ask;
        var name = new ReadOnlySpan<byte>(tensor->Name, 64);

        // Where the graph is split over devices, stopping ends the current part only; every further node is then asked for and refused.
        if (_stopped) return ask;

        if (_watch == Watch.Cache)
        {
            // What attention gives comes behind its reads of the cache; where it goes by another name, the block ends all the same.
            if (LayerOf(name, "kqv_out-"u8) != _lastLayer && LayerOf(name, "l_out-"u8) != _lastLayer) return !ask;
            _stopped = !ask;
            return ask;
        }

        int layer = LayerOf(name, "l_out-"u8);
        if (layer < 0 || layer >= _wanted.Length || !_wanted[layer]) return !ask;
        if (ask) return true;

        long start = Stopwatch.GetTimestamp();
        try
        {
            Deliver(tensor, layer);
            Ticks += Stopwatch.GetTimestamp() - start;
        }
        catch (Exception e)
        {
            // An exception must not cross native frames: it is kept for ThrowIfIncomplete.
            _failure ??= ExceptionDispatchInfo.Capture(e);
            _stopped = true;
            return false;
        }

        if (layer != _lastLayer) return true;
        _stopped = true;
        return false;
    }

    private static int LayerOf(ReadOnlySpan<byte> name, ReadOnlySpan<byte> prefix) =>
        name.StartsWith(prefix) && Utf8Parser.TryParse(name[prefix.Length..], out int layer, out int used) && name[prefix.Length + used] == 0
            ? layer
            : -1;

    private void Deliver(GgmlTensor* tensor, int layer)
    {
        CaptureBatch batch = _batch!;
        long rows = tensor->ElementCounts[1];

        // In the last block only rows with an output flag survive, in batch order; everywhere else every token has its row.
        bool pruned = rows != batch.Tokens.Length;
        if (tensor->Type != GgmlTensor.F32 || tensor->ElementCounts[0] != _hiddenSize || tensor->ByteStrides[0] != 4
            || tensor->ByteStrides[1] != (ulong)_hiddenSize * 4 || (pruned && rows != batch.Columns.Length) || _seen[layer])
        {
            throw new LlamaException(
                $"llama.cpp's node l_out-{layer} is not the residual stream of {batch.Tokens.Length} tokens in F32 (type {tensor->Type}, {tensor->ElementCounts[0]} x {rows}); this architecture cannot be read.");
        }

        _seen[layer] = true;
        if (batch.Columns.Length == 0) return;
        if (tensor->Buffer != 0 && _imports.BufferIsHost(tensor->Buffer) != 0)
        {
            batch.Deliver(_sink!, layer, (float*)tensor->Data, _hiddenSize, pruned);
            return;
        }

        Stage(tensor, batch.Columns, pruned);
        fixed (float* staged = _staging) batch.Deliver(_sink!, layer, staged, _hiddenSize, compact: true);
    }

    // Copies the wanted rows from the device, (wanted, D): each once, however many prompts share it, and neighbours in one piece.
    private void Stage(GgmlTensor* tensor, int[] columns, bool pruned)
    {
        int length = checked(columns.Length * _hiddenSize);
        if (_staging.Length < length) _staging = new float[length];
        fixed (float* target = _staging)
        {
            for (int i = 0; i < columns.Length;)
            {
                int end = i + 1;
                while (end < columns.Length && (pruned || columns[end] == columns[end - 1] + 1)) end++;
                nuint rowBytes = (nuint)_hiddenSize * sizeof(float);
                _imports.TensorGet(tensor, target + ((long)i * _hiddenSize), (nuint)(pruned ? i : columns[i]) * rowBytes, (nuint)(end - i) * rowBytes);
                i = end;
            }
        }
    }

    private enum Watch
    {
        Nothing,
        Rows,
        Cache,
    }
}
