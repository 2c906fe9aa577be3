"""Evidence: collected once, kept across interruptions, made anew when stale, plain JSON on disk."""

import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tx_utils.experiments import EXPERIMENTS, Evidence, Experiment, Result, collect, load_evidence
from tx_utils.experiments.evidence import FOLDER, SEEDS

ROOT = Path(__file__).resolve().parents[2]
SPECIAL = {("a", 1): math.nan, ("b", 0): math.inf}


@dataclass
class Counted:
    """An experiment that costs nothing and remembers what it was asked for."""

    calls: list[tuple[str, int]] = field(default_factory=list)
    fail_at: tuple[str, int] | None = None

    def run(self, variant: str, seed: int) -> Result:
        self.calls.append((variant, seed))
        if (variant, seed) == self.fail_at:
            raise KeyboardInterrupt
        return result_of(variant, seed)

    def experiment(self, **changed: Any) -> Experiment:
        plain = Experiment(
            "tiny", {"rate": 0.1, "sizes": (2, 3)}, {"floor": 0.5}, ("a", "b"), self.run
        )
        return replace(plain, **changed)


def result_of(variant: str, seed: int) -> Result:
    loss = SPECIAL.get((variant, seed), seed + (0.25 if variant == "a" else 0.5))
    measures = {"norms": [seed / 3, SPECIAL.get((variant, seed), 1.0)], "mass": 1 / (seed + 7)}
    return Result(loss, 1 / (seed + 3), [2.0, seed / 3], [10, 20], measures)


def stored(folder: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads((folder / "tiny.json").read_text("utf-8"), parse_constant=refuse)


def edit(folder: Path, *keys: str, value: Any) -> None:
    content = place = stored(folder)
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / "tiny.json").write_text(json.dumps(content), "utf-8")


PAIRS = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


# Oracle


def test_what_is_collected_is_what_was_run(tmp_path: Path) -> None:
    source = Counted()
    assert list(collect(source.experiment(), range(2), tmp_path / "new" / "folder")) == PAIRS
    assert source.calls == PAIRS
    evidence = load_evidence("tiny", tmp_path / "new" / "folder")
    assert evidence.settings == {"rate": 0.1, "sizes": [2, 3]}
    assert evidence.floors == {"floor": 0.5}
    assert evidence.versions["torch"] == torch.__version__.split("+")[0]
    assert re.fullmatch(r"3\.\d+\.\d+", evidence.versions["python"])
    assert {v: list(results) for v, results in evidence.runs.items()} == {"a": [0, 1], "b": [0, 1]}
    measures = {"norms": [0.33333, 1.0], "mass": 0.125}
    assert evidence.runs["b"][1] == Result(1.5, 0.25, [2.0, 0.33333], [10, 20], measures)
    assert evidence.measures("b", "mass") == [0.14286, 0.125]


def test_the_freshly_stored_evidence_of_every_experiment_is_that_of_the_code() -> None:
    (torch_version,) = re.findall(r"^torch==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M)
    assert list(SEEDS) == list(range(10))
    for name, experiment in EXPERIMENTS.items():
        evidence = load_evidence(name)
        remedy = f"{FOLDER / name}.json is not what the code says: run `make evidence`"
        assert evidence.settings == json.loads(json.dumps(experiment.settings)), remedy
        assert evidence.floors == experiment.floors, remedy
        assert tuple(evidence.runs) == experiment.variants, remedy
        assert {tuple(results) for results in evidence.runs.values()} == {SEEDS}, remedy
        assert evidence.versions["torch"] == torch_version, remedy
    assert {path.stem for path in FOLDER.iterdir()} == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_stored_run_is_what_the_code_gives(name: str) -> None:
    """Equal settings are not enough: a change in the code would leave old numbers behind."""
    variant = EXPERIMENTS[name].variants[0]
    stored = load_evidence(name).runs[variant][0]
    again = EXPERIMENTS[name].run(variant, 0)
    if again.measures.get("text") != stored.measures.get("text"):
        pytest.skip("measured on the help texts of another version of Python")
    # The first epochs, where another CPU's rounding has not grown yet; seeds differ by far more.
    assert again.curve[:3] == pytest.approx(stored.curve[:3], rel=1e-3)
    if not stored.curve:
        assert again.loss == pytest.approx(stored.loss, rel=1e-3)


# Property


def test_a_second_collection_runs_nothing_and_changes_no_byte(tmp_path: Path) -> None:
    list(collect(Counted().experiment(), range(2), tmp_path))
    before = (tmp_path / "tiny.json").read_bytes()
    source = Counted()
    assert list(collect(source.experiment(), range(2), tmp_path)) == PAIRS
    assert source.calls == []
    assert (tmp_path / "tiny.json").read_bytes() == before


@settings(deadline=None, max_examples=25)
@given(fail_at=st.sampled_from(PAIRS))
def test_an_interrupted_collection_keeps_all_runs_before_and_goes_on_there(
    fail_at: tuple[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, done = tmp_path_factory.mktemp("evidence"), PAIRS.index(fail_at)
    with pytest.raises(KeyboardInterrupt):
        list(collect(Counted(fail_at=fail_at).experiment(), range(2), folder))
    if done:
        runs = load_evidence("tiny", folder).runs
        assert [(v, seed) for v, results in runs.items() for seed in results] == PAIRS[:done]
    source = Counted()
    list(collect(source.experiment(), range(2), folder))
    assert source.calls == PAIRS[done:]
    assert {path.name for path in folder.iterdir()} == {"tiny.json"}


def test_each_run_is_on_disk_before_the_next_begins(tmp_path: Path) -> None:
    for number, _ in enumerate(collect(Counted().experiment(), range(2), tmp_path), start=1):
        runs = stored(tmp_path)["runs"]
        assert sum(map(len, runs.values())) == number
        assert {path.name for path in tmp_path.iterdir()} == {"tiny.json"}


@pytest.mark.parametrize(
    ("keys", "value"),
    [(("settings", "rate"), 0.2), (("settings", "new"), 1), (("versions", "torch"), "0.4")],
)
def test_results_of_other_settings_or_another_torch_are_made_anew(
    tmp_path: Path, keys: tuple[str, ...], value: Any
) -> None:
    list(collect(Counted().experiment(), range(2), tmp_path))
    edit(tmp_path, *keys, value=value)
    source = Counted()
    list(collect(source.experiment(), [0], tmp_path))
    assert source.calls == [("a", 0), ("b", 0)]
    assert list(load_evidence("tiny", tmp_path).runs["a"]) == [0]  # the stale seed 1 is gone
    assert stored(tmp_path)["settings"] == {"rate": 0.1, "sizes": [2, 3]}


def test_another_python_makes_nothing_anew(tmp_path: Path) -> None:
    list(collect(Counted().experiment(), range(2), tmp_path))
    edit(tmp_path, "versions", "python", value="3.99.0")
    source = Counted()
    list(collect(source.experiment(), range(3), tmp_path))
    assert source.calls == [("a", 2), ("b", 2)]


def test_a_new_variant_is_run_and_a_dropped_one_forgotten(tmp_path: Path) -> None:
    list(collect(Counted().experiment(), range(2), tmp_path))
    source = Counted()
    list(collect(source.experiment(variants=("c", "b")), range(2), tmp_path))
    assert source.calls == [("c", 0), ("c", 1)]
    assert list(stored(tmp_path)["runs"]) == ["c", "b"]


@pytest.mark.parametrize("changed", [{"floors": {"floor": 0.75}}, {"variants": ("b",)}])
def test_new_floors_or_fewer_variants_reach_the_file_without_a_run(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    list(collect(Counted().experiment(), range(2), tmp_path))
    source = Counted()
    experiment = source.experiment(**changed)
    list(collect(experiment, range(2), tmp_path))
    assert source.calls == []
    evidence = load_evidence("tiny", tmp_path)
    assert (evidence.floors, tuple(evidence.runs)) == (experiment.floors, experiment.variants)


@given(st.lists(st.lists(st.floats(-9.0, 9.0), min_size=3, max_size=3), min_size=1, max_size=5))
def test_band_is_from_the_lowest_to_the_highest_at_each_entry(lists: list[list[float]]) -> None:
    runs = {"a": {n: Result(0.0, 0.0, measures={"x": values}) for n, values in enumerate(lists)}}
    low, high = Evidence({}, {}, {}, runs).band("a", "x")
    assert len(low) == len(high) == 3
    for entry in range(3):
        ordered = sorted(values[entry] for values in lists)
        assert (low[entry], high[entry]) == (ordered[0], ordered[-1])


def test_seeds_may_be_an_iterator(tmp_path: Path) -> None:
    assert list(collect(Counted().experiment(), iter(range(2)), tmp_path)) == PAIRS


def test_lists_are_in_the_order_of_the_seeds(tmp_path: Path) -> None:
    list(collect(Counted().experiment(), range(4), tmp_path))
    evidence = load_evidence("tiny", tmp_path)
    assert evidence.losses("b")[1:] == [1.5, 2.5, 3.5]
    assert evidence.accuracies("a") == [0.33333, 0.25, 0.2, 0.16667]
    assert evidence.curves("a") == [([10, 20], [2.0, y]) for y in (0.0, 0.33333, 0.66667, 1.0)]


def test_lists_are_in_the_order_of_the_seeds_whatever_came_first(tmp_path: Path) -> None:
    for seeds in (range(2, 4), range(2)):
        list(collect(Counted().experiment(), seeds, tmp_path))
    assert load_evidence("tiny", tmp_path).losses("a")[2:] == [2.25, 3.25]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.0, 10.0) | st.just(math.nan), min_size=1, max_size=5))
def test_spread_is_from_the_lowest_to_the_highest_loss_and_open_where_a_seed_diverged(
    losses: list[float],
) -> None:
    runs = {"a": {seed: Result(loss, 0.5) for seed, loss in enumerate(losses)}}
    ordered = sorted(math.inf if math.isnan(loss) else loss for loss in losses)
    assert Evidence({}, {}, {}, runs).spread("a") == (ordered[0], ordered[-1])


def test_what_json_has_no_number_for_is_null_on_disk_and_nan_in_memory(tmp_path: Path) -> None:
    list(collect(Counted().experiment(), range(2), tmp_path))
    runs = stored(tmp_path)["runs"]
    assert [runs["a"]["1"]["loss"], runs["b"]["0"]["loss"]] == [None, None]
    evidence = load_evidence("tiny", tmp_path)
    assert math.isnan(evidence.losses("a")[1])
    assert math.isnan(evidence.losses("b")[0])
    assert evidence.losses("a")[0] == 0.25


def test_a_nan_within_a_curve_comes_back(tmp_path: Path) -> None:
    source = Counted().experiment(run=lambda *_: Result(1.0, 0.5, [math.nan, 2.0], [10, 20]))
    list(collect(source, [0], tmp_path))
    ((_, curve),) = load_evidence("tiny", tmp_path).curves("a")
    assert math.isnan(curve[0])
    assert curve[1] == 2.0


@settings(deadline=None, max_examples=50)
@given(number=st.floats(-1e300, 1e300, allow_subnormal=False))
def test_numbers_keep_five_significant_digits(
    number: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("evidence")
    source = Counted().experiment(run=lambda *_: Result(number, number, [number], [1234567]))
    list(collect(source, [0], folder))
    result = load_evidence("tiny", folder).runs["a"][0]
    assert result.loss == result.accuracy == result.curve[0]
    # Half a unit of the fifth digit; the second term is a rounding of the last bit.
    assert abs(result.loss - number) <= 5e-5 * abs(number) * (1 + 1e-9)
    assert len(f"{result.loss:e}".split("e")[0].strip("-").rstrip("0").replace(".", "")) <= 5
    assert result.epoch_end == [1234567]


def test_a_file_has_a_line_for_each_result_and_ends_with_one(tmp_path: Path) -> None:
    list(collect(Counted().experiment(), range(3), tmp_path))
    text = (tmp_path / "tiny.json").read_text("utf-8")
    lines = [line for line in text.splitlines() if '"loss"' in line]
    assert len(lines) == 6
    assert all(isinstance(json.loads(f"{{{line.rstrip(',')}}}"), dict) for line in lines)
    assert text.endswith("\n}\n")


# Border


def test_a_result_needs_no_curve() -> None:
    first, second = Result(1.0, 0.5), Result(2.0, 0.5)
    assert (first.curve, first.epoch_end) == ([], [])
    assert first.curve is not second.curve


def test_what_is_not_stored_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        load_evidence("nothing", tmp_path)
