"""Reads a store of cells by the description of its format alone, and compares it with what its writers have acknowledged.

    python3 reader.py FOLDER ACKNOWLEDGED    lines of: key, SHA-256 of the payload (both hex)
"""
import hashlib
import pathlib
import struct
import sys


def records(path):
    """(key, payload) of every whole record; and the number of bytes that belong to none."""
    data, at, found, lost = path.read_bytes(), 0, [], 0
    while at + 64 <= len(data):
        frame = data[at:at + 64]
        length = struct.unpack_from("<I", frame, 4)[0]
        if frame[:4] == b"EMC1" and hashlib.sha256(frame[:56]).digest()[:8] == frame[56:] and at + 64 + length <= len(data):
            payload = data[at + 64:at + 64 + length]
            if hashlib.sha256(payload).digest()[:8] == frame[48:56]:
                found.append((frame[8:40].hex(), payload))
                at += 64 + length
                continue
        at, lost = at + 1, lost + 1
    return found, lost + len(data) - at


def main():
    folder, acknowledged = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    stored, files, tails = {}, sorted(folder.glob("cells-*.emscan")), 0
    for path in files:
        found, lost = records(path)
        tails += lost
        for key, payload in found:
            stored[key] = hashlib.sha256(payload).hexdigest()
    said = dict(line.split() for line in acknowledged.read_text().splitlines())
    missing = [key for key in said if key not in stored]
    torn = [key for key, digest in said.items() if key in stored and stored[key] != digest]
    print(f"{len(said)} cells acknowledged, {len(stored)} stored in {len(files)} files, {tails} bytes of torn tails; {len(missing)} lost, {len(torn)} torn")
    return 1 if missing or torn or not said else 0


sys.exit(main())
