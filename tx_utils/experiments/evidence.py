"""Evidence: an experiment's results over many seeds, stored in a small file beside this one.

A lesson trains one to three seeds live. What it says about the spread it reads from here, and
anyone can measure it again.
"""

import json
import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent / "evidence"
SEEDS = tuple(range(10))


@dataclass(frozen=True)
class Result:
    """What one training run came to.

    Attributes:
        loss: Loss on the fixed test set after training; nan if training diverged.
        accuracy: Accuracy there.
        curve: Mean training loss of each epoch.
        epoch_end: Number of steps at the end of each epoch.
        measures: What else was measured, by name.
    """

    loss: float
    accuracy: float
    curve: list[float] = field(default_factory=list)
    epoch_end: list[int] = field(default_factory=list)
    measures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """An ablation: variants that differ in one thing, trained from many seeds.

    Attributes:
        name: Names the experiment and its file.
        settings: Everything that the numbers depend on, in plain types.
        floors: The computed floors and chance levels that the results are read against.
        variants: The names of what is compared.
        run: Trains one variant from one seed.
    """

    name: str
    settings: Mapping[str, Any]
    floors: Mapping[str, float]
    variants: tuple[str, ...]
    run: Callable[[str, int], Result]


@dataclass(frozen=True)
class Evidence:
    """Stored results of an experiment.

    Attributes:
        settings: What the numbers were made with.
        floors: The computed floors that they are read against.
        versions: Of Python and torch.
        runs: Results by variant and seed.
    """

    settings: dict[str, Any]
    floors: dict[str, float]
    versions: dict[str, str]
    runs: dict[str, dict[int, Result]]

    def losses(self, variant: str) -> list[float]:
        """The test losses of a variant, one per seed."""
        return [result.loss for result in self.runs[variant].values()]

    def accuracies(self, variant: str) -> list[float]:
        """The test accuracies of a variant, one per seed."""
        return [result.accuracy for result in self.runs[variant].values()]

    def spread(self, variant: str) -> tuple[float, float]:
        """The lowest and the highest test loss of a variant; infinite where a seed diverged."""
        losses = [math.inf if math.isnan(loss) else loss for loss in self.losses(variant)]
        return min(losses), max(losses)

    def measures(self, variant: str, name: str) -> list[Any]:
        """What else was measured under that name, one entry per seed."""
        return [result.measures[name] for result in self.runs[variant].values()]

    def band(self, variant: str, name: str) -> tuple[list[float], list[float]]:
        """The lowest and the highest of what was measured under that name, entry by entry."""
        entries = list(zip(*self.measures(variant, name), strict=True))
        return [min(entry) for entry in entries], [max(entry) for entry in entries]

    def curves(self, variant: str) -> list[tuple[list[int], list[float]]]:
        """The training curves of a variant, one (steps, losses) per seed."""
        return [(result.epoch_end, result.curve) for result in self.runs[variant].values()]


def load_evidence(name: str, folder: Path = FOLDER) -> Evidence:
    """Read an experiment's stored results.

    Raises:
        FileNotFoundError: if nothing is stored under that name.
    """
    stored = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    runs = {
        variant: {
            int(seed): Result(**{key: _number(value) for key, value in result.items()})
            for seed, result in sorted(results.items(), key=lambda item: int(item[0]))
        }
        for variant, results in stored["runs"].items()
    }
    return Evidence(stored["settings"], stored["floors"], stored["versions"], runs)


def collect(
    experiment: Experiment, seeds: Iterable[int] = SEEDS, folder: Path = FOLDER
) -> Iterator[tuple[str, int]]:
    """Run what is not stored yet, storing after each run; yields the (variant, seed) just done.

    Results that were made with other settings, or by another version of torch, are made anew.
    """
    evidence, seeds = _kept(experiment, folder), tuple(seeds)
    if (folder / f"{experiment.name}.json").exists():
        _store(experiment.name, evidence, folder)  # with the present floors and variants
    for variant in experiment.variants:
        for seed in seeds:
            if seed not in evidence.runs[variant]:
                evidence.runs[variant][seed] = experiment.run(variant, seed)
                _store(experiment.name, evidence, folder)
            yield variant, seed


def _kept(experiment: Experiment, folder: Path) -> Evidence:
    fresh = Evidence(
        settings=json.loads(json.dumps(experiment.settings)),  # as a file would give them back
        floors=dict(experiment.floors),
        versions={"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
        runs={variant: {} for variant in experiment.variants},
    )
    try:
        stored = load_evidence(experiment.name, folder)
    except FileNotFoundError:
        return fresh
    if stored.settings != fresh.settings or stored.versions["torch"] != fresh.versions["torch"]:
        return fresh
    for variant in experiment.variants:
        fresh.runs[variant].update(stored.runs.get(variant, {}))
    return fresh


def _store(name: str, evidence: Evidence, folder: Path) -> None:
    content = asdict(evidence)
    for results in content["runs"].values():
        for seed, result in results.items():
            results[seed] = {key: _plain(value) for key, value in result.items()}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.{os.getpid()}.tmp"
    unfinished.write_text(_compact(content), encoding="utf-8")
    unfinished.replace(folder / f"{name}.json")


def _compact(content: Any, indent: str = "") -> str:
    """JSON with one line per result, so that a change reads well in a diff."""
    if not isinstance(content, dict) or "loss" in content:
        return json.dumps(content, allow_nan=False)
    inner = indent + " "
    lines = [f"{inner}{json.dumps(str(k))}: {_compact(v, inner)}" for k, v in content.items()]
    return "{\n" + ",\n".join(lines) + "\n" + indent + "}" + ("" if indent else "\n")


def _plain(value: Any) -> Any:
    """Five significant digits, and null for what JSON has no number for."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {key: _number(item) for key, item in value.items()}
    return math.nan if value is None else value
