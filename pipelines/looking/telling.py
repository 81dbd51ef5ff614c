"""Which texts and columns may tell who somebody is: they are neither shown on the terminal nor written down."""

import re
from collections.abc import Mapping

from pipelines.ingest.free_texts import COMMON


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SCORE = re.compile(
    r"[A-Za-z]"
    r"|[<>≤≥]?\d{1,2}(?:[.,]\d)?[+-]{0,3}"
    r"|[+-]{1,3}"
    r"|[a-z]{0,2}[GNTM]\d[a-d]?"
    r"|(?:IV|I{1,3}|V)[ABCabc]?"
)
"""A grade, a stage, a count or one letter: nobody's name."""

_PLAIN = _words(
    "yes no true false y n pos neg positive negative present absent none male female high low intermediate mild "
    "moderate severe left right both never former current alive dead unknown other ct mr mri pt pet t w adc dwi flair "
    "suv mm native arterial venous portal delayed late phase reader observer rater gtv ctv ptv roi tumor tumour "
    "lesion mass mask primary"
)
"""Words of answers and of the trade."""

_PERSONAL = _words(
    "name names surname firstname lastname forename vorname nachname initials id ids uid pid mrn ssn accession dob "
    "birth birthday birthdate geburtsdatum date datum address street zip plz phone email mail physician doctor "
    "surgeon radiologist insurance patnr patid"
)
_WHOSE = _words("patient pat case hospital record file study admission")
_NUMBER = _words("nr no num number code")
_IDENTIFIER = re.compile(r"[A-Za-z]{0,4}[-_/ ]?\d{5,}")


def is_telling(text: str, n_patients: int) -> bool:
    """Returns whether a text may be somebody's name: in one person's form, or not shared and no word of the trade."""
    return "^" in text or (n_patients < COMMON and not _is_plain(text))


def names_people(column: str) -> bool:
    """Returns whether a column's name says that it holds names, identifiers, addresses or dates."""
    words = {word.casefold() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+", column)}
    folded = column.strip().casefold()
    return bool(words & _PERSONAL or folded in _PERSONAL | _WHOSE or (words & _WHOSE and words & _NUMBER))


def are_identifiers(values: Mapping[str, int]) -> bool:
    """Returns whether values are long numbers of which each patient has another."""
    is_own = len(values) >= COMMON and all(n == 1 for n in values.values())
    return is_own and all(_IDENTIFIER.fullmatch(value) for value in values)


def _is_plain(text: str) -> bool:
    """Returns whether a text is a score, or words that everybody uses with one short number at most."""
    if _SCORE.fullmatch(text):
        return True
    words = re.findall(r"[^\W\d_]+|\d+", text.casefold())
    numbers = [word for word in words if word.isdigit()]
    is_short = len(numbers) <= 1 and all(len(number) <= 2 for number in numbers)
    return len(numbers) < len(words) and is_short and all(word in _PLAIN for word in words if not word.isdigit())
