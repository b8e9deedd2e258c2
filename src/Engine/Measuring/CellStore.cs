using System.Diagnostics.CodeAnalysis;
using EmScan.Engine.Formats;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Results of cells on disk, by key: what was measured once is never measured again, by this process or any other that uses the folder.
/// </summary>
/// <remarks>
/// <para>A folder with one append-only file for each writer, cells-MACHINE-N.emscan; any number of processes may write and read at the
/// same time. A file belongs to the process that holds the lock file beside it. A writer that is killed loses at most the cell that it was
/// writing: the torn end of its file is cut off by whoever writes to that file next, and ignored by everybody else.</para>
/// <para>Only where each result lies is kept in memory, some 80 bytes; results are read back when they are asked for. Thread safe.</para>
/// </remarks>
internal sealed partial class CellStore : IDisposable
{
    private const string Extension = ".emscan";

    private readonly Lock _gate = new();
    private readonly Dictionary<CellKey, Record> _records = [];
    private readonly Dictionary<ulong, CellKey> _keyByPlace = [];
    private readonly List<StoreFile> _files = [];
    private readonly bool _fresh;
    private readonly StoreFile _own;
    private readonly FileStream _lock;
    private readonly FileStream _writer;
    private CellIndex? _index;
    private int _ownRecords;

    private CellStore(string folder, bool fresh, FileStream @lock, FileStream writer)
    {
        Folder = folder;
        _fresh = fresh;
        _lock = @lock;
        _writer = writer;
        _own = new StoreFile(writer.Name, writer.SafeFileHandle);
        _files.Add(_own);
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>Results that can be read.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _records.Count;
        }
    }

    /// <summary>Places in the files that hold no record although they should: damaged. What they held is measured again.</summary>
    public int Damaged
    {
        get
        {
            lock (_gate) return _files.Sum(f => f.Damaged);
        }
    }

    /// <summary>Opens the store in a folder, or starts it.</summary>
    /// <param name="folder">Created if missing.</param>
    /// <param name="fresh">Whether what is on record so far counts as unknown; it stays in the files.</param>
    /// <param name="writer">Letters and digits that name this writer, where processes of one machine cannot rely on its locks; or null.</param>
    /// <exception cref="InputFileException">The folder cannot be read or written.</exception>
    public static CellStore Open(string folder, bool fresh = false, string? writer = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        FileStream? held = null, file = null;
        CellStore? store = null;
        try
        {
            Directory.CreateDirectory(folder);
            string path = Claim(folder, writer, out held);
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            store = new CellStore(folder, fresh, held, file);
            store.ReadOwn();
            store.Refresh();
            return store;
        }
        catch (Exception e)
        {
            if (store != null)
            {
                store.Dispose();
            }
            else
            {
                file?.Dispose();
                held?.Dispose();
            }

            if (e is IOException or UnauthorizedAccessException)
                throw new InputFileException(folder, $"measurements cannot be kept there; give another output or cache folder ({e.Message})", e);
            throw;
        }
    }

    /// <summary>Looks for what other writers have added since.</summary>
    /// <exception cref="InputFileException">The folder or a file cannot be read.</exception>
    public void Refresh()
    {
        lock (_gate)
        {
            foreach (string path in FilesOf(Folder))
            {
                if (Path.GetFullPath(path) == Path.GetFullPath(_own.Path)) continue;
                if (FileNature.IsSpecial(path)) throw new InputFileException(path, "is a pipe or a device, and no file of measurements; somebody put it there: remove it");
                try
                {
                    StoreFile? file = _files.Find(f => f.Path == path);
                    if (file == null)
                    {
                        file = new StoreFile(path, File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
                        _files.Add(file);
                    }

                    Index(file);
                }
                catch (FileNotFoundException)
                {
                    // Another process has merged it away since the folder was listed.
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    throw new InputFileException(path, $"cannot be read ({e.Message})", e);
                }
            }
        }
    }

    private static string[] FilesOf(string folder)
    {
        try
        {
            return [.. Directory.EnumerateFiles(folder, $"cells-*{Extension}").Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(folder, $"measurements cannot be read there ({e.Message})", e);
        }
    }

    /// <summary>Whether a result is on record.</summary>
    public bool Contains(CellKey key)
    {
        lock (_gate) return _records.ContainsKey(key);
    }

    /// <summary>Reads the result on record for a key, if there is one.</summary>
    /// <returns>False also for a record that turns out to be damaged: it is forgotten, so that its cell is measured again.</returns>
    /// <exception cref="InputFileException">The file cannot be read.</exception>
    public bool TryGet(CellKey key, [NotNullWhen(true)] out CellResult? result)
    {
        result = null;
        Record record;
        lock (_gate)
        {
            if (!_records.TryGetValue(key, out record)) return false;
        }

        byte[] payload = new byte[record.Length];
        try
        {
            if (RandomAccess.Read(record.File.Handle, payload, record.Offset) == payload.Length && CellFile.Checksum(payload) == record.Checksum)
                result = CellResult.Decode(payload);
        }
        catch (IOException e)
        {
            throw new InputFileException(record.File.Path, $"cannot be read back ({e.Message})", e);
        }

        if (result != null) return true;
        lock (_gate)
        {
            record.File.Damaged++;
            _records.Remove(key);
        }

        return false;
    }

    /// <summary>True when something at the same place is on record under another key only: the adapter was changed or replaced since.</summary>
    internal bool WasDifferentAt(ulong place, CellKey key)
    {
        lock (_gate) return _keyByPlace.TryGetValue(place, out CellKey known) && known != key;
    }

    private void Index(StoreFile file)
    {
        if (file.End == 0) file.End = CellIndex.Read(file.Path, file.Handle, Expect, (frame, offset) => Found(file, frame, offset));
        (file.End, int damaged) = CellFile.Scan(file.Handle, file.End, (frame, offset) => Found(file, frame, offset));
        file.Damaged += damaged;
    }

    // Growing step by step to a million would leave twice as much behind.
    private void Expect(long records)
    {
        int room = (int)Math.Min(records, 1 << 28);
        _keyByPlace.EnsureCapacity(_keyByPlace.Count + room);
        if (!_fresh) _records.EnsureCapacity(_records.Count + room);
    }

    private void Found(StoreFile file, CellFrame frame, long offset)
    {
        _keyByPlace[frame.Place] = frame.Key;
        if (!_fresh) _records[frame.Key] = new Record(file, offset, frame.Length, frame.PayloadChecksum);
    }

    /// <summary>Releases the files.</summary>
    public void Dispose()
    {
        bool empty = !_writer.SafeFileHandle.IsClosed && _writer.Length == 0;
        foreach (StoreFile file in _files) file.Handle.Dispose();
        _writer.Dispose();
        _index?.Dispose();

        try
        {
            // An empty file is of no use to anybody.
            if (empty) File.Delete(_own.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Nor does it harm anybody; what went wrong with the folder is told by whoever needed it.
        }

        _lock.Dispose();
    }

    private sealed class StoreFile(string path, SafeFileHandle handle)
    {
        internal string Path { get; } = path;
        internal SafeFileHandle Handle { get; } = handle;
        internal long End { get; set; }
        internal int Damaged { get; set; }
    }

    private readonly record struct Record(StoreFile File, long Offset, uint Length, ulong Checksum);
}

/// <summary>A result on its way into the store.</summary>
/// <param name="Key">Its cell.</param>
/// <param name="Place">Its cell without the adapters' contents.</param>
/// <param name="Result">The result.</param>
internal readonly record struct StoredCell(CellKey Key, ulong Place, CellResult Result);
