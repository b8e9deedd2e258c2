namespace EmScan.Bench.Scan;

/// <summary>Shape of a random llama.</summary>
internal sealed record ModelShape(int Layers, int Hidden, int Ffn, int Heads, int KvHeads, int Vocabulary)
{
    /// <summary>Width of all keys, and of all values.</summary>
    internal int KvWidth => Hidden / Heads * KvHeads;

    /// <summary>Weights, without the norms.</summary>
    internal long Parameters =>
        (Layers * ((2L * Hidden * Hidden) + (2L * Hidden * KvWidth) + (3L * Hidden * Ffn))) + (2L * Hidden * Vocabulary);
}
