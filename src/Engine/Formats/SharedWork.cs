using System.Diagnostics;

namespace EmScan.Engine.Formats;

/// <summary>
/// Work that one of several processes does and the others wait for: whoever makes the file <c>TARGET.claim</c> first does it, and keeps
/// writing to that file while it does. No lock of a network file system is trusted: the file is made exclusively, which NFS does
/// atomically, and a claim that nobody has written to for a while belongs to a process that is gone. Then two may do the work at the same
/// time; the first result that is there is everybody's.
/// </summary>
internal static class SharedWork
{
    private const string Extension = ".claim";

    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    /// <summary>Longer than a client of a network file system keeps what it knows of a file.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(90);

    /// <summary>Gives what is there, or makes it, or waits until somebody else has made it.</summary>
    /// <param name="target">What the work is for; its claim lies beside it.</param>
    /// <param name="owner">Names this process among those that share, such as "shard 2/8"; a claim of that name is an earlier life's and is taken over.</param>
    /// <param name="find">What is there, or null. Called again and again.</param>
    /// <param name="make">Makes it; when it returns, <paramref name="find"/> finds it.</param>
    /// <param name="waits">Called once when another process is at it.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="InputFileException">The folder cannot be written.</exception>
    internal static T Once<T>(string target, string owner, Func<T?> find, Action make, Action? waits = null, CancellationToken cancellationToken = default) where T : class
    {
        string claim = target + Extension;
        string? seen = null;
        long since = 0;
        bool said = false;
        while (true)
        {
            if (find() is { } there) return there;
            if (Take(claim, owner) is { } held)
            {
                using (held)
                {
                    // Somebody may have finished between the look and the claim.
                    if (find() is { } made) return made;
                    make();
                    return find() ?? throw new InvalidOperationException($"{target} was made and is not there.");
                }
            }

            string? now = Read(claim);
            if (now == null) continue;
            if (now != seen) (seen, since) = (now, Stopwatch.GetTimestamp());
            if (now.StartsWith(owner + "\n", StringComparison.Ordinal) || Stopwatch.GetElapsedTime(since) > Silence)
            {
                Drop(claim);
                continue;
            }

            if (!said) waits?.Invoke();
            said = true;
            if (cancellationToken.WaitHandle.WaitOne(Poll)) cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Puts a file into its place unless one is there: who comes second uses the first one's.</summary>
    /// <param name="target">The place.</param>
    /// <param name="write">Writes the file at the path that it is given.</param>
    internal static void Publish(string target, Action<string> write)
    {
        string temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        try
        {
            write(temporary);
            File.Move(temporary, target, overwrite: false);
        }
        catch (IOException e) when (File.Exists(target))
        {
            // Somebody else's is there, and everybody uses that one.
            _ = e;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(target, $"cannot be written ({InputFile.OneLine(e.Message)})", e);
        }
        finally
        {
            if (File.Exists(temporary)) File.Delete(temporary);
        }
    }

    private static Claim? Take(string path, string owner)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            return new Claim(path, file, owner);
        }
        catch (IOException) when (File.Exists(path))
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, $"cannot be written ({InputFile.OneLine(e.Message)})", e);
        }
    }

    private static string? Read(string path)
    {
        if (FileNature.IsSpecial(path)) throw new InputFileException(path, "is a pipe or a device, and nobody's claim; somebody put it there: remove it.");
        try
        {
            // Opened each time: that is when a network file system looks at what others have written.
            using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
            return reader.ReadToEnd();
        }
        catch (IOException)
        {
            // Given up a moment ago.
            return null;
        }
        catch (UnauthorizedAccessException e)
        {
            throw new InputFileException(path, "belongs to another user and cannot be read; who shares a folder needs a umask that lets the others read (umask 002).", e);
        }
    }

    private static void Drop(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (IOException)
        {
            // Somebody else was faster.
        }
        catch (UnauthorizedAccessException e)
        {
            throw new InputFileException(path, "is left of a process that is gone, and belongs to another user; remove it, and share the folder with a umask that lets the others write (umask 002).", e);
        }
    }

    /// <summary>The claim of this process: its name, and a mark for every beat.</summary>
    private sealed class Claim : IDisposable
    {
        private readonly string _path;
        private readonly FileStream _file;
        private readonly Timer _timer;
        private readonly Lock _gate = new();

        internal Claim(string path, FileStream file, string owner)
        {
            (_path, _file) = (path, file);
            _file.Write(System.Text.Encoding.UTF8.GetBytes($"{owner}\n{Guid.NewGuid():N}\n"));
            _timer = new Timer(_ => Mark(), null, Beat, Beat);
        }

        private void Mark()
        {
            lock (_gate)
            {
                try
                {
                    _file.Write("."u8);
                }
                catch (Exception e) when (e is IOException or ObjectDisposedException)
                {
                    // Others then take this process for dead and do the work as well; nothing is lost.
                    _ = e;
                }
            }
        }

        public void Dispose()
        {
            _timer.Dispose();
            lock (_gate) _file.Dispose();
            Drop(_path);
        }
    }
}
