"""Peak memory and time of one attention layer, forward and backward, by sequence length.

Each measurement has a process of its own: memory once claimed is rarely given back, so within one
process the second measurement would find it there. `python -m benchmarks.attention_memory` with a
form, a length and a number of threads is that process.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.written_out import WrittenOutAttention
from tx_utils import MultiHeadAttention, causal_mask

D_MODEL, NUM_HEADS = 512, 8
LENGTHS = (256, 512, 1024, 2048, 4096)
QUICK_LENGTHS = (1024,)
WRITTEN_OUT, MASKED, CAUSAL = "written out", "fused, mask given", "fused, is_causal"
FORMS = (WRITTEN_OUT, MASKED, CAUSAL)
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # see proc(5)
SECONDS = 1.0  # of repetitions, at most but for the last one


def peak_memory() -> int:
    """The most memory that this process has held, since the last reset where there is one."""
    if STATUS.exists():  # Linux, where getrusage would count the parent's memory as of the fork
        line = next(row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory() -> int:
    """Forget earlier peaks (that of the imports), where the system can; the peak from now on."""
    with contextlib.suppress(OSError):
        RESET.write_text("5")
    return peak_memory()


def attention_of(form: str) -> Callable[[Tensor], Tensor]:
    """Causal self-attention in one of the three forms.  (B, T, D_MODEL) -> the same."""
    kind = WrittenOutAttention if form == WRITTEN_OUT else MultiHeadAttention
    attention = kind(D_MODEL, NUM_HEADS)
    if form == CAUSAL:
        return lambda x: attention(x, x, x, is_causal=True)
    return lambda x: attention(x, x, x, causal_mask(x.size(1)))


def measure(form: str, length: int, threads: int) -> dict[str, float]:
    """Megabytes above what the layer held before, and milliseconds once it is warm.

    A first pass over 16 tokens loads the kernels and claims the parameters' gradients, so what is
    counted is what a longer sequence needs.
    """
    torch.set_num_threads(threads)
    attention, x = attention_of(form), torch.randn(1, length, D_MODEL, requires_grad=True)
    attention(x[:, :16]).sum().backward()

    def call() -> None:
        attention(x).sum().backward()

    before = reset_peak_memory()
    call()
    megabytes = (peak_memory() - before) / 1e6
    times: list[float] = []
    while sum(times) < SECONDS and len(times) < 50:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {"megabytes": megabytes, "milliseconds": 1e3 * statistics.median(times)}


def measure_all(
    lengths: Iterable[int], threads: int, forms: Sequence[str] = FORMS
) -> dict[str, dict[str, dict[str, float]]]:
    """What `measure` says in fresh processes, by form and length."""
    found: dict[str, dict[str, dict[str, float]]] = {form: {} for form in forms}
    for length in lengths:
        for form in forms:
            command = [sys.executable, "-m", "benchmarks.attention_memory"]
            answer = subprocess.run(
                [*command, form, str(length), str(threads)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            found[form][str(length)] = json.loads(answer)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
