using System.Runtime.CompilerServices;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Running;

/// <summary>
/// Follows trainings as they write: looks for new checkpoints, and scores each as soon as it is complete by the rule of
/// <see cref="CheckpointCompleteness"/>. What was scored is on record, so a watch that is stopped and started again, or a scan later,
/// measures nothing twice.
/// </summary>
/// <remarks>
/// Never writes into a checkpoint: trainers choose by modification time which to delete. Memory: a few hundred bytes for each checkpoint.
/// Several watchers, and scans, may look at the same folder with the same record; what one has measured the others take from there.
/// Not thread safe.
/// </remarks>
/// <param name="request">What is watched.</param>
/// <param name="session">The model, ready to measure.</param>
/// <param name="judge">What verdicts rest on.</param>
/// <param name="model">The model's header.</param>
/// <param name="time">Clock; the system's when null.</param>
internal sealed class Watcher(WatchRequest request, ScanSession session, Judge judge, GgufFile model, TimeProvider? time = null)
{
    /// <summary>With more than this many waiting, they no longer come in the order of their steps: see <see cref="InOrder"/>.</summary>
    private const int Backlog = 3;

    /// <summary>So often is a checkpoint tried whose reading fails while it changes, and a folder looked for that was there.</summary>
    private const int Attempts = 3;

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Dictionary<string, Known> _known = [];
    private readonly Dictionary<string, (CheckpointStep Last, DateTime Written)> _lastOfRun = [];
    private readonly HashSet<string> _said = [];
    private readonly HashSet<string> _rootsSeen = [];
    private readonly AdapterCensus _census = new(model);
    private Assessor? _assessor;
    private DateTimeOffset _lastNews;
    private long _highestStep = -1;
    private int _looksInVain; // in a row: the look failed, or a folder that was there is not

    /// <summary>Checkpoints that were seen and went away before they could be scored.</summary>
    public int RotatedAway { get; private set; }

    /// <summary>Checkpoints that are seen and not scored yet, most likely because they are not complete.</summary>
    public int Waiting => _known.Values.Count(k => k.State == Progress.Waiting);

    /// <summary>Rows and remarks as they come, until an end of the request is reached or the token is cancelled.</summary>
    /// <exception cref="EmScanException">The base model cannot be measured, or the record cannot be written.</exception>
    public async IAsyncEnumerable<WatchEvent> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        _lastNews = _time.GetUtcNow();
        for (bool first = true; ; first = false)
        {
            // Asked before the look: what was there at the end is still scored.
            bool over = IsOver();
            var notes = new List<Remark>();
            List<Checkpoint> ready = Look(notes);
            if (first) foreach (Checkpoint checkpoint in ready) _known[checkpoint.Path].FromBefore = true;
            if (ready.Count(c => !_known[c.Path].FromBefore) > Backlog && _said.Add("behind"))
                notes.Add(new Remark("behind", $"{ready.Count} checkpoints wait: the training saves faster than they are read, so the newest and the oldest come in turn; more threads help."));
            foreach (Remark note in notes) yield return new WatchEvent.Note(note);
            if (ready.Count == 0 && over && !OutOfSight && !WaitsForSettling()) yield break;

            bool scored = false;
            int tried = 0;
            long looked = _time.GetTimestamp();
            foreach (Checkpoint checkpoint in InOrder(ready))
            {
                await foreach (WatchEvent happening in ScoreAsync(checkpoint, cancellationToken).ConfigureAwait(false))
                {
                    scored |= happening is WatchEvent.Row;
                    yield return happening;
                }

                // What has come meanwhile may be newer, or may soon be rotated away. By twos: the newest, and the oldest.
                if (++tried % 2 == 0 && _time.GetElapsedTime(looked) >= request.Poll) break;
            }

            if (scored) _lastNews = _time.GetUtcNow();
            else await Task.Delay(request.Poll, _time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// What has come since the watch began goes before what was there. Where too many wait, the newest and the oldest of it come in turn: an alarm
    /// should be about now, and the oldest is what the training deletes next.
    /// </summary>
    private IEnumerable<Checkpoint> InOrder(List<Checkpoint> ready)
    {
        Checkpoint[] fresh = [.. ready.Where(c => !_known[c.Path].FromBefore)];
        if (fresh.Length > Backlog)
        {
            Checkpoint[] byAge = [.. fresh.OrderBy(c => _known[c.Path].Stamp.WeightsWritten)];
            fresh = [.. byAge.Select((_, i) => i % 2 == 0 ? byAge[^((i / 2) + 1)] : byAge[i / 2])];
        }

        return fresh.Concat(ready.Where(c => _known[c.Path].FromBefore));
    }

    /// <summary>The step to end at, where a checkpoint of it, or of a later one, was scored; null before.</summary>
    private long? LastStep => request.Until.OfType<WatchEnd.AtStep>().Where(at => _highestStep >= at.Step).Max(at => (long?)at.Step);

    private bool IsOver() => request.Until.Any(end => end switch
    {
        WatchEnd.ExitOf process => !process.IsRunning,
        WatchEnd.FileExists file => File.Exists(file.Path),
        WatchEnd.Idle idle => _time.GetUtcNow() - _lastNews >= idle.Time,
        WatchEnd.AtStep => LastStep != null,
        _ => false,
    });

    /// <summary>After the end of a process or at a file, what it left may still have to lie still for the quiet time.</summary>
    private bool WaitsForSettling() => request.Until.Any(end => end is WatchEnd.ExitOf or WatchEnd.FileExists) && _known.Values.Any(k => k.State == Progress.Waiting && k.MaySettle);

    /// <summary>Folders are away for a moment, such as a network folder: nothing follows from what is not seen there.</summary>
    private bool OutOfSight => _looksInVain is > 0 and < Attempts;

    /// <summary>Looks at the folders: what is ready to be scored, in the order of steps.</summary>
    private List<Checkpoint> Look(List<Remark> notes)
    {
        var ready = new List<Checkpoint>();
        var present = new HashSet<string>();
        string[] roots = [.. request.Roots.Where(root => File.Exists(root) || Directory.Exists(root))];
        _rootsSeen.UnionWith(roots);
        int before = _looksInVain;
        _looksInVain = roots.Length < _rootsSeen.Count ? before + 1 : 0;
        if (roots.Length > 0)
        {
            // What was scored and is the same still is not opened again: a look at thousands of checkpoints must not cost more than a poll.
            var unchanged = new HashSet<string>();
            DiscoveredCheckpoints found;
            try
            {
                found = CheckpointDiscovery.Look(
                    roots, request.QuietTime,
                    path => _known.TryGetValue(path, out Known? known) && known.State == Progress.Scored && known.Stamp == AdapterStamp.Of(path) && unchanged.Add(path));
            }
            catch (InputFileException e)
            {
                _looksInVain = before + 1;
                if (_said.Add(e.Message)) notes.Add(new Remark("not-seen", $"{e.Message.TrimEnd('.')}; it is looked for again."));
                return ready;
            }

            foreach (Remark note in found.Notes.Where(note => _said.Add(note.Code))) notes.Add(note);
            long last = LastStep ?? long.MaxValue;
            foreach (Checkpoint checkpoint in found.Runs.SelectMany(run => run.Checkpoints))
            {
                present.Add(checkpoint.Path);
                if ((checkpoint.Step.Number ?? 0) <= last && !unchanged.Contains(checkpoint.Path) && IsReady(checkpoint)) ready.Add(checkpoint);
            }

            // Half-written ones are left out by discovery; they are awaited.
            foreach (LeftOut leftOut in found.LeftOut.Where(l => l.IsCheckpoint))
            {
                present.Add(leftOut.Path);
                if (leftOut.Reason is LeftOutReason.Incomplete or LeftOutReason.Staging) _known.TryAdd(leftOut.Path, new Known { MaySettle = leftOut.Reason == LeftOutReason.Incomplete });
                else if (_said.Add(leftOut.Path)) notes.Add(leftOut.ToRemark());
            }
        }

        if (OutOfSight) return ready;
        foreach ((string path, Known known) in _known.Where(k => k.Value.State == Progress.Waiting && !present.Contains(k.Key)))
        {
            known.State = Progress.Gone;
            RotatedAway++;
            notes.Add(new Remark("rotated-away", $"{path} was removed before it could be read: the training keeps fewer checkpoints than it saves meanwhile; a larger save_total_limit, or more threads, loses none."));
        }

        return ready;
    }

    private bool IsReady(Checkpoint checkpoint)
    {
        AdapterStamp stamp = AdapterStamp.Of(checkpoint.Path);
        if (!_known.TryGetValue(checkpoint.Path, out Known? known)) _known[checkpoint.Path] = known = new Known();
        else if (known.State == Progress.Scored && known.Stamp == stamp) return false;
        else if (known.State == Progress.Scored && stamp.HasLost(known.Stamp)) return false; // it is being removed, and was read long ago
        else if (known.State == Progress.Gone && known.Stamp == stamp) (known.State, RotatedAway) = (Progress.Waiting, RotatedAway - 1); // it was only out of sight
        if (known.Stamp != stamp) (known.State, known.Attempts, known.FromBefore) = (Progress.Waiting, 0, false); // new, or saved again by a training that was restarted
        known.Stamp = stamp;
        var completeness = CheckpointCompleteness.Of(checkpoint.Path, checkpoint.Step, _time.GetUtcNow().UtcDateTime, request.QuietTime);
        known.MaySettle = !completeness.Settled;
        return completeness is { State: CheckpointState.Complete, Settled: true };
    }

    private async IAsyncEnumerable<WatchEvent> ScoreAsync(Checkpoint checkpoint, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Known known = _known[checkpoint.Path];
        session.Store.Refresh(); // another watcher, or a scan, may have measured it meanwhile
        foreach (Remark remark in _census.Add(checkpoint)) yield return new WatchEvent.Note(remark);
        await foreach (ScanPoint point in session.Scanner.ScanAsync([checkpoint], cancellationToken).ConfigureAwait(false))
        {
            bool changed = AdapterStamp.Of(checkpoint.Path) != known.Stamp;
            if (point is FailedPoint failed && (changed || failed.Skipped != null))
            {
                // Saved again, removed, or not complete after all: the next look decides.
                known.State = Progress.Waiting;
                yield break;
            }

            if (point is FailedPoint && ++known.Attempts < Attempts) yield break; // a network folder may have hiccuped
            known.State = Progress.Scored;
            if (point is MeasuredPoint && RestartedBy(checkpoint) is { } remark) yield return new WatchEvent.Note(remark);
            if (checkpoint.Step.Number is { } step) _highestStep = Math.Max(_highestStep, step);
            yield return new WatchEvent.Row(point, session.Assess(point, _assessor ??= new Assessor(judge, _census, session.Header.Layer, session.Header.LayerCount)));
        }
    }

    /// <summary>A lower step that was written later: the training began again.</summary>
    private Remark? RestartedBy(Checkpoint checkpoint)
    {
        DateTime written = _known[checkpoint.Path].Stamp.WeightsWritten;
        bool before = _lastOfRun.TryGetValue(checkpoint.Run, out var last);
        if (!before || checkpoint.Step > last.Last) _lastOfRun[checkpoint.Run] = (checkpoint.Step, written);
        if (!before || checkpoint.Step >= last.Last || written <= last.Written) return null;
        _lastOfRun[checkpoint.Run] = (checkpoint.Step, written);
        return new Remark("training-restarted", $"{checkpoint.Run}: step {checkpoint.Step} was saved after step {last.Last}; the training was restarted.");
    }

    private enum Progress
    {
        Waiting,
        Scored,
        Gone,
    }

    private sealed class Known
    {
        internal Progress State { get; set; }
        internal AdapterStamp Stamp { get; set; }
        internal int Attempts { get; set; }
        internal bool MaySettle { get; set; }

        /// <summary>True when it was there at the first look.</summary>
        internal bool FromBefore { get; set; }
    }
}
