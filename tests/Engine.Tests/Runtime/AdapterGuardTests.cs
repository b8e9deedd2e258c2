using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>Adapters made in memory, which no reader has checked: what does not fit never reaches llama.cpp, which would end the process.</summary>
public sealed class AdapterGuardTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_does_not_fit_the_model_is_refused_and_what_fits_is_loaded()
    {
        var tiny = new TinyModel(301);
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1 });
        GgufTensor[] weights = [.. model.File.Tensors.Values];
        var random = new Random(11);
        int loaded = 0, refused = 0;
        for (int i = 0; i < 400; i++)
        {
            // Shapes of the weight itself, of a neighbour, or off by one; matrices, vectors and names that do not exist.
            GgufTensor weight = weights[random.Next(weights.Length)], other = random.Next(2) == 0 ? weight : weights[random.Next(weights.Length)];
            string name = random.Next(9) == 0 ? weight.Name.Replace("blk.", "blk.9") + "x" : weight.Name;
            bool table = name == "token_embd.weight";
            int rank = random.Next(1, 9);
            long inputs = other.Dimension(table ? 1 : 0) + (random.Next(5) == 0 ? 1 : 0), outputs = other.Dimension(table ? 0 : 1);
            string architecture = random.Next(12) == 0 ? "qwen3" : model.File.Architecture;
            var adapter = new LoraAdapter("memory", architecture, 8, [new LoraTensor(name, rank, new float[rank * inputs], new float[rank * outputs], name)]);
            bool fits = architecture == "llama" && name == weight.Name && weight.Ne.Length == 2
                && inputs == weight.Dimension(table ? 1 : 0) && outputs == weight.Dimension(table ? 0 : 1);
            if (!fits)
            {
                Assert.StartsWith("memory", Assert.Throws<InputFileException>(() => source.LoadAdapter(adapter, 3)).Message);
                refused++;
                continue;
            }

            using ILoadedAdapter inUse = source.LoadAdapter(adapter, 3);
            source.SetAdapters([new WeightedAdapter(inUse, 1)]);
            source.Capture([CapturePrompt.Last([8, 9, 10])], [3], new CollectingSink(tiny.Hidden));
            source.SetAdapters([]);
            loaded++;
        }

        Assert.InRange(loaded, 50, 350);
        Assert.InRange(refused, 50, 350);
    }

    [Fact]
    public void A_thousand_damaged_files_are_refused_or_loaded_and_the_process_lives()
    {
        var tiny = new TinyModel(302);
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1 });
        string folder = new TinyAdapter(tiny, 3).Write(_folder["adapter"]);
        byte[] weights = File.ReadAllBytes(Path.Combine(folder, "adapter_model.safetensors"));
        LoraGgufWriter.Write(_folder["whole.gguf"], AdapterReader.Open(folder, model.File));
        byte[] whole = File.ReadAllBytes(_folder["whole.gguf"]);
        var random = new Random(29);
        int loaded = 0, refused = 0;
        for (int i = 0; i < 1000; i++)
        {
            string path = i % 2 == 0 ? folder : _folder["damaged.gguf"];
            File.WriteAllBytes(i % 2 == 0 ? Path.Combine(folder, "adapter_model.safetensors") : path, AdapterDamage.Of(i % 2 == 0 ? weights : whole, random));
            try
            {
                using ILoadedAdapter adapter = source.LoadAdapter(path);
                source.SetAdapters([new WeightedAdapter(adapter, 1)]);
                source.Capture([CapturePrompt.Last([8, 9, 10])], [3], new CollectingSink(tiny.Hidden));
                source.SetAdapters([]);
                loaded++;
            }
            catch (InputFileException)
            {
                refused++;
            }
        }

        Assert.InRange(loaded, 50, 950);
        Assert.InRange(refused, 50, 950);
    }
}
