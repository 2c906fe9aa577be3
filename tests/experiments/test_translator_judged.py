"""A translator is judged by what it writes: whole answers, and every one as it should be."""

from dataclasses import replace

import pytest
import torch
from tiny_translators import END, PAD, START, TINY, model
from torch import Tensor
from torch.nn import functional as F

from tx_utils import Transformer
from tx_utils.experiments.translator import Translator
from tx_utils.tasks.translation import collate
from tx_utils.training import History


class Parrot(Transformer):
    """Knows the numbers below 20 by heart; of the others it says the last word wrong.

    What comes after its answer is noise, and it notes every source that it is shown.
    """

    def __init__(self, settings: Translator) -> None:
        super().__init__(settings.config)
        self.seen: list[Tensor] = []
        self.answers: dict[tuple[int, ...], list[int]] = {}
        for number in range(settings.limit):
            source, target = settings.task.pair(number)
            said = target[1:].tolist()
            if number >= 20:
                said[-2] = said[-2] - 1 if said[-2] > 3 else said[-2] + 1
            self.answers[tuple(source.tolist())] = said

    def encode(self, source: Tensor) -> Tensor:
        self.seen.append(source)
        return super().encode(source)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        rows = []
        for row in source.tolist():
            said = self.answers[tuple(token for token in row if token != PAD)] + [5] * 20
            rows.append(said[: target.size(1)])
        return F.one_hot(torch.tensor(rows), self.config.target_vocab_size).float()


def by_hand(model: Transformer, source: Tensor, length: int) -> list[int]:
    """Write one answer, token by token."""
    written: list[int] = []
    while len(written) < length and (not written or written[-1] != END):
        target = torch.tensor([[START, *written]])
        scores = model(source[None], target)[0, -1].tolist()
        written.append(max((s, -i) for i, s in enumerate(scores) if i != PAD)[1] * -1)
    return written


def trained() -> tuple[Translator, Transformer]:
    """A model that has learnt a few numbers by heart, and not all."""
    settings = replace(TINY, limit=23, epochs=30, d_model=16, learning_rate=0.03)
    pupil = model(settings)
    settings.fit(pupil, 0)
    return settings, pupil


# Oracle


def test_exact_match_counts_what_a_loop_finds_right() -> None:
    settings, pupil = trained()
    numbers = list(range(settings.limit))
    pairs = settings.task.pairs(numbers)
    pupil.eval()
    right = [
        by_hand(pupil, source, settings.max_new_tokens) == target[1:].tolist()
        for source, target in pairs
    ]
    assert 0 < sum(right) < len(right)
    assert settings.exact_match(pupil, pairs) == pytest.approx(sum(right) / len(right))
    assert [settings.exact_match(pupil, [pair]) for pair in pairs] == right


def test_one_wrong_word_makes_a_wrong_answer() -> None:
    pairs = TINY.task.pairs(range(15, 35))
    assert TINY.exact_match(Parrot(TINY), pairs) == pytest.approx(5 / 20)
    assert TINY.exact_match(Parrot(TINY), pairs[:5]) == 1.0
    assert TINY.exact_match(Parrot(TINY), pairs[5:]) == 0.0


def test_a_result_is_what_the_test_numbers_say() -> None:
    settings, pupil = trained()
    settings = replace(settings, limit=200, test_size=41)  # numbers that it knows, and does not
    history = History(train_loss=[3.0, 2.0], epoch_end=[5, 9], validation_loss=[2.5, 1.5])
    result = settings.measure(pupil, 4, history, {"more": 7.0})
    losses, right, answers = [], [], []
    pupil.eval()
    for source, target in settings.task.pairs(settings.split(4).test):
        logits = pupil(source[None], target[None, :-1])[0]
        losses += F.cross_entropy(logits, target[1:], reduction="none").tolist()
        right += (logits.argmax(dim=-1) == target[1:]).tolist()
        answers.append(by_hand(pupil, source, settings.max_new_tokens) == target[1:].tolist())
    assert 0 < sum(answers) < len(answers)
    assert result.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert result.accuracy == pytest.approx(sum(right) / len(right))
    assert (result.curve, result.epoch_end) == ([3.0, 2.0], [5, 9])
    assert result.measures == {
        "exact match": pytest.approx(sum(answers) / len(answers)),
        "validation": [2.5, 1.5],
        "more": 7.0,
    }


# Property


@pytest.mark.parametrize("pads", [0, 3, 8])
def test_extra_pads_stand_behind_every_source(pads: int) -> None:
    parrot, pairs = Parrot(TINY), TINY.task.pairs([7, 123, 45])
    TINY.exact_match(parrot, pairs, extra_pads=pads)
    (seen,) = parrot.seen
    source = collate(pairs)[0]
    assert seen.shape == (3, source.size(1) + pads)
    assert torch.equal(seen[:, : source.size(1)], source)
    assert (seen[:, source.size(1) :] == PAD).all()


def test_an_answer_is_cut_off_and_ends_with_its_end() -> None:
    pairs = TINY.task.pairs([3, 145])
    source, _, labels = collate(pairs)
    parrot = Parrot(TINY)
    written = TINY.translate(parrot, source)
    assert written.shape == labels.shape
    assert torch.equal(written[0], labels[0])
    assert written[1, -1] == END
    assert replace(TINY, max_new_tokens=3).translate(parrot, source).shape == (2, 3)
