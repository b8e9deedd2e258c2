using System.Buffers.Binary;
using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Tests.Traits;

public sealed class DirectionSetTests
{
    private static readonly DirectionMetadata Complete = new()
    {
        ModelSha256 = "ab12",
        ModelName = "Model, \"quoted\" \u00e9",
        TraitSetSha256 = "cd34",
        Method = "mean_difference",
        Pooling = "mean_output",
        MaxNewTokens = 64,
        PromptIdentity = "template 1; no fallback",
        Precision = "exact",
        N0 = new Dictionary<int, double> { [0] = 6.67868, [11] = 1.0 / 3 },
        Seed = -5,
        CreatedBy = "emscan 0.1.0",
    };

    [Fact]
    public void Save_and_load_round_trip_every_bit_and_every_entry()
    {
        using var folder = new TemporaryFolder();
        string path = folder["directions.safetensors"];
        DirectionSet set = RandomSet(Complete, 11, 0, 2);
        set.Save(path);
        DirectionSet loaded = DirectionSet.Load(path);
        Assert.Equal(set.Traits, loaded.Traits);
        Assert.Equal([0, 2, 11], loaded.Layers);
        Assert.Equal(set.HiddenSize, loaded.HiddenSize);
        foreach (int layer in set.Layers) Assert.Equal(set.Direction(layer).ToArray(), loaded.Direction(layer).ToArray());
        Assert.Equal(Complete with { N0 = null }, loaded.Metadata with { N0 = null });
        Assert.Equal(Complete.N0, loaded.Metadata.N0);
        Assert.Null(loaded.Mismatch(Complete, set.Traits, set.HiddenSize, 12, requireRecorded: true));
    }

    [Fact]
    public void The_file_has_the_documented_tensors_and_metadata()
    {
        using var folder = new TemporaryFolder();
        string path = folder["directions.safetensors"];
        RandomSet(Complete, 3).Save(path);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        SafetensorsTensor tensor = Assert.Single(file.Tensors).Value;
        Assert.Equal(("layer_3", "F32"), (tensor.Name, tensor.DType));
        Assert.Equal([2L, 5L], tensor.Shape);
        Assert.Equal(
            new SortedDictionary<string, string>
            {
                ["format"] = "emscan-directions",
                ["version"] = "1",
                ["traits"] = "calm,big",
                ["layer_convention"] = LayerConvention.Text,
                ["model_sha256"] = "ab12",
                ["model_name"] = Complete.ModelName!,
                ["trait_set_sha256"] = "cd34",
                ["method"] = "mean_difference",
                ["pooling"] = "mean_output",
                ["max_new_tokens"] = "64",
                ["prompt_identity"] = "template 1; no fallback",
                ["precision"] = "exact",
                ["n0"] = "0:6.67868,11:0.3333333333333333",
                ["seed"] = "-5",
                ["created_by"] = "emscan 0.1.0",
            },
            new SortedDictionary<string, string>(file.Metadata.ToDictionary()));
    }

    [Fact]
    public void A_plain_file_with_only_trait_names_is_read_and_says_nothing_of_its_origin()
    {
        using var folder = new TemporaryFolder();
        string path = folder["plain.safetensors"];
        Write(path, [("layer_1", [2, 2], [1, 0, 0.6f, -0.8f])], ("traits", "a,b"));
        DirectionSet set = DirectionSet.Load(path);
        Assert.Equal(["a", "b"], set.Traits);
        Assert.Equal([0.6f, -0.8f], set.Direction(1, 1).ToArray());
        Assert.Equal(new DirectionMetadata(), set.Metadata);
        Assert.Null(set.Mismatch(Complete, ["a", "b"], 2, 2, requireRecorded: false));
        Assert.Equal(
            "the directions do not say which model_sha256 they were extracted with",
            set.Mismatch(Complete, ["a", "b"], 2, 2, requireRecorded: true));
    }

    [Fact]
    public void Every_stale_entry_is_named()
    {
        DirectionSet set = RandomSet(Complete, 0, 3);
        Assert.Null(Mismatch(Complete));
        Assert.Null(Mismatch(new DirectionMetadata()));
        Assert.Null(Mismatch(Complete with { ModelName = "renamed", Seed = 1, N0 = null, CreatedBy = "later" }));
        Assert.Equal("the directions were extracted with model_sha256 ab12, this is ff", Mismatch(Complete with { ModelSha256 = "ff" }));
        Assert.Contains("trait_set_sha256 cd34", Mismatch(Complete with { TraitSetSha256 = "ff" }), StringComparison.Ordinal);
        Assert.Contains("method mean_difference", Mismatch(Complete with { Method = "paired_pca" }), StringComparison.Ordinal);
        Assert.Contains("pooling mean_output", Mismatch(Complete with { Pooling = "mean_input" }), StringComparison.Ordinal);
        Assert.Contains("max_new_tokens 64, this is 32", Mismatch(Complete with { MaxNewTokens = 32 }), StringComparison.Ordinal);
        Assert.Contains("prompt_identity template 1", Mismatch(Complete with { PromptIdentity = "x" }), StringComparison.Ordinal);
        Assert.Contains("precision exact", Mismatch(Complete with { Precision = "fast" }), StringComparison.Ordinal);
        Assert.Contains("hidden size 5, this model has 6", set.Mismatch(Complete, set.Traits, 6, 4, true), StringComparison.Ordinal);
        Assert.Contains("layer 3, this model has layers 0 to 2", set.Mismatch(Complete, set.Traits, 5, 3, true), StringComparison.Ordinal);
        Assert.Contains("the trait set has big, calm", set.Mismatch(Complete, ["big", "calm"], 5, 4, true), StringComparison.Ordinal);

        string? Mismatch(DirectionMetadata now) => set.Mismatch(now, set.Traits, 5, 4, requireRecorded: true);
    }

    [Fact]
    public void A_norm_that_is_a_little_off_is_corrected_and_a_unit_vector_keeps_its_bits()
    {
        float[] unit = [0.6f, -0.8f], off = [0.6003f, -0.8004f];
        var set = new DirectionSet(["t"], 2, new Dictionary<int, float[]> { [0] = unit, [1] = off });
        Assert.Equal(unit, set.Direction(0).ToArray());
        Assert.InRange(Math.Sqrt(set.Direction(1).ToArray().Sum(x => (double)x * x)), 1 - 1e-7, 1 + 1e-7);
        Assert.Equal(0.6003f, off[0]);
    }

    [Fact]
    public void Cosines_equal_the_formula()
    {
        DirectionSet set = RandomSet(null, 4);
        double[] cosines = set.Cosines(4);
        double expected = LinearReference.Cosine(set.Direction(4, 0).ToArray(), [.. set.Direction(4, 1).ToArray().Select(x => (double)x)]);
        Assert.Equal(1, cosines[0]);
        Assert.Equal(1, cosines[3]);
        Assert.Equal(cosines[1], cosines[2]);
        Assert.InRange(cosines[1], expected - 1e-14, expected + 1e-14);
    }

    [Fact]
    public void A_layer_that_is_not_there_is_named() =>
        Assert.Equal(
            "There are no directions for layer 5, only for 1, 4.",
            Assert.Throws<EmScanException>(() => RandomSet(null, 4, 1).Direction(5).ToArray()).Message);

    public static TheoryData<string, string, float[], long[], string> BadFiles() => new()
    {
        { "", "layer_0", [1, 0], [1, 2], "has no metadata entry 'traits'" },
        { "traits=a", "layer_0", [0, 0], [1, 2], "The direction of 'a' at layer 0 is zero" },
        { "traits=a", "layer_0", [float.NaN, 0], [1, 2], "The direction of 'a' at layer 0 contains values that are not finite" },
        { "traits=a", "layer_0", [3, 4], [1, 2], "The direction of 'a' at layer 0 has norm 5; a direction is a unit vector" },
        { "traits=a,b", "layer_0", [1, 0], [1, 2], "the tensor 'layer_0' has shape (1, 2); for 2 traits it must be (2, D)" },
        { "traits=a", "layer_0", [1, 0], [2], "the tensor 'layer_0' has shape (2)" },
        { "traits=a", "layer_0", [], [1, 0], "the tensor 'layer_0' has shape (1, 0)" },
        { "traits=a", "weight", [1, 0], [1, 2], "their tensors are layer_0, layer_1, ..., not 'weight'" },
        { "traits=a", "layer_00", [1, 0], [1, 2], "not 'layer_00'" },
        { "traits=a", "layer_-1", [1, 0], [1, 2], "not 'layer_-1'" },
        { "traits=a", "layer_99999999999", [1, 0], [1, 2], "not 'layer_99999999999'" },
        { "traits=a,a", "layer_0", [1, 0, 1, 0], [2, 2], "The trait 'a' occurs twice" },
        { "traits=a,", "layer_0", [1, 0, 1, 0], [2, 2], "The name of trait 1 is empty" },
        { "traits=a;format=other", "layer_0", [1, 0], [1, 2], "is in the format 'other'; directions are in 'emscan-directions'" },
        { "traits=a;format=emscan-directions", "layer_0", [1, 0], [1, 2], "has version ''" },
        { "traits=a;format=emscan-directions;version=2", "layer_0", [1, 0], [1, 2], "has version '2'" },
        { "traits=a;format=emscan-directions;version=1;layer_convention=1", "layer_0", [1, 0], [1, 2], "counts layers" },
        { "traits=a;format=emscan-directions;version=1;n0=0:x", "layer_0", [1, 0], [1, 2], "the metadata entry n0 is '0:x'" },
        { "traits=a;format=emscan-directions;version=1;n0=0:-1", "layer_0", [1, 0], [1, 2], "the metadata entry n0 is '0:-1'" },
        { "traits=a;format=emscan-directions;version=1;n0=0:1,0:2", "layer_0", [1, 0], [1, 2], "the metadata entry n0 is" },
        { "traits=a;format=emscan-directions;version=1;seed=1e3", "layer_0", [1, 0], [1, 2], "the metadata entry seed is '1e3'" },
    };

    [Theory]
    [MemberData(nameof(BadFiles))]
    public void A_file_that_is_no_set_of_directions_is_refused_in_one_sentence(
        string metadata, string tensor, float[] values, long[] shape, string problem)
    {
        using var folder = new TemporaryFolder();
        string path = folder["bad.safetensors"];
        Write(
            path, [(tensor, shape, values)],
            [.. metadata.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(entry => (entry.Split('=')[0], entry.Split('=')[1]))]);
        var error = Assert.Throws<InputFileException>(() => DirectionSet.Load(path));
        Assert.StartsWith(path + ": ", error.Message, StringComparison.Ordinal);
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Layers_of_different_width_and_files_without_layers_are_refused()
    {
        using var folder = new TemporaryFolder();
        string path = folder["bad.safetensors"];
        Write(path, [("layer_0", [1, 2], [1, 0]), ("layer_1", [1, 3], [1, 0, 0])], ("traits", "a"));
        Assert.Contains("width", Assert.Throws<InputFileException>(() => DirectionSet.Load(path)).Message, StringComparison.Ordinal);
        Write(path, [], ("traits", "a"));
        Assert.Contains("no tensors", Assert.Throws<InputFileException>(() => DirectionSet.Load(path)).Message, StringComparison.Ordinal);
        Assert.Throws<InputFileException>(() => DirectionSet.Load(folder["missing.safetensors"]));
    }

    [Fact]
    public void Half_precision_directions_are_widened_and_normalised()
    {
        using var folder = new TemporaryFolder();
        byte[] header = Encoding.UTF8.GetBytes(
            """{"__metadata__":{"traits":"a"},"layer_0":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}""");
        var bytes = new byte[8 + header.Length + 4];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, header.Length);
        header.CopyTo(bytes, 8);
        BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(8 + header.Length), (Half)0.6);
        BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(10 + header.Length), (Half)0.8);
        float[] direction = DirectionSet.Load(folder.Write("half.safetensors", bytes)).Direction(0).ToArray();
        Assert.InRange(direction.Sum(x => (double)x * x), 1 - 1e-7, 1 + 1e-7);
        Assert.InRange(direction[0], 0.5995, 0.6005);
    }

    [Fact]
    public void Arguments_that_are_no_directions_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new DirectionSet([], 1, new Dictionary<int, float[]> { [0] = [] }));
        Assert.Throws<ArgumentException>(() => new DirectionSet(["a"], 1, new Dictionary<int, float[]>()));
        Assert.Throws<ArgumentException>(() => new DirectionSet(["a"], 0, new Dictionary<int, float[]> { [0] = [] }));
        Assert.Throws<ArgumentException>(() => new DirectionSet(["a"], 2, new Dictionary<int, float[]> { [0] = [1] }));
        Assert.Throws<ArgumentException>(() => new DirectionSet(["a,b"], 1, new Dictionary<int, float[]> { [0] = [1] }));
        Assert.Throws<ArgumentException>(() => new DirectionSet(["a"], 1, new Dictionary<int, float[]> { [-1] = [1] }));
    }

    private static DirectionSet RandomSet(DirectionMetadata? metadata, params int[] layers)
    {
        var random = new Random(9);
        return new DirectionSet(["calm", "big"], 5, layers.ToDictionary(layer => layer, _ => Unit().Concat(Unit()).ToArray()), metadata);

        float[] Unit()
        {
            double[] vector = [.. Enumerable.Range(0, 5).Select(_ => LinearReference.Gauss(random))];
            return [.. LinearReference.Normalise(vector).Select(x => (float)x)];
        }
    }

    private static void Write(
        string path, (string Name, long[] Shape, float[] Data)[] tensors, params (string Key, string Value)[] metadata) =>
        SafetensorsWriter.Write(path, tensors, metadata.ToDictionary(entry => entry.Key, entry => entry.Value));
}
