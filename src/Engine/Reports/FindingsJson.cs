using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Reports;

/// <summary>Findings as one JSON document: the header of the scan's JSON, the conclusion, the notes, and the analysis's own keys.</summary>
internal static class FindingsJson
{
    private static readonly JsonWriterOptions Options = new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the document, ending with a new line.</summary>
    public static void Write(Stream output, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(findings);
        using (var json = new Utf8JsonWriter(output, Options))
        {
            json.WriteStartObject();
            if (findings.Header is { } header) WriteHeader(json, header);
            else WriteNoHeader(json);
            json.WriteString("conclusion", findings.Conclusion);
            if (findings.Verdict != FindingsVerdict.None) json.WriteString("verdict", JsonNamingPolicy.SnakeCaseLower.ConvertName(findings.Verdict.ToString()));
            WriteRemarks(json, "notes", findings.Notes);
            foreach ((string key, JsonNode? value) in findings.Data)
            {
                json.WritePropertyName(key);
                if (value == null) json.WriteNullValue();
                else value.WriteTo(json);
            }

            json.WriteEndObject();
        }

        output.WriteByte((byte)'\n');
        output.Flush();
    }

    // The same keys, so that programs find them: without a model nothing is known of it.
    private static void WriteNoHeader(Utf8JsonWriter json)
    {
        json.WriteString("emscan_version", EmScanVersion.Text);
        foreach (string key in (ReadOnlySpan<string>)["model", "layer"]) json.WriteNull(key);
        json.WriteString("layer_convention", LayerConvention.Text);
        foreach (string key in (ReadOnlySpan<string>)["traits", "trait_set", "directions", "prompts", "place", "step0_activation_norm", "numeric_mode", "device"]) json.WriteNull(key);
    }

    /// <summary>Writes remarks as an array of codes and texts, into an object that is open.</summary>
    internal static void WriteRemarks(Utf8JsonWriter json, string key, IEnumerable<Remark> remarks)
    {
        json.WriteStartArray(key);
        foreach (Remark remark in remarks)
        {
            json.WriteStartObject();
            json.WriteString("code", remark.Code);
            json.WriteString("text", remark.Text);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>Writes the keys that every document begins with, into an object that is open.</summary>
    internal static void WriteHeader(Utf8JsonWriter json, FindingsHeader header)
    {
        json.WriteString("emscan_version", header.Version);
        json.WriteStartObject("model");
        json.WriteString("path", header.ModelPath);
        json.WriteString("sha256", header.ModelSha256);
        json.WriteString("description", header.ModelDescription);
        WriteNumber(json, "layers", header.LayerCount);
        WriteNumber(json, "hidden_size", header.HiddenSize);
        json.WriteEndObject();
        WriteNumber(json, "layer", header.Layer);
        json.WriteString("layer_convention", LayerConvention.Text);
        json.WriteStartArray("traits");
        foreach (string trait in header.Traits) json.WriteStringValue(trait);
        json.WriteEndArray();
        json.WriteString("trait_set", header.TraitSet);
        json.WriteString("directions", header.Directions);
        if (header.DirectionsPooling is { } pooling) json.WriteString("directions_pooling", pooling);
        WriteNumber(json, "prompts", header.Prompts);
        json.WriteString("place", header.Place.ToName());
        json.WriteNumber("step0_activation_norm", header.Step0Norm);
        json.WriteString("numeric_mode", header.NumericMode);
        json.WriteString("device", header.Device);
        if (header.KernelDevice is { } kernels) json.WriteString("kernel_device", kernels);
    }

    /// <summary>A number, or null where a file of an earlier scan does not tell it.</summary>
    private static void WriteNumber(Utf8JsonWriter json, string key, int value)
    {
        if (value < 0) json.WriteNull(key);
        else json.WriteNumber(key, value);
    }
}
