using System.Runtime.CompilerServices;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>
/// emscan loads llama.cpp in this process, before any test: a process has one log, and it is a host's where the host has loaded LLamaSharp first,
/// as <see cref="AttachTests"/> does. Without this the tests of the log depend on the order in which classes run.
/// </summary>
internal static class LlamaFirst
{
    [ModuleInitializer]
    internal static void Load() => LlamaLibrary.Load(null, allowFallback: true);
}
