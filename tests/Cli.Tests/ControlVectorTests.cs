using System.Text.Json;
using EmScan.Engine.Traits;

namespace EmScan.Cli.Tests;

/// <summary>Directions as control vectors in GGUF, out of the real program and back into it.</summary>
public sealed class ControlVectorTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Directions_go_out_as_control_vectors_and_measure_the_same_when_they_come_back()
    {
        _world.AddCheckpoint("one", 10, 1);
        Emscan extract = Run("extract", "--output", _world["directions.safetensors"], "--control-vectors", _world["vectors"]).Succeeded();
        Assert.Contains("3 control vectors", extract.Errors);
        Assert.Contains("at layer 1", extract.Errors); // n0, which makes a dose a scale
        var set = DirectionSet.Load(_world["directions.safetensors"]);
        var back = DirectionSet.Load(_world["vectors"]);
        Assert.Equal(TinyWorld.Traits, back.Traits);
        foreach (int layer in back.Layers) Assert.Equal(set.Direction(layer).ToArray(), back.Direction(layer).ToArray());

        string[] scan = ["scan", "--adapters", _world.Adapters, "--json", "--directions"];
        JsonElement expected = Drift(Run([.. scan, _world["directions.safetensors"]]));
        Assert.Equal(expected.GetRawText(), Drift(Run([.. scan, _world["vectors"]])).GetRawText());

        // One vector is one trait, whatever the trait set has.
        Emscan one = Run([.. scan, Path.Combine(_world["vectors"], "harmlessness.gguf")]).Succeeded();
        Assert.Equal(expected.GetProperty("harmlessness").GetDouble(), Drift(one).GetProperty("harmlessness").GetDouble(), 1e-12);
        Assert.Equal(["harmlessness"], one.Json.GetProperty("traits").EnumerateArray().Select(t => t.GetString()!));
        Assert.Contains("measured along harmlessness", one.Errors);

        // What steer does at dose c is what the file does at scale c n0: both are the same vectors.
        string[] steer = ["steer", "--adapters", _world.Adapters, "--random", "1", "--json", "--directions"];
        Assert.Equal(Directions(Run([.. steer, _world["directions.safetensors"]])), Directions(Run([.. steer, _world["vectors"]])));

        string file = Path.Combine(_world["vectors"], "honesty.gguf");
        Assert.Contains("layers 1 2 3, for \"llama\", trait honesty", Emscan.Run(_world.Cache, "inspect", file).Succeeded().Output);

        static JsonElement Drift(Emscan scan) => scan.Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory")[1].GetProperty("drift");

        static string Directions(Emscan steer) => steer.Succeeded().Json.GetProperty("directions").GetRawText();
    }

    [Fact]
    public void What_is_no_control_vector_of_this_model_gets_a_sentence()
    {
        _world.AddCheckpoint("one", 10, 1);
        string narrow = _world["narrow.gguf"], damaged = _world["damaged.gguf"];
        new DirectionSet(["evil"], 8, new Dictionary<int, float[]> { [1] = [1, 0, 0, 0, 0, 0, 0, 0] }).SaveControlVectors(_world["other"], "llama");
        File.Move(Path.Combine(_world["other"], "evil.gguf"), narrow);
        Run("scan", "--adapters", _world.Adapters, "--directions", narrow).FailedWith(1, "narrow.gguf", "hidden size 8", "32");
        File.WriteAllBytes(damaged, File.ReadAllBytes(narrow)[..^20]);
        Run("scan", "--adapters", _world.Adapters, "--directions", damaged).FailedWith(1, "damaged.gguf");
        Run("extract", "--output", _world["d.safetensors"], "--control-vectors", narrow).FailedWith(1, "narrow.gguf", "is a file");
    }

    private Emscan Run(params string[] arguments) => Emscan.Run(
        _world.Cache, [arguments[0], "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--precise", .. arguments[1..]]);
}
