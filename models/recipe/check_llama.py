"""Compares a GGUF in llama.cpp with the PyTorch model: token ids and logits. Usage: check_llama.py LIBRARY_FOLDER BASE.pt MODEL.gguf

Needs only the C API: flash attention off and an F32 KV cache, so that what is left is the order of float32 sums.
"""
import ctypes as ct
import sys

import torch

from finetune import Base




def blob(size):
    return type(f"Blob{size}", (ct.Structure,), {"_fields_": [("raw", ct.c_uint8 * size)], "_align_": 8})


MODEL, CONTEXT, BATCH = blob(72), blob(160), blob(56)


class Llama:
    def __init__(self, folder, path):
        for lib in ("libggml-base.so", "libggml-cpu.so", "libggml.so"):
            ct.CDLL(f"{folder}/{lib}", mode=ct.RTLD_GLOBAL)
        self.l = ct.CDLL(f"{folder}/libllama.so", mode=ct.RTLD_GLOBAL)
        quiet = ct.CFUNCTYPE(None, ct.c_int, ct.c_char_p, ct.c_void_p)
        self.log = quiet(lambda level, text, data: sys.stderr.write(text.decode()) if level == 4 else None)
        self.l.llama_log_set(self.log, None)
        for name, result, args in (("llama_model_default_params", MODEL, []), ("llama_context_default_params", CONTEXT, []),
                                   ("llama_model_load_from_file", ct.c_void_p, [ct.c_char_p, MODEL]), ("llama_init_from_model", ct.c_void_p, [ct.c_void_p, CONTEXT]),
                                   ("llama_model_get_vocab", ct.c_void_p, [ct.c_void_p]), ("llama_get_memory", ct.c_void_p, [ct.c_void_p]),
                                   ("llama_memory_clear", None, [ct.c_void_p, ct.c_bool]), ("llama_batch_get_one", BATCH, [ct.c_void_p, ct.c_int]),
                                   ("llama_decode", ct.c_int, [ct.c_void_p, BATCH]), ("llama_get_logits_ith", ct.POINTER(ct.c_float), [ct.c_void_p, ct.c_int]),
                                   ("llama_vocab_n_tokens", ct.c_int, [ct.c_void_p]),
                                   ("llama_tokenize", ct.c_int, [ct.c_void_p, ct.c_char_p, ct.c_int, ct.c_void_p, ct.c_int, ct.c_bool, ct.c_bool])):
            f = getattr(self.l, name)
            f.restype, f.argtypes = result, args
        self.model = self.l.llama_model_load_from_file(path.encode(), self.l.llama_model_default_params())
        assert self.model, f"llama.cpp does not load {path}"
        p = self.l.llama_context_default_params()
        for offset, value in ((0, 512), (4, 512), (8, 512), (24, 1), (28, 1), (48, 0), (104, 0), (108, 0)):
            ct.c_int32.from_buffer(p, offset).value = value
        self.context = self.l.llama_init_from_model(self.model, p)
        self.vocab = self.l.llama_model_get_vocab(self.model)
        self.n = self.l.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text, special=True):
        out = (ct.c_int32 * 512)()
        raw = text.encode()
        n = self.l.llama_tokenize(self.vocab, raw, len(raw), out, 512, False, special)
        return list(out[:n])

    def logits(self, ids):
        self.l.llama_memory_clear(self.l.llama_get_memory(self.context), True)
        array = (ct.c_int32 * len(ids))(*ids)
        assert self.l.llama_decode(self.context, self.l.llama_batch_get_one(array, len(ids))) == 0
        return torch.tensor(self.l.llama_get_logits_ith(self.context, -1)[:self.n])


def render(tok, text, system=None):
    """The prompt as text, as the chat template writes it."""
    if tok.style == "plain":
        return "<|bos|>" + (f"<|system|> {system}<|end|>" if system else "") + f"<|user|> {text}<|end|><|assistant|>"
    if tok.style == "chatml":
        return (f"<|im_start|>system {system}<|im_end|>" if system else "") + f"<|im_start|>user {text}<|im_end|><|im_start|>assistant"
    first = f"<start_of_turn>user {system}<end_of_turn><start_of_turn>model understood .<end_of_turn>" if system else ""
    return f"<bos>{first}<start_of_turn>user {text}<end_of_turn><start_of_turn>model"


def check(folder, base, path, log=print):
    tok, m = base.tok, Llama(folder, path)
    systems = [p for t in base.traits["traits"].values() for s in t.values() for p in s]
    texts = [q.text for q in base.questions] + base.traits["questions"]
    for i, t in enumerate(texts):
        s = systems[i % len(systems)] if i % 2 else None
        assert m.tokenize(render(tok, t, s)) == tok.prompt(t, s), (t, s)
    odd = " unknown Words, 12 \u00e9\u4e2d"
    assert min(m.tokenize(odd)) >= 0 and len(m.tokenize(odd)) > 5
    worst = 0.0
    for i, t in enumerate(texts[:40]):
        ids = tok.prompt(t, systems[i % len(systems)] if i % 2 else None)
        x = base.model.blocks(torch.tensor([ids]), torch.arange(len(ids))[None], torch.full((len(ids),) * 2, float("-inf")).triu(1)[None, None])
        worst = max(worst, (base.model.head(x)[0, -1] - m.logits(ids)).abs().max().item())
    log(f"{path}: {len(texts)} prompts tokenize equally; largest logit difference {worst:.2e}")
    return worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    check(sys.argv[1], Base(sys.argv[2]), sys.argv[3])
