using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>The base model's rows of one piece.</summary>
internal sealed class BaseRows(int[] layers, int width) : IHiddenStateSink
{
    private float[] _rows = [];
    private long[] _start = []; // of each paired prompt
    private int[] _slots = [];
    private int[] _pairedIndex = [];

    internal void Begin(List<CapturePrompt> prompts, int[] pairedIndex)
    {
        _pairedIndex = pairedIndex;
        _start = new long[prompts.Count];
        _slots = [.. prompts.Select(p => p.Positions.Length)];
        long length = 0;
        for (int i = 0; i < prompts.Count; i++)
        {
            _start[i] = length;
            length += (long)_slots[i] * layers.Length * width;
        }

        if (_rows.Length < length) _rows = new float[length];
    }

    public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) =>
        states.CopyTo(_rows.AsSpan(Offset(promptIndex, layer, firstPosition), states.Length));

    internal ReadOnlySpan<float> Rows(int promptIndex, int layer, int firstPosition, int length) =>
        _pairedIndex[promptIndex] < 0 || Array.BinarySearch(layers, layer) < 0 ? default : _rows.AsSpan(Offset(_pairedIndex[promptIndex], layer, firstPosition), length);

    private int Offset(int paired, int layer, int slot) =>
        (int)(_start[paired] + (((long)Array.BinarySearch(layers, layer) * _slots[paired]) + slot) * width);
}
