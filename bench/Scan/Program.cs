using EmScan.Bench.Scan;
using EmScan.Engine.Runtime;

if (Options.Parse(args) is not { } options)
{
    Console.Error.WriteLine(Options.Usage);
    return 2;
}

string folder = Path.Combine(Path.GetTempPath(), $"emscan-bench-{Guid.NewGuid():N}");
try
{
    Directory.CreateDirectory(folder);
    string path = Path.Combine(folder, "model.gguf");
    Console.WriteLine($"writing a random llama of {options.Shape.Parameters / 1e6:0}M weights, Q8_0 ...");
    RandomModel.Write(path, options.Shape, seed: 1);
    using var suite = new ScanSuite(options, path);
    await suite.RunAsync();
    return 0;
}
catch (LlamaException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
finally
{
    Directory.Delete(folder, recursive: true);
}
