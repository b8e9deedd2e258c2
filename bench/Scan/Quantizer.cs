using System.Runtime.InteropServices;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Bench.Scan;

/// <summary>Converts a model by llama.cpp's own llama_model_quantize, so that what is called Q4_K_M is that.</summary>
internal static unsafe class Quantizer
{
    private const int FileTypeQ8 = 7, TypeCount = 43;

    /// <summary>Makes another type of a Q8_0, and checks that it is one.</summary>
    /// <returns>How many tensors there are of each type.</returns>
    /// <exception cref="LlamaException">llama.cpp has other parameters than expected, or fails.</exception>
    internal static string Convert(string source, string target, ModelFileType type)
    {
        var library = LlamaLibrary.Load();
        var defaults = (delegate* unmanaged<PaddedParams>)library.Api.Export("llama_model_quantize_default_params");
        var quantize = (delegate* unmanaged<byte*, byte*, PaddedParams*, uint>)library.Api.Export("llama_model_quantize");

        // Passed by pointer: what a version adds at the end keeps its default, whatever it is.
        PaddedParams room = defaults();
        ref QuantizeParams parameters = ref MemoryMarshal.AsRef<QuantizeParams>(new Span<byte>(room.Bytes, sizeof(QuantizeParams)));
        var expected = new QuantizeParams { FileType = FileTypeQ8, OutputType = TypeCount, EmbeddingType = TypeCount, QuantizeOutput = 1 };
        if (!parameters.Equals(expected))
        {
            throw new LlamaException(
                $"{library.Directory}: this llama.cpp lays out llama_model_quantize_params differently; only --type q8_0 can be had.");
        }

        parameters.Threads = Environment.ProcessorCount;
        parameters.FileType = type.FileType;
        parameters.AllowRequantize = 1;
        fixed (byte* from = LlamaLibrary.NullTerminated(source), to = LlamaLibrary.NullTerminated(target))
        {
            if (quantize(from, to, &room) is not 0 and var code)
                throw new LlamaException($"{source}: llama.cpp cannot convert this (code {code}).");
        }

        Dictionary<string, int> counts = GgufFile.Open(target).Tensors.Values.CountBy(t => t.Type.Name).ToDictionary();
        string found = string.Join(", ", counts.OrderByDescending(t => t.Value).Select(t => $"{t.Value} {t.Key}"));
        return counts.Keys.Order(StringComparer.Ordinal).SequenceEqual(type.TensorTypes)
            ? found
            : throw new LlamaException($"{target}: llama.cpp calls this {type.Name}, but its tensors are {found}.");
    }

    /// <summary>The head of llama_model_quantize_params, as llama_model_quantize_default_params of 0.5.0 fills it.</summary>
    private record struct QuantizeParams
    {
        internal int Threads;
        internal int FileType;
        internal int OutputType;
        internal int EmbeddingType;
        internal byte AllowRequantize;
        internal byte QuantizeOutput;
        internal byte OnlyCopy;
        internal byte Pure;
        internal byte KeepSplit;
        internal byte DryRun;
        internal nint ImportanceMatrix;
        internal nint KeyOverrides;
        internal nint TensorOverrides;
        internal nint PruneLayers;
    }
}
