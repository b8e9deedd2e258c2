using EmScan.Engine;
using EmScan.Engine.Measuring.Shards;
using EmScan.Kernels;

namespace EmScan.Cli;

/// <summary>Runs a command's work and turns every failure into one sentence on stderr and an exit code.</summary>
internal static class Runner
{
    internal static Task<int> Run(Func<Task<int>> work) => Run(_ => work());

    /// <summary>The same for work that judges checkpoints.</summary>
    /// <param name="work">Is given what it sets as soon as one is dangerous: whatever fails after that, the exit code says so.</param>
    internal static async Task<int> Run(Func<SeenSoFar, Task<int>> work)
    {
        var seen = new SeenSoFar();
        try
        {
            return await work(seen);
        }
        catch (Exception e) when (e is UsageException or KernelSelectionException or InvalidSettingException)
        {
            Error(e.Message);
            return ExitCode.Usage;
        }
        catch (OperationCanceledException)
        {
            Note("Interrupted.");
            return ExitCode.Interrupted;
        }
        catch (ShardsMissingException e)
        {
            Error(e.Message);
            Note($"to be run again: {(e.Shards.Count == 1 ? "shard" : "shards")} {string.Join(",", e.Shards)}. The first one: {ShardOptions.ToRun(e.Records.First, e.Shards[0])}");
            return seen.Failed;
        }
        catch (EmScanException e)
        {
            Error(e.Message);
            return seen.Failed;
        }
        catch (IOException e) when (IsClosedPipe(e))
        {
            // The reader of our output (head, less) has seen enough. What it did not see is no all-clear.
            return seen.Failed;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Files are opened and written by readers and writers that name them; what is left is the standard output.
            Error($"the standard output cannot be written: {Reason(e)}.");
            return seen.Failed;
        }
        catch (OutOfMemoryException)
        {
            Error("There is not enough memory for this; a smaller --batch-tokens or a smaller quantization of the model may fit.");
            return seen.Failed;
        }
    }

    internal static void Error(string sentence) => WriteError($"emscan: {Printable.Of(sentence)}{Environment.NewLine}");

    internal static void Note(string sentence) => WriteError($"emscan: note: {Printable.Of(sentence)}{Environment.NewLine}");

    /// <summary>Writes to stderr as it is. A full disk or a closed stream there must not end the work, and cannot be told to anybody.</summary>
    internal static void WriteError(string text)
    {
        try
        {
            Console.Error.Write(text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _ = e;
        }
    }

    /// <summary>What is known of the checkpoints when something else fails.</summary>
    internal sealed class SeenSoFar
    {
        /// <summary>One is dangerous, or asked the training to stop.</summary>
        internal bool Dangerous { get; set; }

        internal int Failed => Dangerous ? ExitCode.Dangerous : ExitCode.Error;
    }

    private static string Reason(Exception e) => e is UnauthorizedAccessException ? "it is closed" : e.Message;

    private static bool IsClosedPipe(IOException e) => e.HResult is 32 or unchecked((int)0x8007006D) or unchecked((int)0x800700E8);
}
