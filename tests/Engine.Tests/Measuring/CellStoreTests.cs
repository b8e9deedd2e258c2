using System.Globalization;
using EmScan.Engine.Measuring;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

public sealed class CellStoreTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_was_appended_is_read_back_bit_for_bit()
    {
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            Append(store, 1);
            Append(store, 2);
            AssertHas(store, 1);
        }

        using CellStore again = CellStore.Open(_folder.Root);
        Assert.Equal((2, 0), (again.Count, again.Damaged));
        AssertHas(again, 1);
        AssertHas(again, 2);
        Assert.False(again.TryGet(Key(3), out _));
        Assert.Single(Files());
    }

    [Fact]
    public void An_index_that_is_a_link_is_replaced_and_its_target_left_alone()
    {
        string store = _folder["cells-x-0.emscan"], target = _folder["thesis.txt"];
        File.WriteAllText(target, "precious");
        File.CreateSymbolicLink(CellIndex.PathOf(store), target);
        CellIndex.Create(store, [])!.Dispose();
        Assert.Equal("precious", File.ReadAllText(target));
        Assert.Null(new FileInfo(CellIndex.PathOf(store)).LinkTarget);
    }

    [Fact]
    public void A_writer_killed_at_any_byte_loses_at_most_the_cell_it_was_writing()
    {
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            for (int i = 1; i <= 3; i++) Append(store, i);
        }

        string file = Files().Single();
        byte[] whole = File.ReadAllBytes(file);
        int record = CellFile.FrameSize + Result(1).Encode().Length;
        Assert.Equal(3 * record, whole.Length);
        var random = new Random(5);
        foreach (int cut in Enumerable.Range(0, 40).Select(_ => random.Next(whole.Length + 1)).Concat([0, record, record - 1, record + 1, record + CellFile.FrameSize, 3 * record]))
        {
            File.WriteAllBytes(file, whole[..cut]);
            using (CellStore store = CellStore.Open(_folder.Root))
            {
                Assert.Equal((cut / record, 0), (store.Count, store.Damaged));
                for (int i = 1; i <= cut / record; i++) AssertHas(store, i);
                Append(store, 9);
            }

            using CellStore after = CellStore.Open(_folder.Root);
            Assert.Equal(((cut / record) + 1, 0), (after.Count, after.Damaged));
            AssertHas(after, 9);
        }
    }

    [Fact]
    public void A_last_record_whose_payload_never_reached_the_disk_is_cut_off()
    {
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            Append(store, 1);
            Append(store, 2);
        }

        byte[] bytes = File.ReadAllBytes(Files().Single());
        bytes.AsSpan(bytes.Length - 20).Clear();
        File.WriteAllBytes(Files().Single(), bytes);
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            Assert.Equal(1, store.Count);
            Append(store, 2);
        }

        using CellStore again = CellStore.Open(_folder.Root);
        AssertHas(again, 1);
        AssertHas(again, 2);
    }

    [Theory]
    [InlineData(10)] // in a key
    [InlineData(CellFile.FrameSize + 5)] // in a payload
    public void A_flipped_bit_costs_its_own_record_only(int offset)
    {
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            for (int i = 0; i < 5; i++) Append(store, i);
        }

        string file = Files().Single();
        byte[] bytes = File.ReadAllBytes(file);
        bytes[(2 * bytes.Length / 5) + offset] ^= 1;
        File.WriteAllBytes(file, bytes);
        using CellStore again = CellStore.Open(_folder.Root);
        Assert.False(again.TryGet(Key(2), out _));
        foreach (int i in new[] { 0, 1, 3, 4 }) AssertHas(again, i);
        Assert.Equal((4, 1), (again.Count, again.Damaged));
    }

    [Fact]
    public void Many_writers_share_a_folder_and_see_each_other()
    {
        using CellStore first = CellStore.Open(_folder.Root), second = CellStore.Open(_folder.Root);
        Append(first, 1);
        Append(second, 2);
        Assert.Equal(2, Files().Length);
        Assert.False(first.Contains(Key(2)));
        first.Refresh();
        AssertHas(first, 2);
        Append(second, 3);
        first.Refresh();
        AssertHas(first, 3);
        using CellStore third = CellStore.Open(_folder.Root);
        Assert.Equal(3, third.Count);
    }

    [Fact]
    public void Writers_at_the_same_time_lose_nothing()
    {
        Parallel.For(0, 4, writer =>
        {
            using CellStore store = CellStore.Open(_folder.Root);
            for (int i = 0; i < 25; i++) Append(store, (100 * writer) + i);
        });
        using CellStore all = CellStore.Open(_folder.Root);
        Assert.Equal((100, 0), (all.Count, all.Damaged));
        for (int writer = 0; writer < 4; writer++) AssertHas(all, (100 * writer) + 24);
    }

    [Fact]
    public void A_file_is_taken_up_again_by_the_next_writer()
    {
        for (int i = 0; i < 5; i++)
        {
            using CellStore store = CellStore.Open(_folder.Root);
            Append(store, i);
        }

        Assert.Single(Files());
    }

    [Fact]
    public void Fresh_forgets_what_is_on_record_and_keeps_what_is_new()
    {
        using (CellStore store = CellStore.Open(_folder.Root)) Append(store, 1);
        using (CellStore fresh = CellStore.Open(_folder.Root, fresh: true))
        {
            Assert.False(fresh.Contains(Key(1)));
            Append(fresh, 1);
            AssertHas(fresh, 1);
        }

        using CellStore again = CellStore.Open(_folder.Root);
        AssertHas(again, 1);
    }

    [Fact]
    public void Another_content_at_the_same_place_is_noticed()
    {
        using CellStore store = CellStore.Open(_folder.Root);
        store.Append([new StoredCell(Key(1), 7, Result(1))]);
        Assert.False(store.WasDifferentAt(7, Key(1)));
        Assert.True(store.WasDifferentAt(7, Key(2)));
        Assert.False(store.WasDifferentAt(8, Key(2)));
    }

    [Fact]
    public void A_folder_that_went_away_is_named_when_others_are_looked_for()
    {
        string folder = _folder["store"];
        using CellStore store = CellStore.Open(folder);
        Directory.Delete(folder, recursive: true);
        Assert.Contains("store: measurements cannot be read there", Assert.Throws<InputFileException>(store.Refresh).Message);
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_named()
    {
        File.WriteAllText(_folder["file"], "");
        Assert.Contains(_folder["file"], Assert.Throws<InputFileException>(() => CellStore.Open(_folder["file"])).Message);
    }

    [Fact]
    public void Results_keep_every_bit_and_single_precision_values_take_half_the_room()
    {
        var result = new CellResult(("exact", [1.0 / 3, -0.0, double.MaxValue, double.Epsilon]), ("single", [0.5, -0.0, 3, 1.5f]), ("none", []));
        byte[] bytes = result.Encode();
        CellResult back = CellResult.Decode(bytes)!;
        Assert.True(result.SameNumbers(back));
        Assert.True(double.IsNegative(back["exact"][1]) && double.IsNegative(back["single"][1]));
        Assert.Equal(2 + (3 * 6) + "exact".Length + "single".Length + "none".Length + (4 * 8) + (4 * 4), bytes.Length);
        for (int cut = 0; cut < bytes.Length; cut++) Assert.Null(CellResult.Decode(bytes.AsSpan(0, cut)));
    }

    [Fact]
    public void A_large_file_has_an_index_that_may_be_lost_behind_or_damaged()
    {
        int many = CellIndex.Least + 50;
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            store.Append([.. Enumerable.Range(0, many - 30).Select(i => new StoredCell(Key(i), (ulong)i, Result(i)))]);
            for (int i = many - 30; i < many; i++) Append(store, i);
        }

        string file = Files().Single(), index = CellIndex.PathOf(file);
        byte[] whole = File.ReadAllBytes(index), records = File.ReadAllBytes(file);
        Assert.Equal(80 * many, whole.Length);
        AssertHolds(many);

        // Lost; then behind, torn, cut to nothing; then with a flipped bit anywhere: the records say the same, and the index is made again.
        File.Delete(index);
        AssertHolds(many);
        Assert.Equal(whole, File.ReadAllBytes(index));
        var random = new Random(11);
        foreach (int cut in new[] { 0, 1, 80, 79, whole.Length - 80, whole.Length - 1, random.Next(whole.Length) })
        {
            File.WriteAllBytes(index, whole[..cut]);
            AssertHolds(many);
            Assert.Equal(whole, File.ReadAllBytes(index));
        }

        for (int round = 0; round < 20; round++)
        {
            byte[] flipped = [.. whole];
            flipped[random.Next(whole.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(index, flipped);
            AssertHolds(many);
            Assert.Equal(whole, File.ReadAllBytes(index));
        }

        // Its last record spoiled by a write that was lost: nobody is told that it is there.
        byte[] spoiled = [.. records];
        spoiled[^1] ^= 1;
        File.WriteAllBytes(file, spoiled);
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            Assert.False(store.Contains(Key(many - 1)));
            Assert.Equal((many - 1, 1), (store.Count, store.Damaged));
        }

        File.WriteAllBytes(index, whole);

        // Of more records than there are: the file was cut, and others were written since.
        int record = records.Length / many;
        File.WriteAllBytes(file, records[..(record * (many - 10))]);
        using (CellStore store = CellStore.Open(_folder.Root))
        {
            Assert.Equal((many - 10, 0), (store.Count, store.Damaged));
            for (int i = 0; i < 10; i++) Append(store, 100_000 + i);
        }

        using CellStore again = CellStore.Open(_folder.Root);
        Assert.Equal((many, 0), (again.Count, again.Damaged));
        AssertHas(again, 100_009);
        Assert.False(again.Contains(Key(many - 1)));

        void AssertHolds(int count)
        {
            using CellStore store = CellStore.Open(_folder.Root);
            Assert.Equal((count, 0), (store.Count, store.Damaged));
            foreach (int i in new[] { 0, 17, CellIndex.Least, count - 1 }) AssertHas(store, i);
        }
    }

    private string[] Files() => Directory.GetFiles(_folder.Root, "*.emscan");

    private static CellKey Key(int i) => CellKey.Of(i.ToString(CultureInfo.InvariantCulture));

    private static void Append(CellStore store, int i) => store.Append([new StoredCell(Key(i), (ulong)i, Result(i))]);

    private static CellResult Result(int seed)
    {
        var random = new Random(seed);
        return new CellResult(("values", [.. Enumerable.Range(0, 9).Select(_ => random.NextDouble())]), ("singles", [seed, 0.25]));
    }

    private static void AssertHas(CellStore store, int i)
    {
        Assert.True(store.TryGet(Key(i), out CellResult? result));
        Assert.True(Result(i).SameNumbers(result));
    }
}
