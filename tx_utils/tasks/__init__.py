"""The toy tasks: each a seeded generator with its vocabulary and its computed floor."""

from tx_utils.tasks.address_book import NAMES, AddressBook, friend_positions
from tx_utils.tasks.directory import Difference, SumModulo
from tx_utils.tasks.look_back import NOT_ASKED, LookBack
from tx_utils.tasks.reverse import Reverse
from tx_utils.tasks.sampling import FreshSamples, fixed_loader, fresh_loader
from tx_utils.tasks.sorting import SortDigits
from tx_utils.tasks.translation import NumberTranslation, collate
from tx_utils.tasks.vocabulary import END, PAD, START, Vocabulary
from tx_utils.tasks.weather import WEATHER, Weather, sample_floor

__all__ = [
    "END",
    "NAMES",
    "NOT_ASKED",
    "PAD",
    "START",
    "WEATHER",
    "AddressBook",
    "Difference",
    "FreshSamples",
    "LookBack",
    "NumberTranslation",
    "Reverse",
    "SortDigits",
    "SumModulo",
    "Vocabulary",
    "Weather",
    "collate",
    "fixed_loader",
    "fresh_loader",
    "friend_positions",
    "sample_floor",
]
