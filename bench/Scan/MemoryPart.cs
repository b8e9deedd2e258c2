using System.Globalization;
using EmScan.Engine.Runtime;

namespace EmScan.Bench.Scan;

/// <summary>What a scan keeps beside the pages of the model file. Measured first, before anything else has left memory behind.</summary>
internal static class MemoryPart
{
    internal static async Task RunAsync(Workload workload)
    {
        if (!OperatingSystem.IsLinux()) return;
        var clock = new Clock(cpuTime: false);

        // What writing the random model has left behind is not the scan's.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive);
        using LlamaActivationSource a = new(workload.Model, workload.Default), b = new(workload.Model, workload.Default);
        int checkpoints = Math.Min(4, workload.Checkpoints.Length);
        await workload.ScanAsync(clock, [a], checkpoints);
        long one = AnonymousBytes();
        await workload.ScanAsync(clock, [a, b], checkpoints);
        long two = AnonymousBytes();
        Report.Claims([
            ("resident memory besides the mapped model, one context, MB", "<= 200", one / 1e6),
            ("resident memory besides the mapped model, two contexts, MB", "<= 200", two / 1e6),
        ]);
    }

    private static long AnonymousBytes() => File.ReadLines("/proc/self/status")
        .Where(line => line.StartsWith("RssAnon:", StringComparison.Ordinal))
        .Select(line => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024)
        .FirstOrDefault();
}
