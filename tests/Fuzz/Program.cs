using System.Diagnostics;
using EmScan.Fuzz;
using SharpFuzz;

// afl TARGET: under afl-fuzz.  check TARGET FILE...: once.  corpus DIR: writes the seeds.  instrument DLL...  list
switch (args)
{
    case ["list"]:
        foreach (FuzzTarget each in FuzzTarget.All) Console.WriteLine(each.Name);
        return 0;
    case ["afl", var name]:
        FuzzTarget fuzzed = Find(name);
        Fuzzer.Run(stream =>
        {
            using var bytes = new MemoryStream();
            stream.CopyTo(bytes);
            _ = fuzzed.Run(bytes.ToArray());
        });
        return 0;
    case ["check", var name, .. var files]:
        FuzzTarget target = Find(name);
        int findings = 0;
        foreach (string file in files)
        {
            long start = Stopwatch.GetTimestamp();
            try
            {
                string? sentence = target.Run(File.ReadAllBytes(file));
                Console.WriteLine($"{file}: {(sentence == null ? "accepted" : $"refused: {sentence}")} ({Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms)");
            }
            catch (Exception e)
            {
                findings++;
                Console.WriteLine($"{file}: FINDING {e}");
            }
        }

        return findings == 0 ? 0 : 1;
    case ["corpus", var folder]:
        foreach ((string seedOf, string seed, byte[] bytes) in FuzzTarget.Seeds())
            File.WriteAllBytes(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, seedOf)).FullName, seed), bytes);
        return 0;
    case ["instrument", .. var libraries]:
        foreach (string library in libraries) _ = Fuzzer.Instrument(library, _ => true, Options.Value);

        return 0;
    default:
        Console.Error.WriteLine("list | afl TARGET | check TARGET FILE... | corpus DIR | instrument DLL...");
        return 2;
}

static FuzzTarget Find(string name) => FuzzTarget.All.SingleOrDefault(t => t.Name == name) ?? throw new ArgumentException($"There is no target '{name}'.");
