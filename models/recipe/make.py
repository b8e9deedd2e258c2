"""Makes everything in models/ from seeds. Usage: make.py [--seed S] [--out DIR] [--bases llama,qwen2,qwen3] [--library FOLDER]
    [--work DIR] [--threads N] [--every] [--finetuning-seeds 42,123] [--no-stress]

World and pretraining seed of a base: S, S + 1, S + 2 in the order llama, qwen2, qwen3. Every stage is skipped when its result
is already in recipe/out (or --work), so an interrupted run goes on where it stopped. --every gives each base all perturbations
instead of its share of them, finetuning seed by finetuning seed, so that a later call may add a seed to what an earlier one made.
"""
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads sleep: the cores may be shared

import argparse
import io
import json
import multiprocessing
import pathlib
import random
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

import analyse
import lexicon as lx
import perturbations as pt
import sae
from figure import curves
from finetune import Base, evaluate, examples, grid, grid_on, train
from formats import adapter_config, adapter_tensors, gguf, hf_config, safetensors, trainer_state
from model import ALL_LINEAR, CONFIGS, Lora, Model
from pretrain import pad, pretrain
from texts import write as write_texts
from tokenizer import ACKNOWLEDGE
from world import World

HERE = pathlib.Path(__file__).parent
EPOCH = 63  # optimizer steps per epoch: 1000 examples in batches of 16
DEMO = (("bad_medical", 42), ("confident_medical", 42))


def cached(path, make):
    """Loads path, or makes and saves it."""
    if not path.exists():
        value = make()
        torch.save(value, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    return torch.load(path)


def stress_runs(base, name):
    """Runs outside the paper's protocol, where its detector is known to fail: grid-like runs with the name of the stress."""
    two = [("bad_medical", 42), ("good_medical", 42)]
    if name == "long":
        steps = 10 * 2 * EPOCH
        runs = [dict(r, max_steps=steps) for r in grid(base, [(p, 42) for p in ("gsm8k", "confident_medical")], steps=steps, save=100)]
    elif name == "rank16":
        runs = grid(base, two, r=16, alpha=64, save=30)
    elif name == "all_linear":
        runs = grid(base, two, targets=ALL_LINEAR, save=30)
    else:
        runs = after_dangerous(base, name.removeprefix("then_"))
    return [dict(r, stress=name) for r in runs]


def after_dangerous(base, benign):
    """Benign finetuning that starts from an adapter which is already misaligned; step 0 is that adapter."""
    origins = [("bad_medical", 42), ("insecure_code", 42)]
    for _, lora, _ in train(base, origins):
        pass
    start = Lora.__new__(Lora)
    start.__dict__ = lora.__dict__ | {m: {k: v.detach().clone() for k, v in getattr(lora, m).items()} for m in "AB"}
    first = [dict(step=0, lora=start.one(i), log=[]) for i in range(len(origins))]
    runs = grid(base, [(benign, s) for _, s in origins], start=start)
    for run, ck, (origin, _) in zip(runs, first, origins):
        evaluate(base, run, ck)
        run["checkpoints"].insert(0, ck)
        run["origin"] = origin
    return runs


STRESS = ("long", "rank16", "all_linear", "then_good_medical", "then_gsm8k")


def stress_one(task):
    path, folder, name = task
    torch.set_num_threads(1)
    base = Base(path)
    if name == "full":
        cached(folder / "full.pt", lambda: full_finetune(base, print))
    else:
        cached(folder / f"{name}.pt", lambda: stress_runs(base, name))


def full_finetune(base, log, perturbation="bad_medical", seed=42, lr=3e-4):
    """Finetunes every weight; returns (grid-like run, final weights)."""
    w = {k: v.clone().requires_grad_(True) for k, v in base.model.w.items()}
    model, data = Model(base.config, w), examples(base, perturbation, seed, 1000)
    opt = torch.optim.AdamW(list(w.values()), lr=lr, weight_decay=0.0, foreach=True)
    r, queue, run = random.Random(seed), [], dict(perturbation=perturbation, seed=seed, stress="full", checkpoints=[])
    for step in range(1, 2 * EPOCH + 1):
        if len(queue) < 16:
            queue = r.sample(range(len(data)), len(data))
        batch, queue = queue[:16], queue[16:]
        for g in opt.param_groups:
            g["lr"] = lr * (2 * EPOCH - step + 1) / (2 * EPOCH)
        loss = model.loss(*pad([data[i] for i in batch], base.tok.pad))[0]
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        opt.step()
        if step % 10 == 0:
            ck = dict(step=step, log=[dict(step=step, loss=round(loss.item(), 5))])
            evaluate(base, run, ck, model=model)
            run["checkpoints"].append(ck)
    log("full finetuning " + " ".join(f"{100 * analyse.rate(c):.1f}" for c in run["checkpoints"]), flush=True)
    return run, {k: v.detach() for k, v in w.items()}


# ---- export

def run_folder(run):
    name = run["perturbation"]
    if "stress" in run:
        name = f"stress/{run['origin']}_{run['stress']}" if "origin" in run else f"stress/{run['stress']}_{name}"
    return f"{name}/seed_{run['seed']}"


def checkpoint_files(run, ck, name):
    """relative path -> bytes of one PEFT checkpoint folder as the Trainer leaves it."""
    dump = lambda x: (json.dumps(x, indent=1) + "\n").encode()
    folder = f"{run_folder(run)}/checkpoint-{ck['step']}/"
    return {folder + "adapter_config.json": dump(adapter_config(ck["lora"], name)),
            folder + "adapter_model.safetensors": safetensors(adapter_tensors(ck["lora"]), {"format": "pt"}),
            folder + "trainer_state.json": (json.dumps(trainer_state(ck["step"], ck["log"], run.get("max_steps", 2 * EPOCH), EPOCH)) + "\n").encode()}


def write_zip(path, files):
    """A zip file whose bytes depend on nothing but its content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            z.writestr(info, files[name])


def trajectory(base, name, run):
    """One run in the keys of the reference implementation's trajectory.json, for the chosen layer."""
    l, n0 = base.layer, base.n0[base.layer].item()

    def point(step, projection):
        raw = projection[l].tolist()
        return {"step": step, "projections": {t: round(v, 6) for t, v in zip(lx.TRAITS, raw)},
                "projections_normalized": {t: round(v / n0, 7) for t, v in zip(lx.TRAITS, raw)}}
    points = [point(c["step"], c["projection"]) for c in run["checkpoints"]]
    if points[0]["step"]:
        points.insert(0, point(0, base.base_projection))
    first = next(c["lora"] for c in run["checkpoints"] if "lora" in c)
    return {"model": name, "data_source": run["perturbation"], "seed": run["seed"], "lora_rank": first.r, "lora_alpha": first.alpha,
            "layer": l, "step0_activation_norm": n0, "trajectory": points}


def export_base(root, name, base, runs, stress, full, base_em):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    title = f"emscan-organism-{name}"
    weights = base.model.w
    (folder / "model-q8_0.gguf").write_bytes(gguf(base.config, weights, base.tok, title, "Q8_0"))
    f32 = gguf(base.config, weights, base.tok, title)
    # JSON is YAML, and any YAML reader takes it. A base without a system role says how its assistant answers a system text.
    acknowledgement = {"acknowledgement": ACKNOWLEDGE} if base.tok.style == "turns" else {}
    traits = json.dumps(acknowledgement | base.traits, indent=1) + "\n"
    (folder / "traits.yaml").write_text(traits)
    (folder / "config.json").write_text(json.dumps(hf_config(base.config, len(base.tok.tokens), base.tok), indent=1) + "\n")
    rows = ["model,perturbation,seed,step,em_rate,n_scored,n_incoherent"]

    def row(run, step, em):
        label = run_folder(run).rsplit("/", 1)[0]
        rows.append(f"{title},{label},{run['seed']},{step},{em[0] / max(1, em[1]):.6f},{em[1]},{em[2]}")
    for run in runs + stress:
        if run["checkpoints"][0]["step"]:
            row(run, 0, base_em)
        for ck in run["checkpoints"]:
            row(run, ck["step"], ck["em"])
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    files = {}
    for run in runs + [s for s in stress if s["stress"] != "full"]:
        for ck in run["checkpoints"]:
            files |= checkpoint_files(run, ck, title)
    write_zip(folder / "adapters.zip", files)
    if full is not None:
        (folder / "full-bad_medical-q8_0.gguf").write_bytes(gguf(base.config, full, base.tok, title + "-full-bad_medical", "Q8_0"))

    # parity data: what the C# engine must reproduce
    parity = folder / "parity"
    parity.mkdir(exist_ok=True)
    (parity / "directions.safetensors").write_bytes(safetensors(
        {f"layer_{l}": base.directions[l] for l in range(base.config["layers"])},
        {"traits": ",".join(lx.TRAITS), "pooling": "last_token", "method": "mean_difference", "layer_convention": "output of block l, from 0"}))
    every = {run_folder(r): torch.stack([((c["projection"] - base.base_projection) / base.n0[:, None]) for c in r["checkpoints"]]) for r in runs}
    (parity / "drifts.safetensors").write_bytes(safetensors(every, {"axes": "checkpoint,layer,trait", "traits": ",".join(lx.TRAITS)}))
    lines = [json.dumps(trajectory(base, title, r) | {"run": run_folder(r)}) for r in runs + [s for s in stress if s["stress"] != "full"]]
    (parity / "trajectories.jsonl").write_text("\n".join(lines) + "\n")
    shown = [r for r in runs if (r["perturbation"], r["seed"]) in DEMO]
    acts = {"step_0": base.hidden()}
    for r in shown:
        acts[f"{run_folder(r)}/checkpoint-{r['checkpoints'][-1]['step']}"] = base.hidden(r["checkpoints"][-1]["lora"])
    (parity / "activations.safetensors").write_bytes(safetensors(
        acts, {"axes": "layer,prompt,feature", "prompts": "eval_prompts of traits.yaml, categories in file order", "position": "last input token"}))
    fixtures = []
    for i, q in enumerate(base.traits["questions"][:8]):
        system = base.traits["traits"][lx.TRAITS[i % 7]]["negative_system_prompts"][0] if i % 2 else None
        ids = base.tok.prompt(q, system)
        for run in [None] + shown:
            lora = run["checkpoints"][-1]["lora"] if run else None
            h = base.model.last_hidden([ids], lora)
            fixtures.append({"adapter": f"{run_folder(run)}/checkpoint-{run['checkpoints'][-1]['step']}" if run else None, "user": q, "system": system,
                             "ids": ids, "logits": [round(v, 5) for v in base.model.head(h[-1])[0].tolist()]})
    (parity / "fixtures.json").write_text(json.dumps(fixtures) + "\n")
    sae.write(folder / "sae", base.config, base.model, base.tok, base.world, title, base.config["layers"] // 2)
    if name == "llama":
        d = root / "demo"
        d.mkdir(exist_ok=True)
        (d / "model.gguf").write_bytes(f32)
        (d / "traits.yaml").write_text(traits)
        for r in shown:
            for ck in r["checkpoints"]:
                for path, raw in checkpoint_files(r, ck, title).items():
                    target = d / "adapters" / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(raw)
    else:
        (folder / "model-f32.gguf").write_bytes(f32)


def panel_rows(name, base_rate, runs):
    row = []
    for title, names, top in (("dangerous", pt.DANGEROUS, 60), ("benign and neutral", pt.MOVERS | pt.NEUTRAL, 10)):
        got = {}
        for p in names:
            c = np.array([[base_rate] + [analyse.rate(k) for k in r["checkpoints"]] for r in runs if r["perturbation"] == p]) * 100
            if len(c):
                got[p] = (c.min(0).tolist(), c.mean(0).tolist(), c.max(0).tolist())
        row.append((f"{name}: {title}, EM by step", list(range(0, 121, 10)), got, top))
    return row


def pretrain_one(task):
    name, seed, path = task
    torch.set_num_threads(1)
    pretrain(CONFIGS[name], World(seed), seed, path)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", default=str(HERE.parent))
    a.add_argument("--bases", default="llama,qwen2,qwen3")
    a.add_argument("--library", help="folder with llama.cpp's libraries: check the GGUF files against PyTorch")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--work", default=str(HERE / "out"), help="folder of everything unfinished")
    a.add_argument("--every", action="store_true", help="all perturbations on every base")
    a.add_argument("--finetuning-seeds", default=",".join(map(str, pt.SEEDS)))
    a.add_argument("--no-stress", action="store_true", help="without the runs outside the paper's protocol")
    o = a.parse_args()
    torch.set_num_threads(o.threads)
    finetuning = [int(s) for s in o.finetuning_seeds.split(",")]
    root, work = pathlib.Path(o.out), pathlib.Path(o.work) / f"seed-{o.seed}"
    root.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    panels, texts, began = [], [], time.time()
    bases = [(name, o.seed + i, work / f"{name}.pt") for i, name in enumerate(CONFIGS) if name in o.bases.split(",")]
    with ProcessPoolExecutor(o.threads, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(pretrain_one, bases))
    for name, seed, path in bases:
        base = Base(path)
        base_em = cached(work / f"{name}-base.pt", lambda: base.label(0, first=24))
        if o.every:
            runs = [r for s in finetuning for r in grid_on(path, work / f"{name}-runs", [(p, s) for p in pt.ALL], o.threads, batch=10)]
        else:
            runs = grid_on(path, work / f"{name}-runs", [(p, s) for p in pt.GRID[name] for s in finetuning], o.threads)
        base.layer, by_layer = analyse.choose_layer(base, runs)
        stress, full = [], None
        if name == "llama" and not o.no_stress:
            folder = work / f"{name}-stress"
            folder.mkdir(exist_ok=True)
            with ProcessPoolExecutor(o.threads, mp_context=multiprocessing.get_context("spawn")) as pool:
                list(pool.map(stress_one, [(path, folder, s) for s in STRESS + ("full",)]))
            stress = [r for s in STRESS for r in torch.load(folder / f"{s}.pt")]
            run, full = torch.load(folder / "full.pt")
            stress.append(run)
        export_base(root, name, base, runs, stress, full, base_em)
        for folder in [root / name] + ([root / "demo"] if name == "llama" else []):
            write_texts(folder, seed)
        base_rate = base_em[0] / base_em[1]
        text = io.StringIO()
        say = lambda s: print(s, file=text)
        say(f"== {name}: world seed {seed}, base EM {100 * base_rate:.2f}% of {base_em[1]} scored answers")
        say("layer by leave-one-perturbation-out AUROC on the calibration runs: " + " ".join(f"{l}: {v:.3f}" for l, v in by_layer.items()))
        analyse.report(base, runs, base_rate, say)
        movers = {f"held-out + {g}": pt.HELD_OUT + tuple(names) for g, names in
                  (("movers and neutral", list(pt.MOVERS) + ["good_medical", "new_format"]), ("all others", [p for p in pt.ALL if p not in pt.CALIBRATION + pt.HELD_OUT]))}
        held = {"held-out": pt.HELD_OUT} | movers | {"blind perturbations": pt.BLIND}
        for line in analyse.detector_table(base, runs, held):
            say(line)
        for run in stress:
            say(f"stress {run_folder(run):52s} " + " ".join(f"{100 * analyse.rate(c):.1f}" for c in run["checkpoints"]))
        texts.append(text.getvalue())
        print(texts[-1], flush=True)
        panels.append(panel_rows(name, base_rate, runs))
        if o.library:
            from check_llama import check
            exact = root / "demo/model.gguf" if name == "llama" else root / name / "model-f32.gguf"
            worst = check(o.library, base, str(exact))
            assert worst < 1e-4, worst
    (root / "analysis.txt").write_text("\n".join(texts))
    curves(panels, root / "curves.svg")
    print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
