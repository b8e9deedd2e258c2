using System.Diagnostics;
using EmScan.Bench.Scan;
using EmScan.Engine.Runtime;

unsafe
{
    var shape = new ModelShape(8, 1024, 2816, 16, 8, 32000);
    string path = "/tmp/rm.gguf";
    RandomModel.Write(path, shape, 1);
    using GgufModel model = GgufModel.Load(path, new ModelOptions { GpuLayers = 0 });
    Console.WriteLine(model.Description);
    var options = new CaptureOptions { Threads = 1, BatchTokens = 480, SharePrefixes = false };
    var random = new Random(1);
    int[][] prompts = [.. Enumerable.Range(0, 12).Select(_ => Enumerable.Range(0, 40).Select(_ => random.Next(1, 32000)).ToArray())];
    using var raw = new RawPrefill(model, options, 40);
    using var inputs = new RawPrefill(model, options, 40);
    using var source = new LlamaActivationSource(model, options);
    Console.WriteLine($"can {inputs.CanCopyLayerInputs}");
    for (int l = 0; l < shape.Layers; l++) inputs.CopyLayerInput(l);
    var rows = new Keep();
    source.Capture([.. prompts.Select(p => CapturePrompt.From(p, 0))], [.. Enumerable.Range(0, shape.Layers - 1)], rows);
    inputs.Run(prompts, true);
    for (int l = 1; l < shape.Layers; l++)
    {
        float* x = inputs.LayerInput(l);
        Console.WriteLine($"{l}: {(nint)x:x}");
        if (x == null) continue;
        double diff = 0, norm = 0;
        for (int p = 0; p < prompts.Length; p++)
        {
            float[] h = rows.Rows[(p, l - 1)];
            for (int i = 0; i < h.Length; i++) { diff = Math.Max(diff, Math.Abs(h[i] - x[(p * 40 * 1024) + i])); norm = Math.Max(norm, Math.Abs(h[i])); }
        }
        Console.WriteLine($"   {diff} of {norm}");
    }
    var plan = source.Plan([.. prompts.Select(CapturePrompt.Last)], [.. Enumerable.Range(0, shape.Layers)]);
    var nothing = new Nothing();
    var t = new List<double>[3].Select(_ => new List<double>()).ToArray();
    for (int round = 0; round < 9; round++)
    {
        void Time(int i, Action a) { var s = Process.GetCurrentProcess().TotalProcessorTime; a(); t[i].Add((Process.GetCurrentProcess().TotalProcessorTime - s).TotalMilliseconds); }
        Time(0, () => raw.Run(prompts, true));
        Time(1, () => source.Capture(plan, nothing));
        Time(2, () => inputs.Run(prompts, true));
    }
    foreach (var x in t) Console.WriteLine($"{x.Order().ElementAt(4):0.0} min {x.Min():0.0} {string.Join(' ', x.Select(v => v.ToString("0")))}");
}

internal sealed class Keep : IHiddenStateSink
{
    public Dictionary<(int, int), float[]> Rows = [];
    public void Accept(int p, int layer, int f, ReadOnlySpan<float> s) => Rows.Add((p, layer), s.ToArray());
}
internal sealed class Nothing : IHiddenStateSink
{
    public void Accept(int p, int layer, int f, ReadOnlySpan<float> s) { }
}
