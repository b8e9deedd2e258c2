using System.Diagnostics;

namespace EmScan.Kernels;

/// <summary>
/// A fixed number of threads that share out the parts of one job at a time: each takes the next part that nobody has. Between jobs they
/// spin for a tenth of a millisecond, and then sleep.
/// </summary>
/// <remarks>No call of <see cref="Run"/> allocates. One caller at a time. A job must not throw.</remarks>
internal sealed class WorkerThreads : IDisposable
{
    private readonly Thread[] _helpers;
    private readonly SemaphoreSlim _start = new(0);
    private readonly SemaphoreSlim _done = new(0);
    private Action<int, int>? _job; // null: the helpers go home
    private int _parts;
    private int _taken;
    private bool _ended;

    /// <summary>Starts the threads.</summary>
    /// <param name="threads">How many work on a job, the caller of <see cref="Run"/> among them; at least 1.</param>
    public WorkerThreads(int threads)
    {
        _helpers = new Thread[threads - 1];
        for (int i = 0; i < _helpers.Length; i++)
        {
            int worker = i + 1;
            _helpers[i] = new Thread(() => Help(worker)) { IsBackground = true, Name = $"emscan kernels {worker}" };
            _helpers[i].Start();
        }
    }

    /// <summary>Threads that work on a job.</summary>
    public int Threads => _helpers.Length + 1;

    /// <summary>Runs a job and returns when all of its parts are done.</summary>
    /// <param name="job">Takes the number of a part and of a worker, each from 0 on; at no time do two parts run with the same
    /// worker.</param>
    /// <param name="parts">Number of parts.</param>
    public void Run(Action<int, int> job, int parts)
    {
        int helpers = Math.Min(_helpers.Length, parts - 1);
        _job = job;
        _parts = parts;
        _taken = 0;
        if (helpers > 0)
            _start.Release(helpers);
        TakeParts(0);
        for (int i = 0; i < helpers; i++)
            Await(_done);
    }

    /// <summary>Ends the threads; no job may be at work.</summary>
    public void Dispose()
    {
        if (_ended)
            return;
        _ended = true;
        _job = null;
        if (_helpers.Length > 0)
            _start.Release(_helpers.Length);
        foreach (Thread helper in _helpers)
            helper.Join();
        _start.Dispose();
        _done.Dispose();
    }

    private void Help(int worker)
    {
        for (Await(_start); _job != null; Await(_start))
        {
            TakeParts(worker);
            _done.Release();
        }
    }

    // A thread that sleeps takes longer to come back than many a job takes, and may come back on the processor of the thread that woke it.
    private static void Await(SemaphoreSlim signal)
    {
        long start = Stopwatch.GetTimestamp();
        while (signal.CurrentCount == 0 && Stopwatch.GetTimestamp() - start < Stopwatch.Frequency / 10_000)
            Thread.SpinWait(8);
        signal.Wait();
    }

    private void TakeParts(int worker)
    {
        for (int part; (part = Interlocked.Increment(ref _taken) - 1) < _parts;)
            _job!(part, worker);
    }
}
