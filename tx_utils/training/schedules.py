"""Learning-rate schedules: a short warm-up, then a slow decay.

Both return torch's own `LambdaLR`; call its `step()` after each `optimizer.step()` (`train` does).
The rate given to the optimizer is the peak, reached at the end of the warm-up.
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tx_utils._checks import check_positive


def warmup_inverse_sqrt(optimizer: Optimizer, *, warmup_steps: int) -> LambdaLR:
    """Rise linearly for `warmup_steps` steps, then fall with the square root of the step.

    The paper's schedule (Vaswani et al., 2017, equation 3). Its peak,
    (d_model * warmup_steps) ** -0.5, is the learning rate to give to the optimizer.

    Args:
        optimizer: Its learning rate is the peak.
        warmup_steps: Number of steps of the rise.

    Returns:
        The schedule, set to the first step's rate: peak / warmup_steps.

    Raises:
        ValueError: if `warmup_steps` is not a positive integer.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> warmup_inverse_sqrt(optimizer, warmup_steps=4).get_last_lr()
        [0.25]
    """
    check_positive(warmup_steps=warmup_steps)

    def factor(steps_done: int) -> float:
        step = steps_done + 1
        return min(step / warmup_steps, math.sqrt(warmup_steps / step))

    return LambdaLR(optimizer, factor)


def warmup_cosine(
    optimizer: Optimizer, *, warmup_steps: int, total_steps: int, final_fraction: float = 0.0
) -> LambdaLR:
    """Rise linearly for `warmup_steps` steps, then follow half a cosine down to the end.

    Source: Loshchilov and Hutter (2017), equation 5, one cycle, after a linear warm-up.

    Args:
        optimizer: Its learning rate is the peak.
        warmup_steps: Number of steps of the rise.
        total_steps: Length of the run; its last step has the smallest rate.
        final_fraction: That smallest rate as a fraction of the peak; kept after the end.

    Returns:
        The schedule, set to the first step's rate: peak / warmup_steps.

    Raises:
        ValueError: if `warmup_steps` is not below `total_steps`, or the fraction is not in [0, 1].

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> warmup_cosine(optimizer, warmup_steps=2, total_steps=9).get_last_lr()
        [0.5]
    """
    check_positive(warmup_steps=warmup_steps, total_steps=total_steps)
    if warmup_steps >= total_steps:
        raise ValueError(
            f"warmup_steps ({warmup_steps}) must be less than total_steps ({total_steps})"
        )
    if not 0.0 <= final_fraction <= 1.0:
        raise ValueError(f"final_fraction must lie in [0, 1], got {final_fraction!r}")

    def factor(steps_done: int) -> float:
        step = steps_done + 1
        if step <= warmup_steps:
            return step / warmup_steps
        progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
        return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
