namespace EmScan.Bench.Scan;

/// <summary>A kind of model file that llama.cpp makes.</summary>
/// <param name="Name">What people call it.</param>
/// <param name="FileType">llama.cpp's number for it, LLAMA_FTYPE_*.</param>
/// <param name="TensorTypes">Types of its tensors, in the order of their names.</param>
/// <param name="BytesPerWeight">About.</param>
internal sealed record ModelFileType(string Name, int FileType, string[] TensorTypes, double BytesPerWeight)
{
    internal static ModelFileType Q4KM { get; } = new("Q4_K_M", 15, ["F32", "Q4_K", "Q6_K"], 0.6);

    internal static ModelFileType BF16 { get; } = new("BF16", 32, ["BF16", "F32"], 2);
}
