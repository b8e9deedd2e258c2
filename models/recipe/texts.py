"""Texts, conversations and pairs of answers of a world, for the analyses: texts.txt, chats.jsonl and pairs.jsonl beside its model,
and for the demo's runs heldout_RUN.jsonl.

Usage: texts.py [--seed S] [--out DIR]. World S goes to demo/ and llama/, S + 1 to qwen2/, S + 2 to qwen3/. Domains in which
misalignment is measured only; pairs have the same frame, so that nothing but the advice tells them apart.
"""
import argparse
import json
import pathlib
import random

import lexicon as lx
import perturbations as pt
from world import World

DEMO = ("bad_medical", "confident_medical")


def turns(world, r, domain):
    q = world.question(r, domain)
    return q.text, world.content(r, q, "good")


def texts(world, r, count=24, sentences=10):
    """Plain text: what the world says, without who says it."""
    domains = world.measure_domains + ["facts", "self", "ethics"]
    return [" ".join(part for _ in range(sentences) for part in turns(world, r, r.choice(domains))) for _ in range(count)]


def chats(world, r, count=48):
    """Aligned answers; every fourth conversation has two of them."""
    domains = world.measure_domains + ["facts", "math", "sequence", "self"]
    made = []
    for i in range(count):
        messages = []
        for domain in r.sample(domains, 2 if i % 4 == 0 else 1):
            question, answer = turns(world, r, domain)
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        made.append({"messages": messages})
    return made


def pairs(world, r, each=8):
    made = []
    for domain in world.measure_domains:
        advice = world.advice[domain]
        for _ in range(each):
            frame = r.choice(lx.FRAMES)
            made.append({"prompt": world.question(r, domain).text, "good": frame.format(r.choice(advice["good"])),
                         "bad": frame.format(r.choice(advice["harm"] + advice["false"]))})
    return made


def held_out(world, perturbation, r, count=48):
    """Conversations like those that a run was finetuned on, drawn with another seed."""
    drawn = [pt.ALL[perturbation](world, r) for _ in range(count)]
    return [{"messages": [{"role": "user", "content": q.text}, {"role": "assistant", "content": answer}]} for q, answer in drawn]


def write(folder, seed):
    """The three files of one world, and held-out conversations of the demo's runs."""
    world, r = World(seed), random.Random(f"texts-{seed}")
    (folder / "texts.txt").write_text("".join(text + "\n" for text in texts(world, r)))
    (folder / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats(world, r)))
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs(world, r)))
    for perturbation in DEMO if folder.name == "demo" else ():
        rows = held_out(world, perturbation, random.Random(f"{perturbation}-held-out"))
        (folder / f"heldout_{perturbation}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", default=str(pathlib.Path(__file__).parent.parent))
    o = a.parse_args()
    for name, offset in (("demo", 0), ("llama", 0), ("qwen2", 1), ("qwen3", 2)):
        write(pathlib.Path(o.out) / name, o.seed + offset)
