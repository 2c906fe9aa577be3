"""Time `tx_utils` beside its peers, print the ratios, and after a full run store them.

Two threads want a quiet machine: on a busy one they wait for each other and the times say nothing.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import attention_memory
from benchmarks.contenders import OURS
from benchmarks.figures import draw
from benchmarks.report import CEILING, attention_table, gflops, summarise, table
from benchmarks.rounds import Contender, interleave
from benchmarks.workloads import WORKLOADS, Workload

STORED = Path(__file__).parent / "results.json"
SIDE = 2048  # of the square matrices whose product is the ceiling
ATTENTION = "attention"
KNOWN = (*WORKLOADS, ATTENTION)


def run(workload: Workload, rounds: int) -> dict[str, Any]:
    """Time one workload's contenders and print their table."""
    torch.manual_seed(0)
    contenders = workload.make()
    square, ceiling_flops = torch.randn(SIDE, SIDE), 2 * SIDE**3
    timed = [*contenders]
    if workload.flops:
        timed.append(Contender(CEILING, lambda: square @ square))
    times = interleave(timed, rounds)
    rows = summarise(
        times,
        OURS,
        parameters={contender.name: contender.parameters for contender in contenders},
        flops=workload.flops,
        ceiling_flops=ceiling_flops,
        tokens=workload.tokens,
    )
    result: dict[str, Any] = {"title": workload.title, "contenders": rows}
    print(f"\n{workload.title}")
    if workload.flops:
        result["ceiling_gflops"] = gflops(times[CEILING], ceiling_flops)
        print(f"ceiling: {result['ceiling_gflops']:.0f} GFLOP/s, a float32 product {SIDE} x {SIDE}")
    print(table(rows), flush=True)
    return result


def settings(threads: int) -> dict[str, object]:
    """What the numbers depend on."""
    packages = ("torch", "transformers", "x-transformers")
    return {
        "cpu": _cpu_name(),
        "threads": threads,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def measure_attention(threads: int, *, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Measure one attention layer's memory and time and print the table."""
    lengths = attention_memory.QUICK_LENGTHS if quick else attention_memory.LENGTHS
    found = attention_memory.measure_all(lengths, threads)
    print("\nOne causal self-attention layer, 8 heads of 64, forward and backward")
    print(attention_table(found), flush=True)
    return found


def main() -> None:
    """Run the workloads, and store the results if that was a full run."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    results: dict[str, Any] = {"settings": settings(arguments.threads), "workloads": {}}
    for name in arguments.names or KNOWN:
        if name == ATTENTION:
            results[name] = measure_attention(arguments.threads, quick=arguments.quick)
        else:
            workload = WORKLOADS[name]
            if rounds := workload.quick if arguments.quick else workload.rounds:
                results["workloads"][name] = run(workload, rounds)
    text = json.dumps(_rounded(results), indent=1) + "\n"
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    elif not arguments.quick and not arguments.names:
        STORED.write_text(text, encoding="utf-8")
        draw(results)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"all if none is named: {', '.join(KNOWN)}")
    parser.add_argument("--quick", action="store_true", help="few rounds; stores nothing")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="store whatever ran there, without pictures")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(KNOWN)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    return arguments


def _rounded(value: Any) -> Any:
    """Floats to four digits, so that the stored file is short."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value


def _cpu_name() -> str:
    """The processor's name where Linux tells it, else its architecture."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
