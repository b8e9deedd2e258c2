using System.Runtime.InteropServices;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>Native arrays of one llama_batch, grown as needed and reused: a batch costs no allocation once it has reached its size.</summary>
internal sealed unsafe class LlamaBatchBuilder : IDisposable
{
    private readonly int _sequences;
    private readonly int* _sequenceIds; // 0, 1, 2, ...: a token's sequences are consecutive, so it points into these.
    private LlamaBatch _batch;
    private int _capacity;

    /// <summary>Makes a builder for sequences 0 to <paramref name="sequences"/> - 1.</summary>
    internal LlamaBatchBuilder(int sequences)
    {
        _sequences = sequences;
        _sequenceIds = (int*)NativeMemory.Alloc((nuint)sequences, sizeof(int));
        for (int s = 0; s < sequences; s++) _sequenceIds[s] = s;
    }

    internal int Count => _batch.TokenCount;

    internal LlamaBatch Native => _batch;

    internal void Clear(int capacity)
    {
        _batch.TokenCount = 0;
        if (capacity <= _capacity) return;
        Release();
        nuint n = (nuint)capacity;
        _batch.Token = (int*)NativeMemory.Alloc(n, sizeof(int));
        _batch.Position = (int*)NativeMemory.Alloc(n, sizeof(int));
        _batch.SequenceIdCount = (int*)NativeMemory.Alloc(n, sizeof(int));
        _batch.SequenceId = (int**)NativeMemory.Alloc(n, (nuint)sizeof(int*));
        _batch.Logits = (sbyte*)NativeMemory.Alloc(n, 1);
        _capacity = capacity;
    }

    /// <summary>Adds a token that belongs to <paramref name="sequenceCount"/> sequences from <paramref name="firstSequence"/> on.</summary>
    internal void Add(int token, int position, int firstSequence, int sequenceCount, bool output)
    {
        int i = _batch.TokenCount;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(i, _capacity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstSequence + sequenceCount, _sequences);
        _batch.Token[i] = token;
        _batch.Position[i] = position;
        _batch.SequenceId[i] = _sequenceIds + firstSequence;
        _batch.SequenceIdCount[i] = sequenceCount;
        _batch.Logits[i] = output ? (sbyte)1 : (sbyte)0;
        _batch.TokenCount = i + 1;
    }

    public void Dispose()
    {
        Release();
        NativeMemory.Free(_sequenceIds);
    }

    private void Release()
    {
        NativeMemory.Free(_batch.Token);
        NativeMemory.Free(_batch.Position);
        NativeMemory.Free(_batch.SequenceIdCount);
        NativeMemory.Free(_batch.SequenceId);
        NativeMemory.Free(_batch.Logits);
        _batch = default;
        _capacity = 0;
    }
}
