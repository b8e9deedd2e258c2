using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using LLama.Native;

namespace EmScan.Bench.Scan;

/// <summary>Converts a model by llama.cpp's own llama_model_quantize, so that what is called Q4_K_M is that.</summary>
internal static class Quantizer
{
    /// <summary>Makes another type of a Q8_0, and checks that it is one.</summary>
    /// <returns>How many tensors there are of each type.</returns>
    /// <exception cref="LlamaException">llama.cpp fails.</exception>
    internal static string Convert(string source, string target, ModelFileType type)
    {
        _ = LlamaLibrary.Load();
        LLamaModelQuantizeParams parameters = LLamaModelQuantizeParams.Default();
        parameters.nthread = Environment.ProcessorCount;
        parameters.ftype = (LLamaFtype)type.FileType;
        parameters.allow_requantize = true;
        if (NativeApi.llama_model_quantize(source, target, ref parameters) is not 0 and var code)
            throw new LlamaException($"{source}: llama.cpp cannot convert this (code {code}).");

        Dictionary<string, int> counts = GgufFile.Open(target).Tensors.Values.CountBy(t => t.Type.Name).ToDictionary();
        string found = string.Join(", ", counts.OrderByDescending(t => t.Value).Select(t => $"{t.Value} {t.Key}"));
        return counts.Keys.Order(StringComparer.Ordinal).SequenceEqual(type.TensorTypes)
            ? found
            : throw new LlamaException($"{target}: llama.cpp calls this {type.Name}, but its tensors are {found}.");
    }
}
