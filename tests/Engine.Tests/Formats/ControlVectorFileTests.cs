using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;
using SmallModel = EmScan.Engine.Tests.Support.TinyModel;

namespace EmScan.Engine.Tests.Formats;

public sealed class ControlVectorFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_is_written_is_read_back_bit_for_bit()
    {
        DirectionSet set = Directions(17, 4);
        string[] files = set.SaveControlVectors(_folder["vectors"], "llama");
        Assert.Equal(["honesty.gguf", "evil_mind.gguf"], files.Select(Path.GetFileName)!);
        var read = DirectionSet.Load(_folder["vectors"]);
        Assert.Equal(set.Traits, read.Traits);
        Assert.Equal([1, 2, 3], read.Layers); // a control vector has no layer 0
        foreach (int layer in read.Layers) Assert.Equal(set.Direction(layer).ToArray(), read.Direction(layer).ToArray());
        Assert.Equal(set.Metadata, read.Metadata with { N0 = set.Metadata.N0 });
        Assert.Equal(set.Metadata.N0, read.Metadata.N0);
        var one = DirectionSet.Load(files[1]);
        Assert.Equal(["evil mind"], one.Traits);
        Assert.Equal(set.Direction(2, 1).ToArray(), one.Direction(2, 0).ToArray());
    }

    [Fact]
    public void The_file_is_what_llama_cpp_reads()
    {
        string file = Directions(17, 4).SaveControlVectors(_folder["vectors"], "qwen2")[0];
        GgufFile gguf = GgufFile.Open(file);
        Assert.Equal("controlvector", gguf.Architecture);
        Assert.Equal("qwen2", gguf.GetText("controlvector.model_hint"));
        Assert.Equal(3, gguf.GetInteger("controlvector.layer_count"));
        Assert.Equal(["direction.1", "direction.2", "direction.3"], gguf.Tensors.Keys);
        Assert.All(gguf.Tensors.Values, t => Assert.Equal(("F32", 1, 17L), (t.Type.Name, t.Ne.Length, t.Ne[0])));
    }

    /// <summary>llama.cpp adds scale x direction.N to the output of block N: the same as emscan's own steering of layer N, and as float64 says.</summary>
    [Fact]
    public void A_file_steers_as_the_directions_do()
    {
        var tiny = new SmallModel(71);
        tiny.WriteGguf(_folder["model.gguf"]);
        DirectionSet set = Directions(tiny.Hidden, tiny.Layers);
        GgufFile file = GgufFile.Open(set.SaveControlVectors(_folder["vectors"], "llama")[0]);
        const float Scale = -2.5f;

        // As llama.cpp's loader fills its buffer: direction.N at (N - 1) D.
        float[] buffer = new float[tiny.Hidden * (tiny.Layers - 1)];
        foreach (GgufTensor tensor in file.Tensors.Values)
        {
            int layer = int.Parse(tensor.Name.AsSpan("direction.".Length));
            float[] vector = file.ReadFloat32(tensor);
            for (int i = 0; i < vector.Length; i++) buffer[((layer - 1) * tiny.Hidden) + i] += Scale * vector[i];
        }

        Dictionary<int, float[]> byBuffer = Enumerable.Range(1, tiny.Layers - 1).ToDictionary(layer => layer, layer => buffer[((layer - 1) * tiny.Hidden)..(layer * tiny.Hidden)]);
        Dictionary<int, float[]> byDirections = Enumerable.Range(1, tiny.Layers - 1).ToDictionary(layer => layer, layer => Array.ConvertAll(set.Direction(layer, 0).ToArray(), v => Scale * v));
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        int[] tokens = tiny.RandomTokens(new Random(4), 20);
        double[][][] expected = new TinyForward(tiny, steering: byDirections).Run(tokens).Hidden;
        var sink = new Last(tiny.Hidden);
        source.SetSteering(new ControlVector(tiny.Hidden, byBuffer));
        source.Capture([CapturePrompt.Last(tokens)], [0, 1, 2, 3], sink);
        for (int layer = 0; layer < tiny.Layers; layer++)
        {
            double size = Math.Sqrt(expected[layer][^1].Sum(v => v * v));
            Assert.All(expected[layer][^1].Zip(sink.States[layer]), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * size)); // exact mode on F32 weights
        }
    }

    [Fact]
    public void Vectors_of_other_programs_are_directions_of_length_1()
    {
        Write("evil.gguf", ("direction.1", [0, 3, 4]), ("direction.2", [2, 0, 0]));
        var read = DirectionSet.Load(_folder["evil.gguf"]);
        Assert.Equal(["evil"], read.Traits);
        Assert.Equal([0, 0.6f, 0.8f], read.Direction(1).ToArray());
        Assert.Equal([1, 0, 0], read.Direction(2).ToArray());

        // Of several, the layers that all have.
        Directory.CreateDirectory(_folder["several"]);
        Write("several/kind.gguf", ("direction.2", [0, 1, 0]), ("direction.3", [0, 1, 0]));
        File.Copy(_folder["evil.gguf"], _folder["several/evil.gguf"]);
        var both = DirectionSet.Load(_folder["several"]);
        Assert.Equal(["evil", "kind"], both.Traits);
        Assert.Equal([2], both.Layers);
        Assert.Equal([1, 0, 0, 0, 1, 0], both.Direction(2).ToArray());
    }

    [Fact]
    public void Faults_are_refused_in_one_sentence()
    {
        Fault("is zero", ("direction.1", [0, 0, 0]));
        Fault("direction.0", ("direction.0", [1, 0, 0]));
        Fault("not 'direction.x'", ("direction.x", [1, 0, 0]));
        Fault("NaN", ("direction.1", [1, float.NaN, 0]));
        Fault("one vector of the model's width", ("direction.1", [1, 0, 0]), ("direction.2", [1, 0]));
        Directory.CreateDirectory(_folder["several"]);
        Write("several/a.gguf", ("direction.1", [1, 0, 0]));
        Write("several/b.gguf", ("direction.2", [1, 0, 0]));
        Assert.Contains("no layer in common", Assert.Throws<InputFileException>(() => DirectionSet.Load(_folder["several"])).Message);
        Write("several/b.gguf", ("direction.1", [1, 0]));
        Assert.Contains("of width 2", Assert.Throws<InputFileException>(() => DirectionSet.Load(_folder["several"])).Message);
        Directory.CreateDirectory(_folder["empty"]);
        Assert.Contains("a file and not a folder", Assert.Throws<InputFileException>(() => DirectionSet.Load(_folder["empty"])).Message);

        void Fault(string expected, params (string, float[])[] tensors)
        {
            Write("faulty.gguf", tensors);
            Assert.Contains(expected, Assert.Throws<InputFileException>(() => DirectionSet.Load(_folder["faulty.gguf"])).Message);
        }
    }

    private void Write(string name, params (string Name, float[] Values)[] tensors)
    {
        using var writer = new GgufTestWriter();
        writer.Text("general.architecture", "controlvector");
        foreach ((string tensor, float[] values) in tensors) writer.Tensor(tensor, [values.Length], values);
        writer.Write(_folder[name]);
    }

    private static DirectionSet Directions(int width, int layers)
    {
        var random = new Random(12);
        float[] Unit()
        {
            double[] vector = [.. Enumerable.Range(0, width).Select(_ => SmallModel.Gaussian(random))];
            double norm = Math.Sqrt(vector.Sum(v => v * v));
            return [.. vector.Select(v => (float)(v / norm))];
        }

        return new DirectionSet(["honesty", "evil mind"], width, Enumerable.Range(0, layers).ToDictionary(layer => layer, _ => (float[])[.. Unit(), .. Unit()]), new DirectionMetadata
        {
            ModelSha256 = new string('a', 64),
            ModelName = "m.gguf",
            Method = "mean_difference",
            Pooling = "last_token",
            Seed = 3,
            CreatedBy = "emscan",
            N0 = Enumerable.Range(0, layers).ToDictionary(layer => layer, layer => 1.5 + layer),
        });
    }

    private sealed class Last(int width) : IHiddenStateSink
    {
        internal Dictionary<int, float[]> States { get; } = [];

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) => States[layer] = states[^width..].ToArray();
    }
}
