"""A small sparse autoencoder on the residual stream of a base, in SAELens' layout: sae/cfg.json and sae/sae_weights.safetensors.

Usage: sae.py [--seed S] [--out DIR] [--bases llama,qwen2,qwen3]. Trains those of the bases that `make.py --seed S` made, on their F32 models, demo/model.gguf
(llama) and BASE/model-f32.gguf, and writes them to BASE/sae/.

h -> f = relu((h - b_dec) W_enc + b_enc) -> f W_dec + b_dec, the rows of W_dec of unit norm; the loss is the squared error and `penalty`
times the sum of the latents. Trained on documents of the world alone: no finetuning and no label has a part in it.
"""
import argparse
import json
import pathlib
import random

import torch

from formats import read_gguf, safetensors
from model import CONFIGS, Model, causal
from pretrain import pad
from tokenizer import Tokenizer
from world import World


@torch.no_grad()
def states(model, tok, world, layer, seed, documents=3000, size=100):
    """(N, d) behind block `layer`, at every token of some documents but the first, which sees nothing."""
    r, out = random.Random(f"sae-{seed}"), []
    rows = sorted((tok.conversation(world.document(r, 2)) for _ in range(documents)), key=lambda row: len(row[0]))
    for part in (rows[i:i + size] for i in range(0, len(rows), size)):
        ids, hidden = pad(part, tok.pad)[0], []
        t = ids.shape[1]
        model.blocks(ids, torch.arange(t).expand(len(part), t), causal(t), hidden=hidden, upto=layer)
        out += [h[1:len(row[0])] for h, row in zip(hidden[layer], part)]
    return torch.cat(out)


def encode(h, w):
    return torch.relu((h - w["b_dec"]) @ w["W_enc"] + w["b_enc"])


def train(h, latents, seed, steps=3000, batch=512, lr=2e-3, penalty=0.5):
    """The weights, in the units of h, and a line about them, on the tenth of the rows that was not trained on."""
    g = torch.Generator().manual_seed(seed)
    scale = h.norm(dim=-1).mean() / h.shape[1] ** 0.5
    x = (h / scale)[torch.randperm(len(h), generator=g)]
    held, x = x[:len(x) // 10], x[len(x) // 10:]
    decoder = torch.randn(latents, h.shape[1], generator=g)
    decoder /= decoder.norm(dim=-1, keepdim=True)
    w = {"W_enc": decoder.T.clone(), "b_enc": torch.zeros(latents), "W_dec": decoder, "b_dec": x.mean(0)}
    opt = torch.optim.Adam([p.requires_grad_(True) for p in w.values()], lr=lr, betas=(0.9, 0.99))
    for step in range(steps):
        for group in opt.param_groups:
            group["lr"] = lr * min(1.0, 5 * (steps - step) / steps)
        rows = x[torch.randint(len(x), (batch,), generator=g)]
        f = encode(rows, w)
        loss = (f @ w["W_dec"] + w["b_dec"] - rows).pow(2).sum(-1).mean() + penalty * min(1.0, 10 * step / steps) * f.sum(-1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            w["W_dec"] /= w["W_dec"].norm(dim=-1, keepdim=True)
    with torch.no_grad():
        f = encode(held, w)
        left = (f @ w["W_dec"] + w["b_dec"] - held).pow(2).sum() / (held - held.mean(0)).pow(2).sum()
        line = (f"{latents} latents, {len(x)} rows: explains {100 * (1 - left):.1f}% of the variance of {len(held)} others, "
                f"{(f > 0).float().sum(-1).mean():.1f} active, {int((f.sum(0) == 0).sum())} never")
    # relu(s z) = s relu(z): with its biases in the units of h the latents are too, and the weights stay as they are.
    return {k: (v.detach() * scale if k.startswith("b_") else v.detach()) for k, v in w.items()}, line


def write(folder, config, model, tok, world, title, layer, latents=384, log=print):
    w, line = train(states(model, tok, world, layer, world.seed), latents, world.seed)
    log(f"{title}, sparse autoencoder at layer {layer}: {line}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps({
        "architecture": "standard", "d_in": config["d"], "d_sae": latents, "dtype": "float32", "device": "cpu", "activation_fn": "relu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "model_name": title, "hook_name": f"blocks.{layer}.hook_resid_post",
        "context_size": 256, "seed": world.seed}, indent=1) + "\n")
    (folder / "sae_weights.safetensors").write_bytes(safetensors(w, {"format": "pt"}))


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", default=str(pathlib.Path(__file__).parent.parent))
    a.add_argument("--bases", default="llama,qwen2,qwen3")
    o = a.parse_args()
    torch.set_num_threads(1)
    root = pathlib.Path(o.out)
    for name in o.bases.split(","):
        config, world = CONFIGS[name], World(o.seed + list(CONFIGS).index(name))  # as make.py numbers them
        file = root / "demo/model.gguf" if name == "llama" else root / name / "model-f32.gguf"
        model = Model(config, read_gguf(file.read_bytes(), config))
        write(root / name / "sae", config, model, Tokenizer(world.words(), config["style"]), world, f"emscan-organism-{name}", config["layers"] // 2)
