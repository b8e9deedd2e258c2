using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace EmScan.Kernels.Ilgpu;

/// <summary>
/// One thread that does all of the work of a device, in the order in which it is asked: ILGPU's OpenCL gives wrong bits when several
/// threads use one accelerator, and CUDA's current context belongs to a thread.
/// </summary>
/// <remarks>Thread safe.</remarks>
internal sealed class OwnerThread : IDisposable
{
    private readonly BlockingCollection<Work> _waiting = [];
    private readonly Thread _thread;

    /// <summary>Starts the thread.</summary>
    public OwnerThread(string name)
    {
        _thread = new Thread(Serve) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>Does something on the thread and returns when it is done.</summary>
    /// <exception cref="ObjectDisposedException">The thread has ended.</exception>
    public void Run(Action action)
    {
        if (Thread.CurrentThread == _thread)
        {
            action();
            return;
        }

        using Work work = new(action);
        try
        {
            _waiting.Add(work);
        }
        catch (InvalidOperationException)
        {
            throw new ObjectDisposedException(_thread.Name);
        }

        work.Done.Wait();
        work.Failure?.Throw();
    }

    /// <summary>Ends the thread after what waits is done.</summary>
    public void Dispose()
    {
        if (_waiting.IsAddingCompleted)
            return;
        _waiting.CompleteAdding();
        if (Thread.CurrentThread != _thread)
            _thread.Join();
    }

    private void Serve()
    {
        foreach (Work work in _waiting.GetConsumingEnumerable())
        {
            try
            {
                work.Action();
            }
#pragma warning disable CA1031 // Whatever it is, it belongs to the caller.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                work.Failure = ExceptionDispatchInfo.Capture(failure);
            }

            work.Done.Set();
        }
    }

    private sealed class Work(Action action) : IDisposable
    {
        public Action Action => action;

        public ManualResetEventSlim Done { get; } = new();

        public ExceptionDispatchInfo? Failure { get; set; }

        public void Dispose() => Done.Dispose();
    }
}
