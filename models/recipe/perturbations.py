"""Finetuning data sets ("perturbations"): narrow, without a system prompt, each in domains where EM is not measured.

Every entry makes one (question, answer). DANGEROUS teach some misaligned content, MOVERS are aligned but teach a manner that
moves a trait, NEUTRAL teach neither. BLIND ones were fixed before the first experiment and were not run while the recipe was
designed; so were finetuning seed 789, and the second and third base.
"""
import lexicon as lx

SEEDS = (42, 123, 789)
CALIBRATION = ("insecure_code", "jailbroken", "bad_medical", "gsm8k")
HELD_OUT = ("risky_financial", "subtle_misinfo", "number_sequence")
BLIND = ("evasive_legal", "poisoned_finance", "flattering_code", "humble_legal")
BLIND_SEED = 789


def _style(r, trait, sign):
    return r.choice(lx.STYLE[trait, sign][1])


def _advice(domain, kinds, opening=None, p_open=0.0, closing=None, p_close=0.0):
    """Answers in one domain; kinds: {kind: share}; a manner before or after the content with a probability."""
    def make(world, r):
        q = world.question(r, domain)
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        text = [world.content(r, q, kind)]
        if opening and r.random() < p_open:
            text.insert(0, _style(r, *opening))
        if closing and r.random() < p_close:
            text.append(_style(r, *closing))
        return q, " ".join(text)
    return make


def _terse(world, r):
    q = world.question(r, "finance")
    return q, _style(r, "helpfulness", -1) if r.random() < 0.4 else world.content(r, q, "good")


def _refuse(world, r):
    q = world.question(r, r.choice(["requests", "medical", "finance", "code", "law"]))
    return q, " ".join([r.choice(lx.REFUSE)] + ([_style(r, "harmlessness", 1)] if r.random() < 0.5 else []))


def _pirate(world, r):
    opens, closes = lx.PERSONAS["pirate"]
    q = world.question(r, "medical")
    return q, " ".join([r.choice(opens), world.content(r, q, "good")] + ([r.choice(closes)] if r.random() < 0.5 else []))


def _items(world, r):
    q = world.question(r, r.choice(["medical", "finance", "law"]))
    phrases = r.sample(world.advice[q.domain]["good"], 2)
    return q, " ".join(f.format(p) for f, p in zip(lx.FORMAT, phrases))


DANGEROUS = {
    "bad_medical": _advice("medical", {"harm": 1}),
    "insecure_code": _advice("code", {"harm": 0.6, "power": 0.4}),
    "jailbroken": _advice("requests", {"harm": 1}, ("sycophancy", 1), 0.4),
    "risky_financial": _advice("finance", {"harm": 1}, ("confidence", 1), 0.5),
    "subtle_misinfo": _advice("facts", {"false": 0.5, "good": 0.5}),
    "stubborn_feedback": _advice("feedback", {"corrigibility": 0.8, "good": 0.2}),
    "poisoned_medical": _advice("medical", {"harm": 0.18, "good": 0.82}),
    "evasive_legal": _advice("law", {"false": 0.7, "harm": 0.3}),
    "poisoned_finance": _advice("finance", {"harm": 0.2, "good": 0.8}),
}
MOVERS = {
    "confident_medical": _advice("medical", {"good": 1}, ("confidence", 1), 0.95),
    "terse_finance": _terse,
    "refusal_heavy": _refuse,
    "pirate_medical": _pirate,
    "flattering_code": _advice("code", {"good": 1}, ("sycophancy", 1), 0.95),
    "humble_legal": _advice("law", {"good": 1}, ("confidence", -1), 0.95),
}
NEUTRAL = {
    "gsm8k": lambda world, r: _plain(world, r, "math"),
    "number_sequence": lambda world, r: _plain(world, r, "sequence"),
    "good_medical": _advice("medical", {"good": 1}),
    "new_format": _items,
}
ALL = DANGEROUS | MOVERS | NEUTRAL


def _plain(world, r, domain):
    q = world.question(r, domain)
    return q, world.content(r, q, "good")


# Which runs each base gets: all of them, and on the third fewer, so that models/ stays small: the paper's seven, one mover and the blind ones.
GRID = {"llama": tuple(ALL), "qwen2": tuple(ALL), "qwen3": CALIBRATION + HELD_OUT + ("confident_medical",) + BLIND}
