namespace EmScan.Engine.Adapters;

/// <summary>Where in a language model a module sits, as far as it decides which layers can see its change.</summary>
internal enum ModulePlace
{
    /// <summary>In a transformer block: seen by the residual stream after that block and after every later one.</summary>
    Block,

    /// <summary>The input embeddings: seen by every layer.</summary>
    Embedding,

    /// <summary>The output head: behind the last block, seen by no layer.</summary>
    Head,

    /// <summary>Somewhere that the names do not tell: a vision tower, a projector. Counted as seen by no layer.</summary>
    Elsewhere,
}

/// <summary>One pair of low-rank matrices in an adapter's file: delta W = scale B A.</summary>
/// <param name="Name">The module below its containers ("layers.3.self_attn.q_proj"), or the weight in a GGUF file ("blk.3.attn_q.weight").</param>
/// <param name="Place">Where it sits.</param>
/// <param name="Block">The block, counted from 0; null outside the blocks.</param>
/// <param name="Kind">The module's name in its block ("self_attn.q_proj", "attn_q"), or its whole name outside the blocks.</param>
/// <param name="Rank">R.</param>
/// <param name="Inputs">Columns of A.</param>
/// <param name="Outputs">Rows of B.</param>
/// <param name="Values">What the numbers say; null where only the headers were read.</param>
internal sealed record AdaptedModule(
    string Name, ModulePlace Place, int? Block, string Kind, int Rank, long Inputs, long Outputs, ModuleValues? Values);

/// <summary>What the numbers of a pair of low-rank matrices say.</summary>
/// <param name="SquaredNorm">||scale B A||_F^2, in float64; NaN where the file holds NaN or infinities.</param>
/// <param name="ZeroRowsOfB">Rows of B (outputs) that are exactly zero.</param>
/// <param name="ZeroRowsOfA">Rows of A (components of the rank) that are exactly zero.</param>
/// <param name="ZeroColumnsOfA">Columns of A (inputs) that are exactly zero.</param>
internal sealed record ModuleValues(double SquaredNorm, long ZeroRowsOfB, int ZeroRowsOfA, long ZeroColumnsOfA);
