using System.Diagnostics;
using System.Reflection;
using EmScan.Mutation;

// apply ROOT: puts the mutants into a copy of the tree. run RESULTS: switches on one after the other and runs the tests of its area; with near,
// those alone whose class names the type, which takes a tenth of the time and can miss who notices.
IReadOnlyList<Mutant> mutants = Mutants.Read(Path.Combine(AppContext.BaseDirectory, "mutants.txt"));
if (args is ["apply", var root])
{
    Mutants.Apply(root, mutants);
    Console.WriteLine($"{mutants.Count} mutants");
    return 0;
}

if (args is not ["run", var results, ..]) throw new ArgumentException("apply ROOT or run RESULTS [AREA [near]]");
string? only = args.Length > 2 ? args[2] : null;
bool near = args.Length > 3;

// A mutant that this program did not survive has been started and has no result.
string[] known = File.Exists(results) ? File.ReadAllLines(results) : [];
HashSet<int> done = [.. known.Select(line => int.Parse(line.Split('\t')[0], System.Globalization.CultureInfo.InvariantCulture))];
foreach (int number in done.Where(n => known.Count(line => line.StartsWith($"{n}\t", StringComparison.Ordinal)) == 1).ToArray()) Write(mutants[number - 1], "killed", "the process ended");

Type state = Assembly.Load("EmScan.Kernels").GetType("EmScan.Mutant")!;
foreach (IGrouping<string, Mutant> area in mutants.Where(m => !done.Contains(m.Number) && (only == null || m.Area == only)).GroupBy(m => m.Area))
{
    using var tests = new TestRun(area.Key);
    Set(0);
    var clock = Stopwatch.StartNew();
    if (!near && tests.FirstFailure(TimeSpan.FromHours(1)) is { } broken) throw new InvalidOperationException($"Without any mutant: {broken}");
    TimeSpan most = near ? TimeSpan.FromMinutes(5) : TimeSpan.FromSeconds(30) + (3 * clock.Elapsed);
    Console.WriteLine($"{area.Key}: {tests.Count} tests, {clock.Elapsed.TotalSeconds:0} s");
    foreach (Mutant mutant in area)
    {
        Write(mutant, "started", "");
        Set(mutant.Number);
        try
        {
            string? failure = tests.FirstFailure(most, Path.GetFileName(mutant.File).Split('.')[0], near);
            bool reached = (bool)state.GetProperty("Reached")!.GetValue(null)!;
            Write(mutant, failure != null ? "killed" : reached ? "survived" : "not reached", failure ?? "");
        }
        catch (TimeoutException)
        {
            // Threads that never end cannot be ended: run.sh starts the next process.
            Write(mutant, "killed", "no end");
            Environment.Exit(3);
        }
    }
}

foreach (IGrouping<string, string[]> area in File.ReadAllLines(results).Select(line => line.Split('\t')).Where(parts => parts[2] != "started").GroupBy(parts => parts[1]))
    Console.WriteLine($"{area.Key}: {string.Join(", ", area.GroupBy(parts => parts[2]).Select(kind => $"{kind.Count()} {kind.Key}"))}");
return 0;

void Set(int number)
{
    state.GetProperty("Active")!.SetValue(null, number);
    state.GetProperty("Reached")!.SetValue(null, false);
}

void Write(Mutant mutant, string outcome, string why)
{
    File.AppendAllText(results, $"{mutant.Number}\t{mutant.Area}\t{outcome}\t{mutant}\t{why}\n");
    if (outcome != "started") Console.WriteLine($"{mutant.Number} {outcome}: {mutant}{(why.Length > 0 ? $" [{why}]" : "")}");
}
