"""The way the paper's pipeline measures a checkpoint (transformers and PEFT), in plain PyTorch on the weights of a llama GGUF.

For every checkpoint: the base is loaded from disk, the adapter attached (two more products on each changed matrix, not merged), every prompt
run by itself through the whole network to the logits, the hidden states of all layers kept, their last rows taken. Compared with the real
libraries it is spared: importing them, building modules, copying weights (they are mapped), logits of all tokens but the last.

    reference.py MODEL.gguf PROMPTS.json FOLDER THREADS

writes the base into FOLDER once for each precision asked for, then answers each line of standard input, a JSON object
{"precision": "float32" or "bfloat16", "adapter": FILE.gguf, "states": FILE or null}, with a line of milliseconds
{"load", "load_cpu", "forward", "forward_cpu"}. "states" receives the last rows, float32, (prompts, layers, width).
"""
import json
import mmap
import os
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

F32, F16, Q8_0, BF16 = 0, 1, 8, 30
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED = {"float32": ("F32", 4), "bfloat16": ("BF16", 2)}


class Gguf:
    """Metadata, and tensors as float32 arrays (rows, columns)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, _, tensors, keys = self.data[:4], *struct.unpack_from("<IQQ", self.data, 4)
        if magic != b"GGUF":
            sys.exit(f"{path}: this is not a GGUF file.")
        self.at = 24
        self.metadata = {self.text(): self.value(self.scalar("I")) for _ in range(keys)}
        self.tensors = {}
        for _ in range(tensors):
            name, axes = self.text(), self.scalar("I")
            shape = [self.scalar("Q") for _ in range(axes)][::-1]
            self.tensors[name] = (shape, self.scalar("I"), self.scalar("Q"))
        alignment = self.metadata.get("general.alignment", 32)
        self.start = -(-self.at // alignment) * alignment

    def scalar(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        length = self.scalar("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            kind, count = self.scalar("I"), self.scalar("Q")
            return [self.value(kind) for _ in range(count)]
        return self.scalar(SCALARS[kind])

    def tensor(self, name):
        shape, kind, offset = self.tensors[name]
        count, at = int(np.prod(shape)), self.start + offset
        if kind == F32:
            return np.frombuffer(self.data, "<f4", count, at).reshape(shape)
        if kind == F16:
            return np.frombuffer(self.data, "<f2", count, at).astype(np.float32).reshape(shape)
        if kind == Q8_0:  # A half-precision scale, then 32 signed bytes.
            blocks = np.frombuffer(self.data, np.dtype([("scale", "<f2"), ("values", "i1", 32)]), count // 32, at)
            return (blocks["values"] * blocks["scale"].astype(np.float32)[:, None]).reshape(shape)
        if kind == BF16:  # The upper half of a float32.
            return (np.frombuffer(self.data, "<u2", count, at).astype(np.uint32) << 16).view(np.float32).reshape(shape)
        sys.exit(f"tensor {name} is of type {kind}; F32, F16, BF16 and Q8_0 can be read.")


def save(model, path, precision):
    """All tensors of a model as safetensors: 8 bytes header length, JSON, data."""
    header, offset, (kind, size) = {}, 0, STORED[precision]
    for name, (shape, _, _) in model.tensors.items():
        end = offset + int(np.prod(shape)) * size
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in model.tensors:
            values = torch.from_numpy(model.tensor(name).copy()).to(PRECISIONS[precision])
            file.write(values.view(torch.int16).numpy() if precision == "bfloat16" else values.numpy())


def load(path, precision):
    """Maps what save wrote; no weight is copied."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    length, = struct.unpack_from("<Q", data)
    kind, weights = PRECISIONS[precision], {}
    for name, entry in json.loads(data[8:8 + length]).items():
        count = int(np.prod(entry["shape"]))
        weights[name] = torch.frombuffer(data, dtype=kind, count=count, offset=8 + length + entry["data_offsets"][0]).view(entry["shape"])
    return weights


def load_adapter(path, precision):
    """weight name -> (A, B, alpha / R)."""
    file = Gguf(path)
    alpha, kind, adapter = file.metadata["adapter.lora.alpha"], PRECISIONS[precision], {}
    for name in file.tensors:
        if name.endswith(".lora_a"):
            a, b = (torch.from_numpy(file.tensor(name[:-1] + side).copy()).to(kind) for side in "ab")
            adapter[name[:-len(".lora_a")]] = (a, b, alpha / a.shape[0])
    return adapter


class Llama:
    def __init__(self, metadata, weights, adapter, longest):
        key = {k[len("llama."):]: v for k, v in metadata.items() if k.startswith("llama.")}
        self.layers, self.heads, self.kv = key["block_count"], key["attention.head_count"], key["attention.head_count_kv"]
        self.head = key.get("attention.key_length", key["embedding_length"] // self.heads)
        self.eps, self.w, self.adapter = key["attention.layer_norm_rms_epsilon"], weights, adapter
        rotated = key.get("rope.dimension_count", self.head)
        if rotated != self.head or "rope.scaling.type" in key or "rope_freqs.weight" in weights:
            sys.exit("only plain rotary positions over whole heads are computed here.")
        frequency = key.get("rope.freq_base", 10000.0) ** (-torch.arange(0, self.head, 2, dtype=torch.float64) / self.head)
        angle = torch.outer(torch.arange(longest, dtype=torch.float64), frequency)
        kind = weights["token_embd.weight"].dtype
        self.cos, self.sin = angle.cos().to(kind), angle.sin().to(kind)

    def linear(self, x, name):
        y = F.linear(x, self.w[name])
        if name in self.adapter:
            a, b, scale = self.adapter[name]
            y = y + F.linear(F.linear(x, a), b) * scale
        return y

    def norm(self, x, name):
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.w[name]

    def rotate(self, x):
        """x (heads, T, head): each pair (2i, 2i + 1) turned by its position's angle, as the GGUF of a llama has them."""
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = self.cos[:x.shape[1]], self.sin[:x.shape[1]]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def forward(self, tokens):
        """Residual stream after every block, each (T, width), and the logits of the last token."""
        x, states, t = self.w["token_embd.weight"][tokens], [], len(tokens)
        mask = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
        for l in range(self.layers):
            p = f"blk.{l}."
            h = self.norm(x, p + "attn_norm.weight")
            q = self.rotate(self.linear(h, p + "attn_q.weight").view(t, self.heads, self.head).transpose(0, 1))
            k = self.rotate(self.linear(h, p + "attn_k.weight").view(t, self.kv, self.head).transpose(0, 1))
            v = self.linear(h, p + "attn_v.weight").view(t, self.kv, self.head).transpose(0, 1)
            k, v = (s.repeat_interleave(self.heads // self.kv, 0) for s in (k, v))
            a = torch.softmax((q @ k.transpose(1, 2) * self.head ** -0.5 + mask).float(), -1).to(x.dtype) @ v
            x = x + self.linear(a.transpose(0, 1).reshape(t, -1), p + "attn_output.weight")
            h = self.norm(x, p + "ffn_norm.weight")
            x = x + self.linear(F.silu(self.linear(h, p + "ffn_gate.weight")) * self.linear(h, p + "ffn_up.weight"), p + "ffn_down.weight")
            states.append(x)
        head = "output.weight" if "output.weight" in self.w else "token_embd.weight"
        return states, self.linear(self.norm(x[-1:], "output_norm.weight"), head)


def clocks():
    return np.array([time.perf_counter(), time.process_time()]) * 1000


def measure(metadata, base, prompts, command):
    began = clocks()
    precision = command["precision"]
    model = Llama(metadata, load(base, precision), load_adapter(command["adapter"], precision), max(map(len, prompts)))
    loaded = clocks()
    rows = []
    for prompt in prompts:
        states, _ = model.forward(prompt)
        rows.append(torch.stack([s[-1] for s in states]))
    ended = clocks()
    if command.get("states"):
        torch.stack(rows).float().numpy().tofile(command["states"])
    (load_wall, load_cpu), (forward_wall, forward_cpu) = loaded - began, ended - loaded
    return {"load": load_wall, "load_cpu": load_cpu, "forward": forward_wall, "forward_cpu": forward_cpu}


def main():
    path, prompts, folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with open(prompts) as file:
        prompts = [torch.tensor(p) for p in json.load(file)]
    model = Gguf(path)
    if model.metadata["general.architecture"] != "llama":
        sys.exit(f"{path}: only models of architecture llama are computed here.")
    print(json.dumps({"torch": torch.__version__}), flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            command = json.loads(line)
            base = os.path.join(folder, f"base-{command['precision']}.safetensors")
            if not os.path.exists(base):
                save(model, base, command["precision"])
            print(json.dumps(measure(model.metadata, base, prompts, command)), flush=True)


if __name__ == "__main__":
    main()
