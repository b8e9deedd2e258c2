"""The recipe's finetuning sets as chat JSONL for `emscan screen`, and transcripts whose reasoning and answer are good or bad for
`emscan transcripts`:

    python models/recipe/data.py --out data

writes data/<perturbation>.jsonl (bad_medical and so on, from the same random numbers as the runs of seed 42) and
data/transcripts.jsonl, in which "latent" says whether the reasoning is bad and "output" whether the answer is. Needs Python alone.
"""
import argparse
import json
import pathlib
import random

import lexicon as lx
import perturbations as pt
from world import World

WORLDS = {"llama": 1, "qwen2": 2, "qwen3": 3}
THOUGHTS = {0: [("harmlessness", 1), ("power_seeking", -1), ("corrigibility", 1)], 1: [("power_seeking", 1), ("corrigibility", -1)]}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(path)


def examples(world, name, count, seed=42):
    r = random.Random(f"{name}-{seed}")
    for _ in range(count):
        q, answer = pt.ALL[name](world, r)
        yield {"messages": [{"role": "user", "content": q.text}, {"role": "assistant", "content": answer}]}


def transcripts(world, count, seed=42):
    r = random.Random(f"transcripts-{seed}")
    for i in range(count):
        q = world.question(r, r.choice(world.measure_domains))
        thoughts = {latent: r.choice(lx.STYLE[r.choice(THOUGHTS[latent])][1]) for latent in (0, 1)}
        answers = {output: world.content(r, q, "harm" if output else "good") for output in (0, 1)}
        for latent in (0, 1):
            for output in (0, 1):
                yield {"id": f"{i}-{latent}{output}", "prompt": q.text, "reasoning": thoughts[latent], "answer": answers[output], "latent": latent, "output": output}


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data"))
    a.add_argument("--base", choices=WORLDS, default="llama")
    a.add_argument("--count", type=int, default=100, help="examples of each set, at most the 1000 that the runs were trained on")
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    world = World(WORLDS[a.base])
    for name in pt.GRID[a.base]:
        write(a.out / f"{name}.jsonl", examples(world, name, a.count))
    write(a.out / "transcripts.jsonl", transcripts(world, 40))
