"""Packages by the hundred that are not what was saved: each is refused, none crashes, hangs or eats the memory.

`RADMILL_CORRUPTIONS` sets how many are made of each kind; the default keeps the suite quick.
"""

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.fingerprints import bytes_digest, canonical_json
from registry.errors import DamagedPackageError, PackageAbsentError
from registry.package import DATA_FILES, FILES, load_package, save_package
from registry.predict import predict

N = int(os.environ.get("RADMILL_CORRUPTIONS", "60"))
MEMORY = 3 << 30
"""What a process may take for all its forged packages, Python and libraries included."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, candidates: Any) -> list[tuple[Path, str]]:
    """A logistic regression and a forest, each with its digest."""
    root = tmp_path_factory.mktemp("sound")
    base = {name: array for name, array in candidates.arrays().items() if not name.startswith("lr.")}
    forest = base | {
        "rf.start": np.array([0, 3, 4]),
        "rf.left": np.array([1, -1, -1, -1]),
        "rf.right": np.array([2, -1, -1, -1]),
        "rf.feature": np.array([1, -2, -2, -2]),
        "rf.threshold": np.array([0.5, -2.0, -2.0, -2.0]),
        "rf.value": np.array([0.4, 0.0, 1.0, 0.5]),
    }
    made = []
    for name, arrays in (("lr", candidates.arrays()), ("rf", forest)):
        folder = root / name
        digest = save_package(folder, candidates.manifest(name, "0" * 64, name), arrays, np.zeros((1, 3)), "# c\n")
        made.append((folder, digest))
    return made


def flip(data: bytes, draw: random.Random) -> bytes:
    """Some bits the other way round."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed) if bytes(changed) != data else data + b"\0"


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def pad(data: bytes, draw: random.Random) -> bytes:
    return data + draw.randbytes(draw.randint(1, 64))


def repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start : start + draw.randint(1, 400)] * 2 + data[start:]


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, cut, pad, repeat)


def test_a_changed_package_is_refused_against_its_digest(sound: list[tuple[Path, str]], tmp_path: Path) -> None:
    """Bits flipped, files cut, lengthened, swapped with another package's, or gone."""
    draw = random.Random(1)
    for _ in range(N):
        folder, digest = draw.choice(sound)
        place = Path(shutil.copytree(folder, tmp_path / "damaged"))
        victim = place / draw.choice(FILES)
        match draw.randrange(6):
            case 0:
                victim.unlink()
            case 1:
                other = next(path for path, _ in sound if path != folder)
                swap(place, other, victim.name)
            case _:
                victim.write_bytes(draw.choice(CHANGES)(victim.read_bytes(), draw))
        with pytest.raises((DamagedPackageError, PackageAbsentError)):
            load_package(place, digest)
        shutil.rmtree(place)


def swap(place: Path, other: Path, name: str) -> None:
    """Puts another package's file in a file's place; the card is the same in both, so that one goes."""
    if (other / name).read_bytes() == (place / name).read_bytes():
        (place / name).unlink()
    else:
        shutil.copy(other / name, place / name)


def test_a_forged_package_without_a_digest_neither_crashes_nor_hangs_nor_eats_memory(
    sound: list[tuple[Path, str]], tmp_path: Path
) -> None:
    """A forger can mend every digest, so what comes after must hold alone; a limit on memory makes excess a crash."""
    script = (
        "import sys; from tests.contract.test_packages_corrupted import try_forgeries; try_forgeries(*sys.argv[1:])"
    )
    folders = [str(folder) for folder, _ in sound]
    done = subprocess.run(
        [sys.executable, "-c", script, str(N), str(tmp_path), *folders],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60 + N,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["refused"] + told["loaded"] == N
    assert told["refused"] >= 0.6 * N, "most forgeries must break a rule, else the rules are not what is tried"


def try_forgeries(n: str, scratch: str, *folders: str) -> None:
    """Loads and asks N forged packages under a memory limit; anything but a refusal or finite answers is a crash."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    draw, counts = random.Random(2), {"refused": 0, "loaded": 0}
    for _ in range(int(n)):
        place = Path(shutil.copytree(draw.choice(folders), Path(scratch) / "forged"))
        forge(place, draw)
        try:
            package = load_package(place)
        except DamagedPackageError:
            counts["refused"] += 1
        else:
            p = predict(package, np.zeros((4, len(package.features))))
            assert np.all((p >= 0) & (p <= 1)), "what was let in must answer with probabilities"
            counts["loaded"] += 1
        shutil.rmtree(place)
    print(json.dumps(counts))


def forge(place: Path, draw: random.Random) -> None:
    """Changes one file with intent, and mends the manifest's digests."""
    manifest = json.loads((place / "manifest.json").read_bytes())
    match draw.randrange(4):
        case 0:
            path = place / "arrays.safetensors"
            path.write_bytes(forged_arrays(path.read_bytes(), draw))
        case 1:
            path = place / draw.choice(DATA_FILES)
            path.write_bytes(draw.choice(CHANGES)(path.read_bytes(), draw))
        case _:
            parents = list(branches(manifest))
            parent, key = draw.choice(parents)
            parent[key] = draw.choice(strange(draw))
    if isinstance(manifest.get("files"), dict):
        manifest["files"] |= {name: bytes_digest((place / name).read_bytes()) for name in DATA_FILES}
    (place / "manifest.json").write_bytes(canonical_json(manifest, indent=2) + b"\n")


def branches(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from branches(item)


def strange(draw: random.Random) -> list[object]:
    return [None, -1, 0, 1e308, 2**70, "", "../../etc/passwd", "x" * 10_000, [], {}, [[[[0]]]], True, draw.random()]


def forged_arrays(data: bytes, draw: random.Random) -> bytes:
    """Rewrites the header of a safetensors file: absurd shapes, offsets, types, names, lengths."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    name = draw.choice([key for key in header if key != "__metadata__"])
    match draw.randrange(6):
        case 0:
            header[name]["shape"] = draw.choice(([2**40], [2**31, 2**31], [-1], [], [0], [3, 0], [1.5]))
        case 1:
            header[name]["data_offsets"] = draw.choice(([0, 2**60], [-8, 0], [8, 0], [0, 0], [0, len(data)]))
        case 2:
            header[name]["dtype"] = draw.choice(("F16", "BOOL", "U8", "X", "", 7))
        case 3:
            header[draw.choice(("../x", "", "rf.left", "net.weight"))] = header.pop(name)
        case 4:
            return struct.pack("<Q", draw.choice((0, 2**63, 10**9, length + 1))) + data[8:]
        case _:
            tail = bytearray(data[8 + length :])
            struct.pack_into("<d", tail, 0, draw.choice((float("nan"), float("inf"), 1e308, -1e308)))
            return data[: 8 + length] + bytes(tail)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]
