using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring;

/// <content>The file that this process writes: how it is claimed, read at the start, and added to.</content>
internal sealed partial class CellStore
{
    /// <summary>Adds results and returns once they are on the disk.</summary>
    /// <exception cref="InputFileException">The disk is full or the file cannot be written.</exception>
    internal void Append(IReadOnlyList<StoredCell> cells)
    {
        lock (_gate)
        {
            long end = _own.End;
            var added = new List<(StoredCell Cell, Record Record)>(cells.Count);
            try
            {
                _writer.Position = end;
                foreach (StoredCell cell in cells)
                {
                    byte[] payload = cell.Result.Encode();
                    _writer.Write(CellFile.Record(cell.Key, cell.Place, payload));
                    added.Add((cell, new Record(_own, end + CellFile.FrameSize, (uint)payload.Length, CellFile.Checksum(payload))));
                    end += CellFile.FrameSize + payload.Length;
                }

                _writer.Flush(flushToDisk: true);
            }
            catch (IOException e)
            {
                throw new InputFileException(_own.Path, $"cannot be written ({e.Message}); what was measured before is kept, free some space and run the same command again.", e);
            }

            _own.End = end;
            foreach ((StoredCell cell, Record record) in added)
            {
                _records[cell.Key] = record;
                _keyByPlace[cell.Place] = cell.Key;
            }

            _ownRecords += added.Count;
            AddToIndex(added);
        }
    }

    // The first file of this machine that nobody writes to, or a new one. Lock files stay: deleting one while another process waits for it
    // would leave two owners.
    private static string Claim(string folder, string? writer, out FileStream held)
    {
        string machine = string.Concat(Environment.MachineName.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')) + (writer == null ? "" : $"-{writer}");
        for (int n = 0; ; n++)
        {
            string path = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"cells-{machine}-{n}{Extension}")), name = path + ".lock";

            // Others may write to the folder as well, and a link of theirs leads to any file of this user's.
            if (IsLinkOrSpecial(path) || IsLinkOrSpecial(name)) continue;
            try
            {
                held = new FileStream(name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
                return path;
            }
            catch (Exception e) when (e is UnauthorizedAccessException or (IOException and not (DirectoryNotFoundException or PathTooLongException)) && File.Exists(name) && n < 1024)
            {
                // Somebody else's: another process's, or another user's.
            }
        }
    }

    private static bool IsLinkOrSpecial(string path) => new FileInfo(path).LinkTarget != null || FileNature.IsSpecial(path);

    private void ReadOwn()
    {
        lock (_gate)
        {
            int indexed = 0;
            var behind = new List<(CellFrame, long)>();
            _own.End = CellIndex.Read(_own.Path, _own.Handle, Expect, (frame, offset) => { Found(_own, frame, offset); indexed++; });
            if (_own.End == 0) indexed = 0;
            (_own.End, _own.Damaged) = CellFile.Scan(_own.Handle, _own.End, (frame, offset) => { Found(_own, frame, offset); behind.Add((frame, offset)); });
            _ownRecords = indexed + behind.Count;
            if (_ownRecords >= CellIndex.Least) _index = indexed > 0 ? CellIndex.GoOn(_own.Path, indexed, behind) : CellIndex.Create(_own.Path, behind);
        }

        // Behind the last whole record is what a killed writer left unfinished; where nothing is before it, it must be the beginning of one.
        if (_own.End == 0 && _writer.Length > 0 && !CellFile.MayBegin(_own.Handle))
            throw new InputFileException(_own.Path, "holds no measurements of emscan, and is left as it is; move it away, or give another output or cache folder");
        if (_writer.Length > _own.End) _writer.SetLength(_own.End);
    }

    private void AddToIndex(List<(StoredCell Cell, Record Record)> added)
    {
        try
        {
            if (_index == null && _ownRecords >= CellIndex.Least && _ownRecords - added.Count < CellIndex.Least)
            {
                var all = new List<(CellFrame, long)>(_ownRecords);
                CellFile.Scan(_own.Handle, 0, (frame, offset) => all.Add((frame, offset)));
                _index = CellIndex.Create(_own.Path, all);
                return;
            }

            foreach ((StoredCell cell, Record record) in added)
                _index?.Add(new CellFrame(cell.Key, cell.Place, record.Length, record.Checksum), record.Offset);
            _index?.Flush();
        }
        catch (IOException)
        {
            // The records are on the disk, and say all that an index would; the next one who opens the file makes a new one.
            _index?.Dispose();
            _index = null;
        }
    }
}
