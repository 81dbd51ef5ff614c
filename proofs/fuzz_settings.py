"""Settings files as bombs, riddles and rubbish: `params.yaml`, the rules of a house, a PyRadiomics file."""

from pathlib import Path
from typing import Any

import yaml

from proofs.fuzz_base import Generator, Place
from proofs.fuzz_dicom import mutated

ROOT = Path(__file__).resolve().parent.parent
_RULES = "phases:\n  ct: {series_description: '(?i)ct'}\nroi: {pattern: '(?i)gtv', label: 1}\nclinical: {age: Alter}\n"
_EXTRACTION = """\
imageType:
  Original: {}
  LoG: {sigma: [1.0, 2.0]}
featureClass: {firstorder: [], glcm: [Contrast]}
setting: {binWidth: 25, label: 1}
"""
_VALUES = (
    None, True, -1, 0, 10**18, 1e308, float("nan"), float("inf"), "", "x" * 5000, "(", "[a-", "(a+)+$", "../../etc",
    "\u202e", "a\nb", [], {}, [[]], {"a": {"b": {}}}, [1, 2, 3], ["x"] * 2000, "2024-01-01", "=1+1", "null", "~",
)  # fmt: skip


def settings(place: Place) -> str:
    """Writes one settings file: its name says which."""
    name = place.pick(("params.yaml", "params.yaml", "rules.yaml", "extraction.yaml"))
    sound = {"rules.yaml": _RULES, "extraction.yaml": _EXTRACTION}.get(name) or _params()
    way = place.pick(("bomb", "riddle", "riddle", "value", "value", "value", "mutated", "key"))
    told, text = str(way), sound
    match way:
        case "bomb":
            told, text = place.pick(_bombs(sound))
        case "riddle":
            told, text = place.pick(_riddles(sound))
        case "value" | "key":
            told, text = _changed(place, sound, way)
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    place.write({name: mutated(place, data) if way == "mutated" else data})
    return f"{name}: {told}"


def _params() -> str:
    return (ROOT / "params.yaml").read_text(encoding="utf-8")


def _bombs(sound: str) -> list[tuple[str, str]]:
    first = sound.split(":", 1)[0].strip().splitlines()[-1]
    laughs = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    maps = "".join(f"m{n}: &m{n} {{x: *m{n - 1}, y: *m{n - 1}}}\n" for n in range(1, 60))
    merges = "".join(f"g{n}: &g{n} {{<<: [{', '.join([f'*g{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 12))
    return [
        ("billion laughs", f"{sound}a0: &a0 lol\n{laughs}"),
        ("billion laughs alone", f"a0: &a0 lol\n{laughs}"),
        ("maps of maps", f"{sound}m0: &m0 lol\n{maps}"),
        ("merges of merges", f"{sound}g0: &g0 {{k0: 1}}\n{merges}"),
        ("contains itself", f"{sound}self: &self [*self]\n"),
        ("is itself", "&self {x: *self}\n"),
        ("5,000 brackets", f"{first}: {'[' * 5000}"),
        ("100,000 brackets closed", f"{first}: {'[' * 100_000}{']' * 100_000}\n"),
        ("5,000 indents", "".join(f"{' ' * n}a:\n" for n in range(5000))),
        ("5,000 dashes", f"{first}: {'- ' * 5000}x\n"),
        ("4 megabytes of keys", "".join(f"k{n}: {n}\n" for n in range(300_000))),
        ("a number of 10,000 digits", f"{sound}n: {'9' * 10_000}\n"),
        ("a line of 4 megabytes", f"{sound}n: {'x' * 4_000_000}\n"),
        ("sixty sixties", f"{sound}n: {':'.join(['59'] * 2000)}\n"),
    ]


def _riddles(sound: str) -> list[tuple[str, Any]]:
    first = sound.split(":", 1)[0].strip().splitlines()[-1]
    return [
        ("empty", ""), ("blank", "\n\n"), ("a list", "- 1\n- 2\n"), ("a word", "hello"), ("a number", "3"),
        ("python object", f"{sound}x: !!python/object/apply:os.system ['true']\n"),
        ("python name", "!!python/name:os.system ''\n"), ("unknown tag", f"{sound}x: !boom 3\n"),
        ("no such day", f"{sound}x: 2001-99-99\n"), ("no such hour", f"{sound}x: 2001-01-01 99:99:99\n"),
        ("bad base64", f"{sound}x: !!binary '@@@'\n"), ("int of nothing", f"{sound}x: !!int ''\n"),
        ("float of text", f"{sound}x: !!float x\n"), ("timestamp of text", f"{sound}x: !!timestamp x\n"),
        ("a list as key", f"{sound}? [a, b]\n: 1\n"), ("a map as key", f"{sound}? {{a: b}}\n: 1\n"),
        ("a number as key", f"{sound}1: 2\n"), ("nothing as key", f"{sound}~: 2\n"),
        ("a date as key", f"{sound}2024-01-01: 2\n"),
        ("doubled key", f"{sound}{first}: {{}}\n"), ("tabs", "a:\n\tb: 1\n"), ("two documents", f"{sound}---\n{sound}"),
        ("UTF-16", sound.encode("utf-16")), ("latin-1", b"name: caf\xe9\n"), ("NUL", sound.encode() + b"\0"),
        ("BOM", b"\xef\xbb\xbf" + sound.encode()), ("control characters", sound.encode() + b"x: \x07\n"),
        ("surrogate", f"{sound}x: \"\\ud800\"\n"), ("lone anchor", f"{sound}x: *nowhere\n"),
        ("merge of a list", f"{sound}x: {{<<: [1, 2]}}\n"), ("omap", f"{sound}x: !!omap [1]\n"),
        ("set", f"{sound}x: !!set {{a, b}}\n"), ("binary", bytes(range(256))),
    ]  # fmt: skip


def _changed(place: Place, sound: str, way: str) -> tuple[str, str]:
    """Returns the settings with one leaf of another value, or under another key."""
    content = yaml.safe_load(sound)
    node, path = content, []
    while True:
        key = place.pick(list(node)) if isinstance(node, dict) else int(place.rng.integers(len(node)))
        path.append(str(key))
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or place.rng.random() < 0.15:
            break
        node = inner
    value = place.pick(_VALUES)
    if way == "key" and isinstance(node, dict):
        node[str(value)[:300]] = node.pop(key)
    else:
        node[key] = value
    return f"{way} {'.'.join(path)} = {str(value)[:30]!r}", yaml.safe_dump(content, sort_keys=False)


KINDS: dict[str, Generator] = {"settings": settings}
