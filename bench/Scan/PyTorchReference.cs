using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Bench.Scan;

/// <summary>
/// reference.py beside this program, started once: it imports torch, and then measures a checkpoint whenever it is told, so that its rounds
/// take turns with the others.
/// </summary>
internal sealed class PyTorchReference : IDisposable
{
    private readonly Process _process;
    private readonly Workload _workload;

    private PyTorchReference(Process process, Workload workload)
    {
        var wall = new Clock(cpuTime: false);
        double start = wall.Now;
        _process = process;
        _workload = workload;
        Version = Answer<Greeting>().Torch;
        StartTime = wall.Now - start;
    }

    /// <summary>Milliseconds from the start of Python to the end of its imports.</summary>
    internal double StartTime { get; }

    /// <summary>What torch says of its version.</summary>
    internal string Version { get; }

    /// <summary>Starts Python with as many threads as emscan has.</summary>
    /// <exception cref="EmScanException">It cannot be started, or ends at once.</exception>
    internal static PyTorchReference Start(string python, Workload workload)
    {
        string prompts = Path.Combine(workload.Folder, "prompts.json");
        string threads = workload.Options.Threads.ToString(CultureInfo.InvariantCulture);
        File.WriteAllText(prompts, JsonSerializer.Serialize(workload.Tokens));
        string script = Path.Combine(AppContext.BaseDirectory, "reference.py");
        var start = new ProcessStartInfo(python, [script, workload.Model.FilePath, prompts, workload.Folder, threads])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.Environment["OMP_NUM_THREADS"] = start.Environment["OPENBLAS_NUM_THREADS"] = threads;

        // OpenBLAS takes some virtual machines for an older processor, on which it needs half as long again.
        if (Avx512F.IsSupported) start.Environment.TryAdd("OPENBLAS_CORETYPE", "SkylakeX");
        try
        {
            return new PyTorchReference(Process.Start(start)!, workload);
        }
        catch (Win32Exception e)
        {
            throw new EmScanException($"{python}: cannot be started ({e.Message}); give a Python with torch and numpy to --pytorch.", e);
        }
    }

    /// <summary>Measures one checkpoint, base included.</summary>
    /// <param name="precision">float32 or bfloat16.</param>
    /// <param name="index">Which checkpoint.</param>
    /// <param name="clock">Says which time is wanted.</param>
    internal (double Load, double Forward) Measure(string precision, int index, Clock clock)
    {
        Times times = Ask(precision, _workload.AdapterGguf(index), states: null);
        return clock.IsCpuTime ? (times.LoadCpu, times.ForwardCpu) : (times.Load, times.Forward);
    }

    /// <summary>
    /// Compares the hidden states of all layers at the last token of every prompt with emscan's, under the first checkpoint made so strong
    /// that it cannot be missed.
    /// </summary>
    /// <returns>The largest relative difference of a row, ||a - b|| / ||b||; and the same against emscan without the adapter.</returns>
    internal (double Same, double WithoutAdapter) LargestDifference(string precision)
    {
        GgufModel model = _workload.Model;
        LoraAdapter weak = AdapterReader.Open(_workload.Checkpoints[0].Path, model.File);
        string strong = Path.Combine(_workload.Folder, "strong.gguf"), file = Path.Combine(_workload.Folder, "states.f32");
        LoraGgufWriter.Write(strong, new LoraAdapter(weak.Path, weak.Architecture, 20 * weak.Alpha, weak.Tensors));
        _ = Ask(precision, strong, file);
        float[] theirs = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(file)).ToArray();

        using var source = new LlamaActivationSource(model, _workload.Default);
        double without = Compare();
        using ILoadedAdapter adapter = source.LoadAdapter(strong);
        source.SetAdapters([new WeightedAdapter(adapter, 1)]);
        double same = Compare();
        source.SetAdapters([]);
        return (same, without);

        double Compare()
        {
            var sink = new Comparison(theirs, model.LayerCount, model.HiddenSize);
            source.Capture(_workload.Definition.Prompts, [.. Enumerable.Range(0, model.LayerCount)], sink);
            return sink.Rows * model.HiddenSize == theirs.Length
                ? sink.Largest
                : throw new EmScanException($"reference.py gave {theirs.Length} values, not {sink.Rows} hidden states.");
        }
    }

    private Times Ask(string precision, string adapter, string? states)
    {
        try
        {
            _process.StandardInput.WriteLine(JsonSerializer.Serialize(new { precision, adapter, states }));
            _process.StandardInput.Flush();
        }
        catch (IOException e)
        {
            throw Ended(e);
        }

        return Answer<Times>();
    }

    private T Answer<T>() => _process.StandardOutput.ReadLine() is { } line
        ? JsonSerializer.Deserialize<T>(line, JsonSerializerOptions.Web)!
        : throw Ended(null);

    private static EmScanException Ended(Exception? cause) => new("reference.py has ended; what it says above is why.", cause!);

    /// <summary>Ends Python.</summary>
    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }

    private sealed record Greeting(string Torch);

    private sealed record Times(
        double Load, [property: JsonPropertyName("load_cpu")] double LoadCpu,
        double Forward, [property: JsonPropertyName("forward_cpu")] double ForwardCpu);

    /// <summary>Compares rows as they come with rows of (P, L, D).</summary>
    private sealed class Comparison(float[] theirs, int layers, int width) : IHiddenStateSink
    {
        internal double Largest { get; private set; }

        internal int Rows { get; private set; }

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            int start = ((promptIndex * layers) + layer) * width;
            if (start + width > theirs.Length) throw new EmScanException("reference.py gave too few hidden states.");
            double difference = 0, norm = 0;
            for (int i = 0; i < width; i++)
            {
                double d = theirs[start + i] - states[i];
                difference += d * d;
                norm += (double)states[i] * states[i];
            }

            // Not Math.Max alone: a NaN must be seen.
            double relative = Math.Sqrt(difference / norm);
            Largest = double.IsNaN(relative) ? double.PositiveInfinity : Math.Max(Largest, relative);
            Rows++;
        }
    }
}
