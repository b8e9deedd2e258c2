using System.Buffers.Binary;
using System.Diagnostics;
using EmScan.Engine.Reports.Exports;
using EmScan.Engine.Tests.Support;
using Tensorboard;

namespace EmScan.Engine.Tests.Reports;

public class TensorBoardTests
{
    /// <summary>Read back by the classes that TorchSharp generates from TensorFlow's own event.proto.</summary>
    [Fact]
    public void EventsAreReadByAnIndependentReader()
    {
        using var folder = new TemporaryFolder();
        var writer = new TensorBoardWriter(Path.Combine(folder.Root, "run"));
        writer.Add(10, [("drift/honesty", -0.0125), ("drift/größe", 3e10)]);
        writer.Add(long.MaxValue, [("em_rate", 0.5)]);

        string file = Assert.Single(Directory.GetFiles(Path.Combine(folder.Root, "run")));
        Assert.Contains("tfevents", Path.GetFileName(file));
        Event[] events = [.. Records(File.ReadAllBytes(file)).Select(Event.Parser.ParseFrom)];
        Assert.Equal(3, events.Length);
        Assert.Equal("brain.Event:2", events[0].FileVersion);
        Assert.All(events, e => Assert.InRange(e.WallTime, 1.7e9, 1e11));
        Assert.Equal(10, events[1].Step);
        Assert.Equal(["drift/honesty", "drift/größe"], events[1].Summary.Value.Select(v => v.Tag));
        Assert.Equal([-0.0125f, 3e10f], events[1].Summary.Value.Select(v => v.SimpleValue));
        Assert.Equal(long.MaxValue, events[2].Step);
    }

    /// <summary>And by the protocol buffer compiler of the distribution, from a schema written down from TensorFlow's documentation.</summary>
    [ProtocFact]
    public void EventsAreReadByProtoc()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["event.proto"], """
            syntax = "proto3";
            message Event { double wall_time = 1; int64 step = 2; oneof what { string file_version = 3; Summary summary = 5; } }
            message Summary { message Value { string tag = 1; oneof value { float simple_value = 2; } } repeated Value value = 1; }
            """);
        var writer = new TensorBoardWriter(folder["run"]);
        writer.Add(10, [("drift/honesty", -0.0125), ("forecast/rate", 0.5)]);
        byte[][] records = [.. Records(File.ReadAllBytes(writer.FilePath))];
        Assert.Equal(2, records.Length);
        Assert.Contains("file_version: \"brain.Event:2\"", Decode(records[0]));
        string text = Decode(records[1]);
        Assert.Contains("step: 10", text);
        Assert.Matches("tag: \"drift/honesty\"\\s+simple_value: -0.0125", text);
        Assert.Matches("tag: \"forecast/rate\"\\s+simple_value: 0.5", text);
        Assert.DoesNotMatch("(?m)^ *[0-9]+:", text); // a field that the schema does not have

        string Decode(byte[] record)
        {
            using Process process = Process.Start(new ProcessStartInfo(ProtocFactAttribute.Program, ["--decode=Event", $"--proto_path={folder.Root}", "event.proto"])
            { RedirectStandardInput = true, RedirectStandardOutput = true })!;
            process.StandardInput.BaseStream.Write(record);
            process.StandardInput.Close();
            string decoded = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            return decoded;
        }
    }

    [Fact]
    public void NoHandleStaysOpenHoweverManyRunsThereAre()
    {
        if (!Directory.Exists("/proc/self/fd")) return;
        using var folder = new TemporaryFolder();
        TensorBoardWriter[] writers = [.. Enumerable.Range(0, 50).Select(i => new TensorBoardWriter(folder[$"run-{i}"]))];
        foreach (TensorBoardWriter writer in writers) writer.Add(1, [("a", 1)]);
        string[] open = [.. Directory.GetFiles("/proc/self/fd").Select(f => new FileInfo(f).LinkTarget ?? "")];
        Assert.DoesNotContain(open, target => target.StartsWith(folder.Root, StringComparison.Ordinal));
    }

    [Fact]
    public void WhatIsWrittenCanBeReadWhileTheFileGrows()
    {
        using var folder = new TemporaryFolder();
        var writer = new TensorBoardWriter(folder.Root);
        for (int step = 1; step <= 5; step++)
        {
            writer.Add(step, [("a", step)]);
            using var stream = new FileStream(writer.FilePath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            Assert.Equal(step + 1, Records(bytes).Count());
        }
    }

    /// <summary>The check value of CRC-32C (RFC 3720, B.4) is 0xE3069283, which the record format rotates and shifts.</summary>
    [Fact]
    public void TheChecksumIsCastagnolis()
    {
        uint expected = ((0xE3069283u >> 15) | (0xE3069283u << 17)) + 0xA282EAD8u;
        Assert.Equal(expected, TensorBoardWriter.MaskedCrc("123456789"u8));
    }

    [Fact]
    public void AFolderThatCannotBeMadeIsOneSentence()
    {
        using var folder = new TemporaryFolder();
        string file = Path.Combine(folder.Root, "file");
        File.WriteAllText(file, "");
        var e = Assert.Throws<InputFileException>(() => new TensorBoardWriter(Path.Combine(file, "run")));
        Assert.Contains(file, e.Message);
    }

    /// <summary>Splits a file into records, with a checksum computed bit by bit.</summary>
    private static IEnumerable<byte[]> Records(byte[] file)
    {
        int at = 0;
        while (at < file.Length)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at));
            Assert.Equal(Masked(file.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 8)));
            byte[] data = file[(at + 12)..(at + 12 + length)];
            Assert.Equal(Masked(data), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 12 + length)));
            yield return data;
            at += 12 + length + 4;
        }
    }

    private static uint Masked(ReadOnlySpan<byte> data)
    {
        uint crc = 0xFFFFFFFF;
        foreach (byte b in data)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
        }

        crc = ~crc;
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
    }
}

/// <summary>A test that needs Debian's protoc; it is skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class ProtocFactAttribute : FactAttribute
{
    internal const string Program = "/usr/bin/protoc";

    public ProtocFactAttribute() => Skip = File.Exists(Program) ? null : "protoc is not installed (Debian: apt-get install protobuf-compiler).";
}
