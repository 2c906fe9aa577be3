"""The toy tasks: each a seeded generator with its vocabulary and its computed floor."""

from tx_utils.tasks.address_book import NAMES, AddressBook, friend_positions
from tx_utils.tasks.sampling import FreshSamples, fixed_loader, fresh_loader

__all__ = [
    "NAMES",
    "AddressBook",
    "FreshSamples",
    "fixed_loader",
    "fresh_loader",
    "friend_positions",
]
