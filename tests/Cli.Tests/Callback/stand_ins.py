"""Runs the callback of docs/trainer-callback.md in stand-ins for the Trainer's loop and for torch.distributed.

usage: stand_ins.py CALLBACK.py FOLDER SCENARIO    prints the step at which each rank stopped, 0 where it did not
"""
import importlib.util
import os
import sys
import threading
import time
import types

RANKS = 3
STEPS = 40


class Tensor:
    def __init__(self, values, device=None):
        self.values = list(values)

    def item(self):
        return self.values[0]


class Reduction:
    """all_reduce with MAX over threads, one a rank: every rank must call it, or the barrier breaks."""

    def __init__(self, ranks):
        self.barrier = threading.Barrier(ranks, timeout=20)
        self.lock = threading.Lock()
        self.largest = None

    def all_reduce(self, tensor, op=None):
        assert op == "max"
        self.barrier.wait()
        with self.lock:
            self.largest = tensor.item() if self.largest is None else max(self.largest, tensor.item())
        self.barrier.wait()
        tensor.values[0] = self.largest
        self.barrier.wait()
        self.largest = None
        self.barrier.wait()


def install(distributed):
    torch = types.ModuleType("torch")
    torch.tensor = lambda values, device=None: Tensor(values, device)
    dist = types.ModuleType("torch.distributed")
    dist.ReduceOp = types.SimpleNamespace(MAX="max")
    dist.is_available = lambda: True
    dist.is_initialized = lambda: distributed
    reduction = Reduction(RANKS)
    dist.all_reduce = reduction.all_reduce
    torch.distributed = dist
    transformers = types.ModuleType("transformers")
    transformers.TrainerCallback = type("TrainerCallback", (), {})
    sys.modules.update({"torch": torch, "torch.distributed": dist, "transformers": transformers})
    return reduction


def train(callback, folder, rank, before_step, stopped):
    """The Trainer's loop, as far as the callback sees it."""
    args = types.SimpleNamespace(output_dir=folder if rank == 0 else os.path.join(folder, "not-visible-here"), device="cpu")
    state = types.SimpleNamespace(global_step=0, is_world_process_zero=rank == 0)
    control = types.SimpleNamespace(should_save=False, should_training_stop=False)
    callback.on_train_begin(args, state, control)
    for step in range(1, STEPS + 1):
        before_step(step)
        state.global_step = step
        control = callback.on_step_end(args, state, control)
        if control.should_training_stop:
            assert control.should_save
            stopped[rank] = step
            return


def main():
    module_path, folder, scenario = sys.argv[1:]
    distributed = scenario != "single"
    reduction = install(distributed)
    spec = importlib.util.spec_from_file_location("callback", module_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stop = os.path.join(folder, "emscan.stop")

    def write(text):
        with open(stop + ".tmp", "w") as file:
            file.write(text)
        os.replace(stop + ".tmp", stop)

    if scenario in ("old", "old-then-new"):
        write("{}")
    appears = None if scenario in ("none", "old") else 13

    ranks = RANKS if distributed else 1
    stopped = [0] * ranks
    gate = threading.Barrier(ranks, timeout=20)

    def before_step(step):
        if step == appears and gate.wait() == 0:
            time.sleep(0.01)
            write('{"run": "a"}')
        if step == appears:
            gate.wait()

    failures = []

    def run(rank):
        try:
            train(module.EmscanStop(every=5), folder, rank, before_step, stopped)
        except Exception as e:  # a thread's exception would otherwise only be printed
            failures.append(repr(e))
            reduction.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("; ".join(failures))
    print(*stopped)


main()
