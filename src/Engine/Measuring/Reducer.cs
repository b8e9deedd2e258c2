namespace EmScan.Engine.Measuring;

/// <summary>
/// Turns the rows of a cell into a small result as they stream by. A reducer is a description; an <see cref="Accumulator"/> does the work.
/// </summary>
/// <remarks>Immutable and thread safe.</remarks>
internal abstract class Reducer
{
    /// <summary>
    /// Names the reduction and all of its parameters: two reducers with the same identity give the same numbers for the same rows. Change
    /// it whenever the meaning of the result changes.
    /// </summary>
    public abstract string Identity { get; }

    /// <summary>Whether each row must come with the base model's row for the same token.</summary>
    public virtual bool NeedsBase => false;

    /// <summary>Whether rows are logits (after the model's own head), (n, V), instead of hidden states of a layer.</summary>
    public virtual bool ReadsLogits => false;

    /// <summary>Whether the result is what the model answers to the prompts (<see cref="GreedyAnswerReducer"/>), and there are no rows.</summary>
    internal virtual bool Generates => false;

    /// <summary>Bytes that an accumulator holds, about; cells that would need too much at once are measured in several passes.</summary>
    /// <param name="prompts">The rows.</param>
    /// <param name="width">D.</param>
    public virtual long StateBytes(PromptSet prompts, int width) => 0;

    /// <summary>Bytes more that <see cref="Accumulator.Finish"/> takes; as many accumulators are finished side by side as there is room for.</summary>
    /// <param name="prompts">The rows.</param>
    /// <param name="width">D.</param>
    public virtual long FinishBytes(PromptSet prompts, int width) => 0;

    /// <summary>Starts with no rows.</summary>
    /// <param name="prompts">Where the rows come from.</param>
    /// <param name="width">D.</param>
    public abstract Accumulator Start(PromptSet prompts, int width);
}

/// <summary>Rows on their way through a <see cref="Reducer"/>.</summary>
/// <remarks>Not thread safe; accumulators of disjoint parts of a prompt set can be merged.</remarks>
internal abstract class Accumulator
{
    /// <summary>Takes some rows. Each row of the prompt set comes exactly once; those of one prompt in ascending order.</summary>
    public abstract void Add(in RowBlock rows);

    /// <summary>Adds what another accumulator of the same reducer and prompt set has seen, as if this one had seen it.</summary>
    /// <exception cref="ArgumentException">It is of another kind.</exception>
    public abstract void Merge(Accumulator other);

    /// <summary>The result of the rows seen so far. Called once.</summary>
    /// <exception cref="EmScanException">The rows cannot be reduced; the sentence says why.</exception>
    public abstract CellResult Finish();

    /// <summary>The other one, in this one's type.</summary>
    private protected static T Same<T>(Accumulator other) where T : Accumulator =>
        other as T ?? throw new ArgumentException("Only accumulators of the same reducer can be merged.", nameof(other));
}

/// <summary>Consecutive rows of one prompt.</summary>
internal readonly ref struct RowBlock
{
    /// <summary>Makes a block.</summary>
    internal RowBlock(int prompt, int slot, int count, ReadOnlySpan<float> states, ReadOnlySpan<float> baseStates, ReadOnlySpan<float> difference)
    {
        Prompt = prompt;
        Slot = slot;
        Count = count;
        States = states;
        Base = baseStates;
        Difference = difference;
    }

    /// <summary>Index of the prompt in its set.</summary>
    public int Prompt { get; }

    /// <summary>Index into the prompt's positions of the first row; 0 where positions are pooled.</summary>
    public int Slot { get; }

    /// <summary>Rows, n.</summary>
    public int Count { get; }

    /// <summary>Rows of the variant, (n, D) float32; logits (n, V) for a reducer that reads those.</summary>
    public ReadOnlySpan<float> States { get; }

    /// <summary>The base model's rows for the same tokens, (n, D); empty unless the reducer needs them.</summary>
    public ReadOnlySpan<float> Base { get; }

    /// <summary>States - Base, (n, D); empty unless the reducer needs the base.</summary>
    public ReadOnlySpan<float> Difference { get; }
}
