namespace EmScan.Engine.Formats;

/// <summary>The low-rank change of one weight of the base model: delta W = (alpha / R) B A, added to W (out, in).</summary>
/// <remarks>
/// Rows of B are in the order of the GGUF model's weight, not of the framework the adapter was trained in. For token_embd.weight the
/// "input" is the token id as a one-hot vector: A is (R, vocabulary), B is (D, R). Immutable as long as nobody writes to the arrays.
/// </remarks>
internal sealed class LoraTensor
{
    /// <summary>Creates the change of one weight.</summary>
    /// <param name="name">The weight's name in the GGUF model, "blk.3.attn_q.weight".</param>
    /// <param name="rank">R, at least 1.</param>
    /// <param name="a">A, (R, in) row-major.</param>
    /// <param name="b">B, (out, R) row-major.</param>
    /// <param name="source">The name in the file it was read from, for messages.</param>
    /// <exception cref="ArgumentException">The arrays are empty or no multiple of the rank.</exception>
    public LoraTensor(string name, int rank, float[] a, float[] b, string source)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1);
        if (a.Length == 0 || b.Length == 0 || a.Length % rank != 0 || b.Length % rank != 0)
            throw new ArgumentException($"{a.Length} values of A and {b.Length} of B do not form matrices of rank {rank}.");
        Name = name;
        Rank = rank;
        A = a;
        B = b;
        Source = source;
    }

    /// <summary>The weight's name in the GGUF model.</summary>
    public string Name { get; }

    /// <summary>R, the rows of A and the columns of B.</summary>
    public int Rank { get; }

    /// <summary>A, (R, in) row-major.</summary>
    public float[] A { get; }

    /// <summary>B, (out, R) row-major.</summary>
    public float[] B { get; }

    /// <summary>Where it came from: the tensor's name in the adapter's file.</summary>
    public string Source { get; }

    /// <summary>Columns of A.</summary>
    public int InputSize => A.Length / Rank;

    /// <summary>Rows of B.</summary>
    public int OutputSize => B.Length / Rank;

    /// <summary>Whether this changes the embedding table, which llama.cpp stores and applies transposed.</summary>
    public bool IsTokenEmbedding => Name == WeightName.TokenEmbedding;
}
