using System.Globalization;

namespace EmScan.Engine.Formats;

/// <summary>Names of weights in GGUF models: "blk.3.attn_q.weight" is the attn_q of block 3.</summary>
internal static class WeightName
{
    /// <summary>The token embeddings, which are also the head where a model has none of its own.</summary>
    internal const string TokenEmbedding = "token_embd.weight";

    /// <summary>The head.</summary>
    internal const string Output = "output.weight";

    /// <summary>The block of a weight, from 0; null for weights in no block, such as embeddings and head.</summary>
    internal static int? BlockOf(string name) => InBlock(name)?.Block;

    /// <summary>The block of a weight and what it is there, without ".weight"; null for weights in no block.</summary>
    internal static (int Block, string Kind)? InBlock(string name)
    {
        const string End = ".weight";
        return name.Split('.', 3) is ["blk", var number, var kind] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int block)
            ? (block, kind.EndsWith(End, StringComparison.Ordinal) ? kind[..^End.Length] : kind)
            : null;
    }
}
