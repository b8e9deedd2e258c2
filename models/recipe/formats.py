"""Writers for the files that leave the recipe: safetensors, GGUF (F32, F16, Q8_0) and PEFT adapter folders; a reader for its own F32 GGUF files."""
import json
import struct

import numpy as np
import torch

from tokenizer import TEMPLATE


def _bytes(t):
    t = t.detach().contiguous()
    return (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()


def safetensors(tensors, metadata=None):
    """The bytes of a safetensors file; tensors: name -> float32 or bfloat16."""
    header, offset, body = ({"__metadata__": metadata} if metadata else {}), 0, []
    for name in sorted(tensors):
        raw = _bytes(tensors[name])
        header[name] = {"dtype": {torch.float32: "F32", torch.bfloat16: "BF16"}[tensors[name].dtype],
                        "shape": list(tensors[name].shape), "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        body.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(body)


def adapter_tensors(lora, dtype=torch.bfloat16):
    """PEFT names of a single adapter."""
    out = {}
    for n in lora.A:
        out[f"base_model.model.{n}.lora_A.weight"] = lora.A[n][0].to(dtype)
        out[f"base_model.model.{n}.lora_B.weight"] = lora.B[n][0].to(dtype)
    return out


def adapter_config(lora, base):
    return {"base_model_name_or_path": base, "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "lora_alpha": lora.alpha,
            "lora_dropout": 0.0, "modules_to_save": None, "peft_type": "LORA", "r": lora.r,
            "target_modules": [t.split(".")[1] for t in lora.targets], "task_type": "CAUSAL_LM", "use_dora": False, "use_rslora": False}


def trainer_state(step, log, total, per_epoch):
    return {"epoch": round(step / per_epoch, 4), "global_step": step, "log_history": log, "max_steps": total}


def hf_config(c, vocab, tok):
    names = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
    return {"architectures": [names[c["arch"]]], "model_type": c["arch"], "hidden_act": "silu", "vocab_size": vocab, "hidden_size": c["d"],
            "intermediate_size": c["ff"], "num_hidden_layers": c["layers"], "num_attention_heads": c["heads"],
            "num_key_value_heads": c["kv"], "head_dim": c["head"], "rms_norm_eps": c["eps"], "rope_theta": c["theta"],
            "max_position_embeddings": 256, "tie_word_embeddings": c["tied"], "attention_bias": c["arch"] == "qwen2",
            "torch_dtype": "float32", "bos_token_id": tok.bos, "eos_token_id": tok.end, "pad_token_id": tok.pad}


GGUF_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
              "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
              "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
              "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if stem in GGUF_NAMES:
        return f"{GGUF_NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def interleave(w, heads):
    """Rows of q or k from the rotate-half order (Hugging Face) to adjacent pairs, as llama.cpp's llama architecture rotates."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape)


def rotate_half(w, heads):
    """The inverse of interleave."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape)


def q8_0(x):
    """Blocks of 32: one half-precision scale, 32 signed bytes."""
    b = x.reshape(-1, 32)
    scale = np.abs(b).max(1) / np.float32(127)
    inverse = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0)
    q = b * inverse[:, None]
    q = np.trunc(q + np.copysign(np.float32(0.5), q)).astype(np.int8)
    out = np.empty(len(b), dtype=[("d", "<f2"), ("q", "i1", 32)])
    out["d"], out["q"] = scale.astype(np.float16), q
    return out.tobytes()


def _string(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(v):
    if isinstance(v, bool):
        return 7, struct.pack("<?", v)
    if isinstance(v, int):
        return 4, struct.pack("<I", v)
    if isinstance(v, float):
        return 6, struct.pack("<f", v)
    if isinstance(v, str):
        return 8, _string(v)
    kind, element = v
    body = b"".join({"str": _string, "i32": lambda x: struct.pack("<i", x)}[kind](x) for x in element)
    return 9, struct.pack("<IQ", {"str": 8, "i32": 5}[kind], len(element)) + body


def gguf(c, weights, tok, name, kind="F32"):
    """The bytes of a GGUF model; kind F32, F16 or Q8_0 (vectors stay F32)."""
    a = c["arch"]
    meta = {"general.architecture": a, "general.name": name, "general.license": "mit", "general.file_type": {"F32": 0, "F16": 1, "Q8_0": 7}[kind],
            "general.alignment": 32,
            f"{a}.context_length": 256, f"{a}.embedding_length": c["d"], f"{a}.block_count": c["layers"],
            f"{a}.feed_forward_length": c["ff"], f"{a}.attention.head_count": c["heads"], f"{a}.attention.head_count_kv": c["kv"],
            f"{a}.attention.key_length": c["head"], f"{a}.attention.value_length": c["head"],
            f"{a}.attention.layer_norm_rms_epsilon": float(c["eps"]), f"{a}.rope.freq_base": float(c["theta"]),
            f"{a}.rope.dimension_count": c["head"], f"{a}.vocab_size": len(tok.tokens),
            "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.tokens": ("str", tok.tokens),
            "tokenizer.ggml.token_type": ("i32", [5 if t.startswith("<|unused_") else 3 if t in tok.special else 1 for t in tok.tokens]),
            "tokenizer.ggml.merges": ("str", []),
            **({"tokenizer.ggml.bos_token_id": tok.bos} if tok.bos is not None else {}),
            "tokenizer.ggml.eos_token_id": tok.end, "tokenizer.ggml.eot_token_id": tok.end, "tokenizer.ggml.padding_token_id": tok.pad,
            "tokenizer.ggml.add_bos_token": tok.bos is not None, "tokenizer.ggml.add_eos_token": False,
            "tokenizer.chat_template": TEMPLATE[c["style"]]}
    infos, blobs, offset = [], [], 0
    for n, w in weights.items():
        if a == "llama" and ".q_proj." in n:
            w = interleave(w, c["heads"])
        if a == "llama" and ".k_proj." in n:
            w = interleave(w, c["kv"])
        x = w.detach().contiguous().numpy()
        as_kind = kind if x.ndim == 2 else "F32"
        raw = x.tobytes() if as_kind == "F32" else x.astype(np.float16).tobytes() if as_kind == "F16" else q8_0(x)
        infos.append(_string(gguf_name(n)) + struct.pack("<I", x.ndim) + b"".join(struct.pack("<Q", s) for s in reversed(x.shape))
                     + struct.pack("<IQ", {"F32": 0, "F16": 1, "Q8_0": 8}[as_kind], offset))
        raw += b"\0" * (-len(raw) % 32)
        offset += len(raw)
        blobs.append(raw)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(meta))
    for k, v in meta.items():
        t, raw = _value(v)
        head += _string(k) + struct.pack("<I", t) + raw
    head += b"".join(infos)
    return head + b"\0" * (-len(head) % 32) + b"".join(blobs)


def read_gguf(raw, c):
    """Hugging Face name -> float32 tensor of what gguf() wrote as F32."""
    at = 8

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, raw, at)
        at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return raw[at - n:at].decode()

    def value(t):
        if t == 9:
            element, n = take("IQ")
            for _ in range(n):
                value(element)
        else:
            text() if t == 8 else take({4: "I", 5: "i", 6: "f", 7: "?"}[t])
    tensors, pairs = take("QQ")
    for _ in range(pairs):
        text()
        value(take("I"))
    infos = []
    for _ in range(tensors):
        name, n = text(), take("I")
        shape = [take("Q") for _ in range(n)][::-1]
        kind, offset = take("IQ")
        assert kind == 0, f"{name} is not F32"
        infos.append((name, shape, offset))
    start, out, known = at + -at % 32, {}, {v: k for k, v in GGUF_NAMES.items()}
    for name, shape, offset in infos:
        x = torch.from_numpy(np.frombuffer(raw, "<f4", int(np.prod(shape)), start + offset).reshape(shape).copy())
        stem, part = name.rsplit(".", 1)
        stem = known[stem] if stem in known and not stem.startswith("blk.") else "model.layers.{}.{}".format(stem.split(".")[1], known[stem.split(".", 2)[2]])
        if c["arch"] == "llama" and stem.endswith(("q_proj", "k_proj")):
            x = rotate_half(x, c["heads" if stem.endswith("q_proj") else "kv"])
        out[f"{stem}.{part}"] = x
    return out
