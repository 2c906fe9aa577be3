"""Training: the loop, and what stands around it."""

from tx_utils.training.checkpoints import load_checkpoint, save_checkpoint
from tx_utils.training.early_stopping import EarlyStopping
from tx_utils.training.environment import best_device, check_environment, seed_everything
from tx_utils.training.evaluation import evaluate
from tx_utils.training.history import History
from tx_utils.training.loop import NonFiniteLossError, train, train_step
from tx_utils.training.losses import TokenAccuracy, TokenCrossEntropy
from tx_utils.training.schedules import warmup_cosine, warmup_inverse_sqrt

__all__ = [
    "EarlyStopping",
    "History",
    "NonFiniteLossError",
    "TokenAccuracy",
    "TokenCrossEntropy",
    "best_device",
    "check_environment",
    "evaluate",
    "load_checkpoint",
    "save_checkpoint",
    "seed_everything",
    "train",
    "train_step",
    "warmup_cosine",
    "warmup_inverse_sqrt",
]
