using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses.Scan;

public sealed class OldJournalTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ScanDefinition _definition = new(
        new string('a', 64), 1, ["one", "two"], [1, 0, 0, 0, 0, 0, 1, 0, 0, 0], [CapturePrompt.Last([1, 2]), CapturePrompt.Last([3]), CapturePrompt.Last([4, 5])], "exact, CPU");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Measurements_of_emscan_0_2_0_are_taken_over_once_and_bit_for_bit()
    {
        string adapter = new('b', 64);
        Measurement first = Random(1), second = Random(2);
        Write(Header(_definition.Fingerprint), Record("base", "base", first), "damaged", Record(adapter, "a/checkpoint-1", second));
        using CellStore store = CellStore.Open(_folder["store"]);
        Assert.Contains("2 measurement(s) of emscan 0.2.0 taken over, 1 damaged", OldJournal.TakeOver(_folder.Root, _definition, CellOf, store));
        AssertSame(first, store, CellOf(Variant.Base).Key(_definition.Model));
        AssertSame(second, store, CellOf(Variant.Base).KeyUnder(_definition.Model, adapter));
        Assert.True(store.WasDifferentAt(CellOf(Variant.Of(new AdapterSource("a/checkpoint-1"))).Place(_definition.Model), CellKey.Of("another content")));
        Assert.Null(OldJournal.TakeOver(_folder.Root, _definition, CellOf, store));
        Assert.Equal(2, store.Count);
    }

    [Fact]
    public void A_journal_of_another_scan_is_refused_with_a_sentence()
    {
        Write(Header(new string('c', 64)), Record("base", "base", Random(1)));
        using CellStore store = CellStore.Open(_folder["store"]);
        Assert.Contains("not written by emscan 0.2.0 for this scan", OldJournal.TakeOver(_folder.Root, _definition, CellOf, store));
        Assert.Equal(0, store.Count);
    }

    [Fact]
    public void Without_a_journal_there_is_nothing_to_say()
    {
        using CellStore store = CellStore.Open(_folder["store"]);
        Assert.Null(OldJournal.TakeOver(_folder.Root, _definition, CellOf, store));
    }

    private Cell CellOf(Variant variant) => new(variant, new PromptSet("prompts", _definition.Prompts), 1, new ProjectionReducer(_definition.Directions, 2));

    private void Write(params string[] lines) =>
        File.WriteAllText(_folder[$"scan-{_definition.Fingerprint[..16]}.journal"], string.Concat(lines.Select(line => line + "\n")));

    // As RunJournal of 0.2.0 wrote them.
    private static string Line(string json) => $"{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(json)))[..16]} {json}";

    private static string Header(string fingerprint) => Line($$"""{"format":"emscan-journal","version":1,"fingerprint":"{{fingerprint}}"}""");

    private static string Record(string key, string path, Measurement m) => Line(
        $$"""{"key":"{{key}}","path":"{{path}}","projections":"{{Base64<double>(m.Projections)}}","norms":"{{Base64<double>(m.Norms)}}","mean_hidden":"{{Base64<float>(m.MeanHidden)}}"}""");

    private static string Base64<T>(T[] values) where T : unmanaged => Convert.ToBase64String(MemoryMarshal.AsBytes<T>(values));

    private static Measurement Random(int seed)
    {
        var random = new Random(seed);
        return new Measurement(Values(6), Values(3), [.. Values(5).Select(v => (float)v)]);

        double[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble())];
    }

    private static void AssertSame(Measurement expected, CellStore store, CellKey key)
    {
        Assert.True(store.TryGet(key, out CellResult? actual));
        Assert.True(expected.SameNumbers(Measurement.From(actual)));
    }
}
