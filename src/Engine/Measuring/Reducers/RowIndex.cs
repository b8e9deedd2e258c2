namespace EmScan.Engine.Measuring;

/// <summary>Numbers the rows of a prompt set: those of the first prompt first.</summary>
internal sealed class RowIndex
{
    private readonly int[] _first;

    internal RowIndex(PromptSet prompts)
    {
        _first = new int[prompts.Prompts.Count];
        int rows = 0;
        for (int p = 0; p < _first.Length; p++)
        {
            _first[p] = rows;
            rows = checked(rows + (prompts.Pooling == RowPooling.MeanOfPrompt ? 1 : prompts.Prompts[p].Positions.Length));
        }

        Rows = rows;
    }

    internal int Rows { get; }

    internal int Of(int prompt, int slot) => _first[prompt] + slot;
}
