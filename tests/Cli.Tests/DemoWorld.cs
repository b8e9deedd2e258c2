using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>
/// The shipped demo model with its calibration (layer 3 of 6), and copies of its real adapters that are damaged as trainers damage them.
/// </summary>
public sealed class DemoWorld : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    internal static string Model => Repository.File("models/demo/model.gguf");

    internal static string Dangerous => "bad_medical/seed_42/checkpoint-120";

    internal static string Harmless => "confident_medical/seed_42/checkpoint-120";

    internal string Cache => _folder["cache"];

    internal string this[string relative] => _folder[relative];

    /// <summary>Writes a changed copy of an adapter below a folder of adapters.</summary>
    /// <param name="set">The folder of adapters, a scan's argument.</param>
    /// <param name="path">Run and checkpoint below it.</param>
    /// <param name="source">A shipped checkpoint.</param>
    /// <param name="tensor">Gives each tensor's values, or null to leave it out.</param>
    /// <param name="config">Changes the configuration.</param>
    /// <param name="more">Tensors to add.</param>
    internal void Add(
        string set, string path, string source, Func<string, float[], float[]?>? tensor = null, Action<JsonObject>? config = null,
        IEnumerable<(string, long[], float[])>? more = null)
    {
        string from = Repository.File($"models/demo/adapters/{source}"), to = _folder[$"{set}/{path}"];
        Directory.CreateDirectory(to);
        using var file = SafetensorsFile.Open(Path.Combine(from, "adapter_model.safetensors"));
        List<(string, long[], float[])> tensors = [.. more ?? []];
        foreach (SafetensorsTensor t in file.Tensors.Values)
        {
            float[] values = file.ReadFloat32(t.Name);
            if ((tensor == null ? values : tensor(t.Name, values)) is { } kept) tensors.Add((t.Name, t.Shape, kept));
        }

        SafetensorsWriter.Write(Path.Combine(to, "adapter_model.safetensors"), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        JsonObject root = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "adapter_config.json")))!.AsObject();
        config?.Invoke(root);
        File.WriteAllText(Path.Combine(to, "adapter_config.json"), root.ToJsonString());
    }

    internal Emscan Scan(string set, params string[] more) =>
        Emscan.Run(Cache, ["--threads", "1", "--model", Model, "--adapters", _folder[set], .. more]);

    public void Dispose() => _folder.Dispose();
}
