"""Which phases there seem to be, and the regular expressions that would find them.

Hospitals name phases in a few words of their trade; images that share such a word are one phase. Where there is none,
images that share their whole name are. Each proposal is tried on everything seen with the matcher that ingest uses.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.ingest.free_texts import COMMON
from pipelines.ingest.phases import PhaseMatcher
from pipelines.looking.found import SeenCenter, SeenImage, as_name
from pipelines.looking.telling import is_telling
from pipelines.params.data import Center, Phase

WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "before": (
        ("unenhanced", "unenhanc"),
        ("native", r"nativ"),
        ("noncontrast", r"non[ _-]?contrast"),
    ),
    "early": (("corticomedullary", "cortico"), ("arterial", "arter")),
    "middle": (("nephrographic", "nephro"), ("portalvenous", "portal"), ("venous", "ven(?:ous|ö|oe|eus)")),
    "late": (("excretory", "excret"), ("delayed", "delay"), ("late", "late(?![a-z])"), ("late", r"sp(?:ä|ae)t")),
    "flair": (("flair", "flair"),),
    "adc": (("adc", "adc(?![a-z])"),),
    "dwi": (("dwi", "dwi"), ("dwi", "diffusion")),
}
"""By group what a phase is called in it and the expression that finds the word."""

_MODALITIES = {"PT": "pet", "CT": "ct", "MR": "mr"}
_SHARE = 0.25
"""Of the patients with outlined images; a group of fewer is no phase of the study."""

_APART_S = 10.0
"""Two phases of one name are told apart by their delays when so much time lies between the ranges."""


@dataclass(frozen=True, kw_only=True)
class SeenPhase:
    """A phase that is proposed.

    Args:
        name: Its name.
        pattern: The regular expression on series descriptions and file names.
        delay_s: Seconds from contrast, as a range, where only they tell it from others.
        texts: What its images are called, by patients.
        n_one: Patients with exactly one image that matches.
        n_several: Patients with several.
        n_none: Patients with none.
        delays: The shortest and the longest delay seen.
    """

    name: str
    pattern: str
    delay_s: tuple[float, float] | None = None
    texts: Counter[str] = field(default_factory=Counter)
    n_one: int = 0
    n_several: int = 0
    n_none: int = 0
    delays: tuple[float, float] | None = None


def seen_phases(centers: Sequence[SeenCenter]) -> list[SeenPhase]:
    """Returns the phases of all centers together, the earliest after contrast first."""
    used = [(center.name, image) for center in centers for image in center.candidates()]
    groups = defaultdict(list)
    for center, image in used:
        groups[_group(image, used)].append((center, image))
    least = _SHARE * min((len(_patients(center.candidates())) for center in centers if center.images), default=0)
    kept = {key: found for key, found in groups.items() if len({(c, i.patient) for c, i in found}) >= max(least, 1)}
    proposed = [phase for key, found in kept.items() for phase in _phases(key, found, kept)]
    checked = [tried(phase, proposed, centers) for phase in proposed]
    return sorted(checked, key=lambda phase: (phase.delays or (1e9, 0))[0])


def tried(phase: SeenPhase, phases: Sequence[SeenPhase], centers: Sequence[SeenCenter]) -> SeenPhase:
    """Returns a phase with how its pattern does on every image seen, among the others."""
    rules = {one.name: Phase(series_description=one.pattern, delay_s=one.delay_s) for one in [*phases, phase]}
    matcher = PhaseMatcher.of(rules, "any", Center())
    hits: Counter[tuple[str, str]] = Counter()
    delays = []
    whose = {(center.name, image.patient) for center in centers for image in center.candidates()}
    for center in centers:
        for image in center.images:
            if phase.name in _matches(matcher, image):
                hits[center.name, image.patient] += 1
                delays += [] if image.delay_s is None else [image.delay_s]
    n_one = sum(n == 1 for n in hits.values())
    n_none = len(whose - set(hits))
    return SeenPhase(
        name=phase.name,
        pattern=phase.pattern,
        delay_s=phase.delay_s,
        texts=phase.texts,
        n_one=n_one,
        n_several=len(hits) - n_one,
        n_none=n_none,
        delays=(min(delays), max(delays)) if delays else None,
    )


def _matches(matcher: PhaseMatcher, image: SeenImage) -> list[str]:
    if image.form == "listed":
        return [image.text.casefold()]
    return matcher.of_stem(image.text) if image.form == "volume" else matcher.of_series(image.text, image.delay_s)


def _group(image: SeenImage, used: Sequence[tuple[str, SeenImage]]) -> str:
    """Returns what images of one phase have in common."""
    if image.form == "listed":
        return f"name {image.text.casefold()}"
    for group, words in WORDS.items():
        if any(re.search(word, image.text, re.IGNORECASE) for _, word in words):
            return f"word {group}"
    if image.form == "volume":
        return f"name {as_name(image.text)}"
    modalities = {other.modality for _, other in used if other.form == "dicom"}
    if len(modalities) > 1:
        return f"modality {image.modality}"
    told = " ".join(re.findall(r"[^\W\d_]+", image.text.casefold()))
    return f"text {told or image.modality}"


def _phases(key: str, found: list[tuple[str, SeenImage]], groups: Mapping[str, object]) -> list[SeenPhase]:
    """Returns the phases of a group: one, or as many as its images' delays tell apart."""
    kind, _, rest = key.partition(" ")
    images = [image for _, image in found]
    texts = Counter(text for text, _ in {(image.text, (center, image.patient)) for center, image in found})
    name, pattern = _named(kind, rest, images, texts, alone=len(groups) == 1)
    if not name:
        return []
    ranges = _delay_ranges(found)
    if len(ranges) < 2:
        return [SeenPhase(name=name, pattern=pattern, texts=texts)]
    return [
        SeenPhase(name=f"{name}_{number}", pattern=pattern, delay_s=limits, texts=texts)
        for number, limits in enumerate(ranges, start=1)
    ]


def _named(kind: str, rest: str, images: Sequence[SeenImage], texts: Counter[str], *, alone: bool) -> tuple[str, str]:
    if kind == "word":
        return _of_words(WORDS[rest], images)
    if kind == "name":
        is_open = rest and not is_telling(images[0].text, len({image.patient for image in images}))
        return (rest, f"(?i)^{_loose(images[0].text)}") if is_open else ("", "")
    if kind == "modality":
        word = _MODALITIES.get(rest, as_name(rest))
        shared = _shared_words(texts)
        return word, f"(?i){'|'.join(shared) or rest}"
    open_ones = [text for text, n in texts.most_common() if text and not is_telling(text, n)]
    if open_ones:
        return as_name(re.sub(r"[\d.]+", " ", open_ones[0])), f"(?i)^{_loose(open_ones[0])}"
    return (_MODALITIES.get(images[0].modality, "image"), ".*") if alone else ("", "")


def _of_words(words: Sequence[tuple[str, str]], images: Sequence[SeenImage]) -> tuple[str, str]:
    """Returns the commonest name of a group of words, and the expression that finds any of them."""
    hits = Counter(name for image in images for name, word in words if re.search(word, image.text, re.IGNORECASE))
    order = [name for name, _ in words]
    name = min(hits, key=lambda name: (-hits[name], order.index(name)))
    return name, f"(?i){'|'.join(word for _, word in words)}"


def _shared_words(texts: Counter[str]) -> list[str]:
    """Returns the first words of descriptions that nobody's name can be in, each once."""
    open_ones = [text for text, n in texts.items() if n >= COMMON]
    first = dict.fromkeys(found[0] for text in open_ones if (found := re.findall(r"[^\W\d_]{2,}", text)))
    return [f"^{re.escape(word)}" for word in first]


def _loose(text: str) -> str:
    """Returns an expression for a text whose words may be parted by any sign."""
    return "[ _-]*".join(re.escape(part) for part in re.split(r"[ _-]+", text) if part)


def _delay_ranges(found: list[tuple[str, SeenImage]]) -> list[tuple[float, float]]:
    """Returns ranges of delays where every patient has the same number of images, and their order tells them apart."""
    by_patient = defaultdict(list)
    for center, image in found:
        if image.delay_s is None:
            return []
        by_patient[center, image.patient].append(image.delay_s)
    n = Counter(len(delays) for delays in by_patient.values()).most_common(1)[0][0] if by_patient else 0
    ranked = list(zip(*(sorted(delays) for delays in by_patient.values() if len(delays) == n), strict=False))
    spans = [(min(rank), max(rank)) for rank in ranked]
    if n < 2 or any(later[0] - earlier[1] < _APART_S for earlier, later in itertools.pairwise(spans)):
        return []
    middles = [round((earlier[1] + later[0]) / 2) for earlier, later in itertools.pairwise(spans)]
    bounds = [0, *middles, 86400]
    return [(float(low), float(high)) for low, high in itertools.pairwise(bounds)]


def _patients(images: Sequence[SeenImage]) -> set[str]:
    return {image.patient for image in images}
