"""Number words: the whole numbers below a million, written out in English, German and French.

Three languages, three orders. English says tens before units, "forty-five"; German says units
before tens, "fünf und vierzig"; French counts from seventy to ninety-nine in twenties. A number
is a list of words here: hyphens, and the joints inside German's long words, are left out.
"""

from collections.abc import Callable

LIMIT = 1_000_000  # the numbers are 0 ... LIMIT - 1

ENGLISH_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
GERMAN_SMALL = (
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn"
).split()
GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
FRENCH_SMALL = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
).split()
FRENCH_TENS = "vingt trente quarante cinquante soixante".split()


def english(number: int) -> list[str]:
    """Write a number in English, with the British "and".

    Raises:
        ValueError: if `number` is no whole number in [0, 1000000).

    Example:
        >>> " ".join(english(20_345))
        'twenty thousand three hundred and forty five'
    """
    thousands, rest = divmod(_checked(number), 1000)
    if not thousands:
        return _english_below_1000(rest)
    link = ["and"] if 0 < rest < 100 else []
    return [
        *_english_below_1000(thousands),
        *("thousand", *link),
        *(_english_below_1000(rest) if rest else ()),
    ]


def _english_below_1000(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _english_below_100(rest)
    words = [ENGLISH_SMALL[hundreds], "hundred"]
    return [*words, "and", *_english_below_100(rest)] if rest else words


def _english_below_100(number: int) -> list[str]:
    tens, units = divmod(number, 10)
    if tens < 2:
        return [ENGLISH_SMALL[number]]
    return [ENGLISH_TENS[tens - 2], *([ENGLISH_SMALL[units]] if units else [])]


def german(number: int) -> list[str]:
    """Write a number in German: units come before tens.

    Raises:
        ValueError: if `number` is no whole number in [0, 1000000).

    Example:
        >>> " ".join(german(20_345))
        'zwanzig tausend drei hundert fünf und vierzig'
    """
    thousands, rest = divmod(_checked(number), 1000)
    if not thousands:
        return _german_below_1000(rest, one="eins")
    return [
        *_german_below_1000(thousands, one="ein"),
        "tausend",
        *(_german_below_1000(rest, one="eins") if rest else ()),
    ]


def _german_below_1000(number: int, *, one: str) -> list[str]:
    """`one` is how a 1 that stands last is said: "eins", but "ein" before "tausend"."""
    hundreds, rest = divmod(number, 100)
    words = [GERMAN_SMALL[hundreds], "hundert"] if hundreds else []
    if rest == 1:
        return [*words, one]
    return words if hundreds and not rest else words + _german_below_100(rest)


def _german_below_100(number: int) -> list[str]:
    tens, units = divmod(number, 10)
    if tens < 2:
        return [GERMAN_SMALL[number]]
    return [*([GERMAN_SMALL[units], "und"] if units else []), GERMAN_TENS[tens - 2]]


def french(number: int) -> list[str]:
    """Write a number in French as in France: 97 is four twenties and seventeen.

    Raises:
        ValueError: if `number` is no whole number in [0, 1000000).

    Example:
        >>> " ".join(french(20_397))
        'vingt mille trois cent quatre vingt dix sept'
    """
    thousands, rest = divmod(_checked(number), 1000)
    if not thousands:
        return _french_below_1000(rest, last=True)
    return [
        *(_french_below_1000(thousands, last=False) if thousands > 1 else ()),
        "mille",
        *(_french_below_1000(rest, last=True) if rest else ()),
    ]


def _french_below_1000(number: int, *, last: bool) -> list[str]:
    """`last` says that nothing follows: only then "cents" and "vingts" take their s."""
    hundreds, rest = divmod(number, 100)
    words = [FRENCH_SMALL[hundreds]] if hundreds > 1 else []
    if hundreds:
        words.append("cents" if hundreds > 1 and not rest and last else "cent")
    return words if hundreds and not rest else words + _french_below_100(rest, last=last)


def _french_below_100(number: int, *, last: bool) -> list[str]:
    if number < 17:
        return [FRENCH_SMALL[number]]
    if number < 20:
        return ["dix", FRENCH_SMALL[number - 10]]
    if number >= 80:
        if number == 80:
            return ["quatre", "vingts" if last else "vingt"]
        return ["quatre", "vingt", *_french_below_100(number - 80, last=last)]
    tens = min(number // 10, 6)  # seventy is sixty and ten
    rest = number - 10 * tens
    link = ["et"] if rest in (1, 11) else []
    return [FRENCH_TENS[tens - 2], *link, *(_french_below_100(rest, last=last) if rest else ())]


def _checked(number: int) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < LIMIT:
        raise ValueError(f"number must be an integer in [0, {LIMIT}), got {number!r}")
    return number


LANGUAGES: dict[str, Callable[[int], list[str]]] = {
    "English": english,
    "German": german,
    "French": french,
}
