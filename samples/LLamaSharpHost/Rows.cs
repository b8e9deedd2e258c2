using EmScan.Engine.Runtime;

namespace EmScan.Samples.LLamaSharpHost;

/// <summary>Hidden states of the last token of 32 prompts at 6 layers: 192 rows.</summary>
internal sealed class Rows : IHiddenStateSink
{
    private readonly Dictionary<(int Prompt, int Layer), float[]> _rows = [];

    internal static Dictionary<(int Prompt, int Layer), float[]> Of(GgufModel model)
    {
        ChatPromptEncoder encoder = ChatPromptEncoder.Create(model);
        CapturePrompt[] prompts = [.. Enumerable.Range(0, 32).Select(i => CapturePrompt.Last(encoder.Encode(null, $"what is {i} and {i * i}")))];
        int[] layers = [.. Enumerable.Range(0, 6).Select(i => i * (model.LayerCount - 1) / 5).Distinct()];
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1 });
        var rows = new Rows();
        source.Capture(prompts, layers, rows);
        return rows._rows;
    }

    public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) => _rows[(promptIndex, layer)] = states.ToArray();
}
