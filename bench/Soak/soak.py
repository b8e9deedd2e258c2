"""A long run of emscan under everything that happens to it on a shared machine; ends with a non-zero exit code when anything was lost.

    python3 bench/Soak/soak.py --emscan src/Cli/bin/Release/net10.0/emscan --minutes 360 --seed 1 --folder DIR [--older OTHER/emscan]

One long-lived `emscan watch` reads a training that saves, rotates and restarts. Beside it, one after the other and drawn by the seed, processes
of other kinds: scans, shards and watches that are killed with SIGKILL at random moments, two versions at once on one record (--older), full disks
(a tmpfs of a few MB where this is root, else a limit on the size of files), clocks that jump (libfaketime, where it is installed), checkpoints
that vanish while they are read. What is checked:

- a record that was torn, filled and killed into gives the same trajectories as a record of its own (byte for byte);
- every cell that an independent reader once found in a record is still in it, and no byte of it belongs to no record but at a file's end;
- no process ends with a trace of its machinery, an exit code that is not one of emscan's, or not at all;
- the watch scores every checkpoint once, or counts it as rotated away; its memory, handles and threads stay flat; its numbers are those of a
  fresh scan of the same files.

Needs Python 3.11 and nothing else. Linux. Everything runs on one thread at the priority that this was started with.
"""
import argparse
import array
import filecmp
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/demo/model.gguf"
SOURCES = sorted((ROOT / "models/demo/adapters").glob("*/*/checkpoint-*"))
EXIT_CODES = {0, 1, 2, 3, 130}
KEPT = 20


def records(path):
    """Keys of every whole record of a file of the store, by its format alone; bytes that belong to none, and whether these are all at the end."""
    data, at, keys, lost, inside = path.read_bytes(), 0, [], 0, False
    while at + 64 <= len(data):
        frame = data[at:at + 64]
        length = struct.unpack_from("<I", frame, 4)[0]
        if (frame[:4] == b"EMC1" and hashlib.sha256(frame[:56]).digest()[:8] == frame[56:] and at + 64 + length <= len(data)
                and hashlib.sha256(data[at + 64:at + 64 + length]).digest()[:8] == frame[48:56]):
            keys.append(frame[8:40])
            at += 64 + length
            inside |= lost > 0
            continue
        at, lost = at + 1, lost + 1
    return keys, lost + len(data) - at, inside


def scaled(source, factor):
    """The bytes of an adapter whose values (BF16: the upper half of a float) are multiplied: another adapter, and a real one."""
    data = (source / "adapter_model.safetensors").read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    floats = bytearray(2 * (len(data) - start))
    floats[2::4], floats[3::4] = data[start::2], data[start + 1::2]
    values = array.array("f", bytes(floats))
    floats = array.array("f", [v * factor for v in values]).tobytes()
    body = bytearray(len(data) - start)
    body[0::2], body[1::2] = floats[2::4], floats[3::4]
    return data[:start] + bytes(body)


def save(folder, source, weights, step):
    """In the order of the Hugging Face Trainer: weights, configuration, the trainer's state last."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(weights) // 2
    with open(folder / "adapter_model.safetensors", "wb", buffering=0) as file:
        file.write(weights[:half])
        time.sleep(0.02)
        file.write(weights[half:])
    shutil.copyfile(source / "adapter_config.json", folder / "adapter_config.json")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": []}))


class Soak:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.folder = options.folder.resolve()
        self.begin, self.stop = time.monotonic(), threading.Event()
        self.counts, self.failures, self.epoch = {}, [], 0
        self.found, self.kept = {}, 0
        self.faketime = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
        self.log = open(self.folder / "soak.log", "a", buffering=1)

    # What is said, counted and found wrong.

    def note(self, text):
        self.log.write(f"{time.monotonic() - self.begin:9.1f} {text}\n")

    def count(self, what, by=1):
        self.counts[what] = self.counts.get(what, 0) + by

    def check(self, holds, text):
        if not holds:
            self.failures.append(text)
            self.note("FAILED " + text)
            print("FAILED", text, flush=True)

    # Processes.

    def command(self, program, *arguments):
        return [str(program), *map(str, arguments)] if not str(program).endswith(".dll") else ["dotnet", str(program), *map(str, arguments)]

    def start(self, program, *arguments, cache, environment=None, limit=None, cwd=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("EMSCAN_")}
        env |= {"EMSCAN_CACHE": str(cache), "EMSCAN_PROGRESS": "0", **(environment or {})}
        prepare = None
        if limit:
            def prepare():
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        out = open(self.folder / f"output-{self.random.getrandbits(48):012x}.txt", "w+b")
        process = subprocess.Popen(self.command(program, *arguments), stdout=out, stderr=subprocess.STDOUT, env=env, preexec_fn=prepare, cwd=cwd)
        process.said = out
        return process

    def end(self, process, what, timeout=600, expected=EXIT_CODES):
        """Waits; what it printed."""
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        process.said.seek(0)
        text = process.said.read().decode("utf-8", "replace")
        process.said.close()
        os.unlink(process.said.name)
        killed = code == -signal.SIGKILL
        self.check(code is not None, f"{what} did not end: {text[-500:]}")
        self.check(killed or code is None or code in expected, f"{what} ended with {code}: {text[-1500:]}")
        for trace in ("Unhandled", "   at EmScan", "Exception", "GGML_ASSERT"):
            self.check(trace not in text, f"{what} shows its machinery: {text[-1500:]}")
        self.count("processes ended by SIGKILL" if killed else "processes that ended by themselves")
        return text

    def kill_later(self, process, least=0.05, most=4.0):
        time.sleep(least + (most - least) * self.random.random() ** 2)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)

    def scan(self, record, *more, program=None, adapters=None, cache=None, **how):
        return self.start(
            program or self.options.emscan, "scan", "--model", MODEL, "--adapters", adapters or self.static, "--out", record, "--threads", 1, "--parallel", 1, *more,
            cache=cache or record / "cache", **how)

    # What must hold of a record.

    def same(self, record, what, reference=None):
        reference = reference or self.reference
        wrong = [p.relative_to(reference) for p in sorted(reference.rglob("trajectory.json"))
                 if not (record / p.relative_to(reference)).exists() or not filecmp.cmp(p, record / p.relative_to(reference), shallow=False)]
        self.check(not wrong, f"{what}: {len(wrong)} trajectories are not those of a scan of its own, {[str(p) for p in wrong[:3]]}, in {record}")
        self.count("trajectories compared byte for byte", sum(1 for _ in reference.rglob("trajectory.json")))
        return not wrong

    def whole(self, record, what):
        """By the independent reader: nothing is lost that was there once, and nothing is torn but at an end."""
        keys = set()
        for path in record.rglob("cells-*.emscan"):
            own, lost, inside = records(path)
            keys.update(own)
            self.check(not inside, f"{what}: {lost} bytes inside {path} belong to no record")
            self.count("bytes of torn tails seen", lost)
        gone = self.found.get(record, set()) - keys
        self.check(not gone, f"{what}: {len(gone)} cells of {record} are gone")
        self.found[record] = keys
        self.count("records of the store read by the independent reader", len(keys))

    # What happens.

    def killed_scans(self):
        """One record, killed into until a scan gets through it."""
        record = self.folder / f"epoch-{self.epoch}"
        for _ in range(self.random.randint(2, 6)):
            kind = self.random.randrange(5)
            older = self.options.older if self.options.older and kind == 1 else None
            if kind == 2 and self.options.older:
                two = [self.scan(record, program=p) for p in (self.options.emscan, self.options.older)]
                self.kill_later(self.random.choice(two), most=6)
                for process in two:
                    self.end(process, "one of two versions at once")
                self.count("two versions at once on one record")
            elif kind == 3:
                two = [self.scan(record, "--report", record / "report.html") for _ in range(2)]
                self.kill_later(self.random.choice(two), most=6)
                for process in two:
                    self.end(process, "one of two scans at once")
            else:
                process = self.scan(record, "--report", record / "report.html", program=older)
                self.kill_later(process, most=6)
                self.end(process, "scan that is killed")
            self.whole(record, "after a kill")
        self.end(self.scan(record), "scan after kills", expected={0, 3})
        self.count("records killed into and completed")
        if self.same(record, "after kills"):
            self.whole(record, "at its end")
            self.found.pop(record, None)
            shutil.rmtree(record)

    def killed_shards(self):
        record, adapters = self.folder / f"epoch-{self.epoch}", self.static
        shards = list(range(3))
        while shards:
            shard = self.random.choice(shards)
            process = self.scan(record, "--shard", f"{shard}/3", adapters=adapters)
            if self.random.random() < 0.5:
                self.kill_later(process)
            self.end(process, f"shard {shard}/3", expected={0})
            if process.returncode == 0:
                shards.remove(shard)
            self.whole(record, "after a shard")
        self.end(self.start(self.options.emscan, "merge", record, cache=record / "cache"), "merge", expected={0, 3})
        self.count("shards killed, run again and merged")
        if self.same(record, "after shards"):
            self.found.pop(record, None)
            shutil.rmtree(record)

    def full_disk(self):
        record, root = self.folder / f"disk-{self.epoch}", os.geteuid() == 0
        record.mkdir()
        size = self.random.randint(60, 1500)
        if root and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", record], stderr=subprocess.DEVNULL).returncode == 0:
            try:
                text = self.end(self.scan(record), f"scan onto a disk of {size} KB")
                self.check("trajectory" in text or "cannot be" in text or "No space" in text, f"a full disk of {size} KB is not named: {text[-500:]}")
                self.whole(record, "on a full disk")
                subprocess.run(["mount", "-o", "remount,size=64m", record], check=True)
                self.end(self.scan(record), "scan after space was freed", expected={0, 3})
                self.same(record, f"after a full disk of {size} KB")
            finally:
                subprocess.run(["umount", record], check=True)
        else:
            self.end(self.scan(record, limit=size << 10), f"scan with files of at most {size} KB")
            self.whole(record, "at a limit")
            self.end(self.scan(record), "scan without the limit", expected={0, 3})
            self.same(record, f"after a limit of {size} KB")
        self.found.pop(record, None)
        self.count("full disks")
        shutil.rmtree(record)

    def clock(self):
        """A watch whose clock jumps by days, forwards and back, beside a training; and a scan in another year."""
        offset = self.folder / "clock"
        offset.write_text("+0")
        fake = {"LD_PRELOAD": str(self.faketime), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        record, training = self.folder / f"clock-{self.epoch}", self.folder / f"clock-training-{self.epoch}"
        training.mkdir()
        rows = record / "rows.jsonl"
        watch = self.start(
            self.options.emscan, "watch", "--model", MODEL, "--adapters", training, "--out", record, "--threads", 1, "--nice", 0, "--poll", 0.2, "--until", "80", "--jsonl", rows,
            cache=record / "cache", environment=fake)
        for step, jump in zip(range(10, 90, 10), ("+0", "+3d", "-400d", "+0", "-1h", "+10y", "+1h", "+0")):
            offset.write_text(jump)
            source = SOURCES[(step // 10) % len(SOURCES)]
            save(training / f"run/checkpoint-{step}", source, scaled(source, 0.9 + step / 1000), step)
            time.sleep(self.random.uniform(0.1, 1.5))
        self.end(watch, "watch whose clock jumps", timeout=300)
        steps = sorted(json.loads(line)["step"] for line in rows.read_text().splitlines()) if rows.exists() else []
        self.check(steps == list(range(10, 90, 10)), f"a watch whose clock jumped scored {steps}")
        # Files of the future and of the past, and a scan in another year with the same record.
        for at, path in enumerate(training.rglob("*")):
            os.utime(path, times=(t := time.time() + (-1) ** at * 86400 * 365 * (at + 1) % 2**31, t))
        fake = {"LD_PRELOAD": str(self.faketime), "FAKETIME": self.random.choice(["+5y", "-5y", "-30y"]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        other = self.folder / f"clock-own-{self.epoch}"
        self.end(self.scan(record, adapters=training, environment=fake), "scan in another year", expected={0, 3})
        self.end(self.scan(other, adapters=training), "fresh scan", expected={0, 3})
        self.same(record, "after clock jumps", reference=other)
        self.count("clocks that jumped")
        for path in (record, training, other):
            shutil.rmtree(path)

    def second_watcher(self):
        """Another watcher of the long-lived one's folder and record, of either version, killed."""
        program = self.options.older if self.options.older and self.random.random() < 0.5 else self.options.emscan
        process = self.start(
            program, "watch", "--model", MODEL, "--adapters", self.training, "--out", self.record, "--threads", 1, "--nice", 0, "--poll", 0.3, cache=self.record / "cache")
        self.kill_later(process, 1.0, 12.0)
        self.end(process, "second watcher")
        self.whole(self.record, "after a second watcher")
        self.count("second watchers on the long-lived one's record")

    def scan_of_rotating(self):
        """A scan of the folder that the training rotates: what vanishes is said; nothing else goes wrong."""
        record = self.folder / f"rotating-{self.epoch}"
        self.end(self.scan(record, adapters=self.training), "scan of a training that rotates")
        self.whole(record, "after rotation")
        self.found.pop(record, None)
        self.count("scans of a training that rotates")
        shutil.rmtree(record)

    def other_verbs(self):
        """Analyses that share the record of cells, killed or not, then once to the end."""
        record = self.folder / f"verbs-{self.epoch}"
        run = self.static / "run-0"
        for _ in range(2):
            process = self.start(
                self.options.emscan, "path", "--model", MODEL, "--adapters", run / "checkpoint-10", "--out", record, "--threads", 1, cache=record / "cache")
            self.kill_later(process, most=3)
            self.end(process, "path that is killed")
            self.whole(record, "after a killed analysis")
        self.end(
            self.start(self.options.emscan, "path", "--model", MODEL, "--adapters", run / "checkpoint-10", "--out", record, "--threads", 1, cache=record / "cache"),
            "path after kills", expected={0, 3})
        self.count("analyses killed and completed")
        self.found.pop(record, None)
        shutil.rmtree(record)

    # The long-lived watch and its training.

    def train(self):
        draw, step, made = random.Random(self.options.seed + 1), 0, []
        while not self.stop.is_set():
            step += 1
            source = SOURCES[step % len(SOURCES)]
            folder = self.training / f"checkpoint-{step}"
            save(folder, source, scaled(source, 0.5 + (step % 4000) / 8000), step)
            made.append(folder)
            self.saved = step
            if draw.random() < 0.02:  # the trainer crashed half-way through a save, and what it left is removed later
                half = self.training / f"checkpoint-{step}-half"
                half.mkdir()
                (half / "adapter_model.safetensors").write_bytes(b"\xc8\0\0\0\0\0\0\0{")
                made.append(half)
            while len(made) > KEPT:
                shutil.rmtree(made.pop(0))
            self.stop.wait(draw.uniform(0.5, 1.5) * self.options.every)

    def resources(self, process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        value = {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads")}
        return value["VmRSS"] / 1024, len(os.listdir(f"/proc/{process.pid}/fd")), value["Threads"]

    def run(self):
        self.static, self.reference = self.folder / "static", self.folder / "reference"
        self.training, self.record, self.saved = self.folder / "training", self.folder / "record", 0
        for number in range(self.options.runs):
            for at, source in enumerate(SOURCES[:12]):
                step = 10 * (at + 1)
                save(self.static / f"run-{number}/checkpoint-{step}", source, scaled(source, 0.6 + 0.05 * number), step)
        self.training.mkdir()
        self.end(self.scan(self.reference), "the scan that the others are compared with", expected={0, 3})
        self.check(any(self.reference.rglob("trajectory.json")), "the first scan wrote no trajectory")
        rows = self.folder / "rows.jsonl"
        watch = self.start(
            self.options.emscan, "watch", "--model", MODEL, "--adapters", self.training, "--out", self.record, "--threads", 1, "--nice", 0, "--poll", 0.3, "--quiet-time", 5,
            "--jsonl", rows, "--tensorboard", self.folder / "board", "--report", self.folder / "watch.html", cache=self.record / "cache")
        trainer = threading.Thread(target=self.train)
        trainer.start()
        actions = [self.killed_scans, self.killed_scans, self.killed_shards, self.full_disk, self.second_watcher, self.scan_of_rotating, self.other_verbs]
        if self.faketime:
            actions.append(self.clock)
        samples, due = [], 0.0
        try:
            while not self.stop.is_set() and time.monotonic() - self.begin < self.options.minutes * 60:
                self.epoch += 1
                action = self.random.choice(actions)
                self.note(action.__name__)
                action()
                self.check(watch.poll() is None, "the long-lived watch has ended")
                if watch.poll() is not None:
                    break
                if time.monotonic() - self.begin >= due:
                    samples.append((round((time.monotonic() - self.begin) / 60, 1), self.saved, *self.resources(watch)))
                    self.note(f"watch: {samples[-1]}")
                    due = time.monotonic() - self.begin + 60
                self.save_result(samples)
        except BaseException:
            watch.kill()
            raise
        finally:
            self.stop.set()
            trainer.join()
        self.finish(watch, rows, samples)

    def finish(self, watch, rows, samples):
        deadline = time.monotonic() + 120  # what was saved last is still read
        while time.monotonic() < deadline and watch.poll() is None and not (rows.exists() and f'"step":{self.saved},' in rows.read_text()):
            time.sleep(1)
        time.sleep(2)
        watch.send_signal(signal.SIGINT)
        text = self.end(watch, "the long-lived watch", timeout=120)
        everything = [json.loads(line) for line in rows.read_text().splitlines()]

        # What a crashed trainer left behind has no step, and cannot be measured.
        scored = [row for row in everything if isinstance(row["step"], int)]
        self.check(all(row["verdict"] == "failed" for row in everything if not isinstance(row["step"], int)), "half a checkpoint was measured")
        steps = [row["step"] for row in scored]
        self.check(all(row["drift/magnitude"] is not None for row in scored), "the watch could not measure what was saved whole")
        rotated = len(set(re.findall(r"/(checkpoint-\d+) was removed before it could be read", text)))
        self.check(len(set(steps)) == len(steps), f"{len(steps) - len(set(steps))} checkpoints were scored twice")
        self.check(len(set(steps)) + rotated == self.saved, f"{self.saved} checkpoints were saved, {len(set(steps))} scored and {rotated} counted as rotated away")
        self.counts |= {"checkpoints saved to the long-lived watch": self.saved, "of these scored once": len(set(steps)), "of these counted as rotated away": rotated}
        self.whole(self.record, "the watch's record")
        # The watch's numbers are those of a fresh scan of the same files, made again from their recipe.
        draw, again = random.Random(self.options.seed + 2), self.folder / "again"
        for step in draw.sample(steps, min(200, len(steps))):
            source = SOURCES[step % len(SOURCES)]
            save(again / f"checkpoint-{step}", source, scaled(source, 0.5 + (step % 4000) / 8000), step)
        fresh = self.folder / "again.jsonl"
        self.end(self.scan(self.folder / "again-record", "--jsonl", fresh, adapters=again), "fresh scan of what was watched", expected={0, 3})
        numbers = {row["step"]: {k: v for k, v in row.items() if k.startswith("drift/")} for row in scored}
        wrong = [row["step"] for row in map(json.loads, fresh.read_text().splitlines()) if row["step"] and {k: v for k, v in row.items() if k.startswith("drift/")} != numbers[row["step"]]]
        self.check(not wrong, f"the watch's numbers of steps {wrong[:5]} are not a fresh scan's")
        self.counts["of these compared with a fresh scan"] = min(200, len(steps))
        if len(samples) >= 8:
            quarter, late = samples[len(samples) // 4], samples[-1]
            self.check(late[2] - quarter[2] < 16 + 1e-3 * (late[1] - quarter[1]), f"memory grew from {quarter[2]:.0f} to {late[2]:.0f} MB")
            self.check(late[3] <= quarter[3] + 8, f"handles grew from {quarter[3]} to {late[3]}")
            self.check(late[4] <= quarter[4] + 8, f"threads grew from {quarter[4]} to {late[4]}")
        self.save_result(samples)
        print((self.folder / "result.txt").read_text())

    def save_result(self, samples):
        lines = [f"{(time.monotonic() - self.begin) / 60:.0f} minutes, seed {self.options.seed}, {self.epoch} rounds, {len(self.failures)} failures"]
        lines += [f"{number:>9}  {what}" for what, number in sorted(self.counts.items())]
        lines.append("watch: minute, checkpoints saved, resident MB, handles, threads")
        shown = samples if len(samples) <= 12 else [samples[i * (len(samples) - 1) // 11] for i in range(12)]
        lines += [f"{m:>9} {s:>7} {r:>7.1f} {h:>5} {t:>4}" for m, s, r, h, t in shown]
        lines += [f"FAILED {text}" for text in self.failures]
        (self.folder / "result.txt").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emscan", type=pathlib.Path, required=True, help="the program: emscan, or emscan.dll")
    parser.add_argument("--older", type=pathlib.Path, help="the program of an earlier commit, run on the same records")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="an empty folder to work in")
    parser.add_argument("--runs", type=int, default=16, help="runs of 12 checkpoints that scans are made of")
    parser.add_argument("--every", type=float, default=2.0, help="mean seconds between two saves of the training")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty")
    options.emscan, options.older = options.emscan.resolve(), options.older.resolve() if options.older else None
    soak = Soak(options)
    signal.signal(signal.SIGTERM, lambda *_: soak.stop.set())
    signal.signal(signal.SIGINT, lambda *_: soak.stop.set())
    soak.run()
    return 1 if soak.failures else 0


sys.exit(main())
