using System.IO.Compression;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;
using EmScan.Kernels;

namespace EmScan.Bench.Accuracy;

/// <summary>One base of the organism set: its files, and its labelled runs, measured.</summary>
internal static class Organism
{
    /// <summary>Bases in a models folder, in the order of their names.</summary>
    public static IReadOnlyList<string> Find(string models) =>
        [.. Directory.EnumerateDirectories(models).Where(d => File.Exists(Path.Combine(d, "labels.csv"))).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];

    /// <summary>Unpacks the adapters, extracts directions, and measures every labelled checkpoint as calibrate does by default (half depth, its place), or as
    /// <paramref name="change"/> asks.</summary>
    public static async Task<LabelledSet> MeasureAsync(string models, string name, string work, Func<ScanRequest, ScanRequest>? change = null)
    {
        string folder = Path.Combine(models, name), adapters = Path.Combine(work, name);
        if (!Directory.Exists(adapters))
        {
            string partial = adapters + ".part";
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
            ZipFile.ExtractToDirectory(Path.Combine(folder, "adapters.zip"), partial);
            Directory.Move(partial, adapters);
        }

        string exact = Path.Combine(folder, "model-f32.gguf");
        var request = new ScanRequest
        {
            Model = File.Exists(exact) ? exact : Path.Combine(models, "demo", "model.gguf"),
            TraitsFile = Path.Combine(folder, "traits.yaml"),
            Place = Calibration.DefaultPlace,
            CacheFolder = Path.Combine(work, "cache"),
            Capture = new CaptureOptions { Threads = 1 },
        };
        request = change?.Invoke(request) ?? request;
        LabelMatch match = LabelFile.Read(Path.Combine(folder, "labels.csv")).Match(CheckpointDiscovery.Find(adapters).Runs);
        using ScanSession session = ScanSession.Open(request);
        string sae = Path.Combine(folder, "sae");
        if (Directory.Exists(sae)) session.MeasureLatents(SparseAutoencoder.Read(sae), new CpuKernelDevice(session.Prepared.Parallel.ThreadsEach));
        return await LabelledMeasurement.MeasureAsync(session, name, match);
    }
}
