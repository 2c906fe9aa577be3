"""The toy tasks: each a seeded generator with its vocabulary and its computed floor."""

from tx_utils.tasks.address_book import NAMES, AddressBook, friend_positions
from tx_utils.tasks.directory import Difference, SumModulo
from tx_utils.tasks.look_back import NOT_ASKED, LookBack
from tx_utils.tasks.reverse import Reverse
from tx_utils.tasks.sampling import FreshSamples, fixed_loader, fresh_loader

__all__ = [
    "NAMES",
    "NOT_ASKED",
    "AddressBook",
    "Difference",
    "FreshSamples",
    "LookBack",
    "Reverse",
    "SumModulo",
    "fixed_loader",
    "fresh_loader",
    "friend_positions",
]
