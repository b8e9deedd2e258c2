using System.Runtime.InteropServices;
using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <summary>Native arrays of one llama_batch, grown as needed and reused: a batch costs no allocation once it has reached its size.</summary>
internal sealed unsafe class LlamaBatchBuilder : IDisposable
{
    private readonly int _sequenceLimit;
    private readonly int* _sequenceIds; // 0, 1, 2, ...: a token's sequences are consecutive, so it points into these.
    private int* _tokens;
    private int* _positions;
    private int* _sequenceCounts;
    private int** _sequences;
    private byte* _outputs;
    private int _capacity;

    /// <summary>Makes a builder for sequences 0 to <paramref name="sequences"/> - 1.</summary>
    internal LlamaBatchBuilder(int sequences)
    {
        _sequenceLimit = sequences;
        _sequenceIds = (int*)NativeMemory.Alloc((nuint)sequences, sizeof(int));
        for (int s = 0; s < sequences; s++) _sequenceIds[s] = s;
    }

    internal int Count { get; private set; }

    /// <summary>The batch as llama_decode takes it; valid until the next change.</summary>
    internal LLamaNativeBatch Native => new()
    {
        n_tokens = Count,
        tokens = (LLamaToken*)_tokens,
        pos = (LLamaPos*)_positions,
        n_seq_id = _sequenceCounts,
        seq_id = (LLamaSeqId**)_sequences,
        logits = _outputs,
    };

    /// <summary>A copy as LLamaSharp's Decode takes it.</summary>
    internal LLamaBatch ToManaged()
    {
        var batch = new LLamaBatch();
        for (int i = 0; i < Count; i++)
            batch.Add(_tokens[i], _positions[i], new ReadOnlySpan<LLamaSeqId>(_sequences[i], _sequenceCounts[i]), _outputs[i] != 0);
        return batch;
    }

    internal void Clear(int capacity)
    {
        Count = 0;
        if (capacity <= _capacity) return;
        Release();
        nuint n = (nuint)capacity;
        _tokens = (int*)NativeMemory.Alloc(n, sizeof(int));
        _positions = (int*)NativeMemory.Alloc(n, sizeof(int));
        _sequenceCounts = (int*)NativeMemory.Alloc(n, sizeof(int));
        _sequences = (int**)NativeMemory.Alloc(n, (nuint)sizeof(int*));
        _outputs = (byte*)NativeMemory.Alloc(n, 1);
        _capacity = capacity;
    }

    /// <summary>Adds a token that belongs to <paramref name="sequenceCount"/> sequences from <paramref name="firstSequence"/> on.</summary>
    internal void Add(int token, int position, int firstSequence, int sequenceCount, bool output)
    {
        int i = Count;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(i, _capacity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstSequence + sequenceCount, _sequenceLimit);
        _tokens[i] = token;
        _positions[i] = position;
        _sequences[i] = _sequenceIds + firstSequence;
        _sequenceCounts[i] = sequenceCount;
        _outputs[i] = output ? (byte)1 : (byte)0;
        Count = i + 1;
    }

    public void Dispose()
    {
        Release();
        NativeMemory.Free(_sequenceIds);
    }

    private void Release()
    {
        NativeMemory.Free(_tokens);
        NativeMemory.Free(_positions);
        NativeMemory.Free(_sequenceCounts);
        NativeMemory.Free(_sequences);
        NativeMemory.Free(_outputs);
        _tokens = _positions = _sequenceCounts = null;
        _sequences = null;
        _outputs = null;
        _capacity = Count = 0;
    }
}
