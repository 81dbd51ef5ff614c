"""Other extraction engines, each installed in an environment of its own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL_LIMIT_S = 900


@dataclass(frozen=True)
class Peer:
    """Another engine.

    Args:
        requirements: What pip installs, pinned where values depend on it.
        covers: Sets of features it computes in PyRadiomics's sense.
        note: What the page says about how it was run.
    """

    requirements: tuple[str, ...]
    covers: tuple[str, ...]
    note: str


PEERS = {
    "flash-radiomics": Peer(
        (
            "flash-radiomics==1.0.0",
            *("numpy", "h5py", "SimpleITK", "pykwalify", "PyWavelets", "scipy", "scikit-image", "scikit-learn"),
            *("trimesh", "pyyaml"),
        ),
        ("107", "1130", "1130 at 1 mm"),
        "CPU backend, one thread; it also writes the HDF5 file it always writes",
    ),
    "fastrad": Peer(
        ("fastrad==1.0.0", "torch==2.13.0+cpu", "SimpleITK", "--extra-index-url=https://download.pytorch.org/whl/cpu"),
        ("107",),
        "given the region's box with one voxel around it, in memory",
    ),
    "numpyradiomics": Peer(
        ("numpyradiomics==0.0.5", "SimpleITK"), ("107",), "given the region's box with one voxel around it, in memory"
    ),
    "nyxus": Peer(("nyxus==0.11.0",), ("107",), "all its 3D features, one thread, its own binning"),
    "mirp": Peer(("mirp==2.7.0",), ("107",), "the same families, its binning of PyRadiomics"),
}


def python_of(peer: str, folder: Path) -> Path:
    """Returns the interpreter of a peer's environment, made when it is not there.

    Raises:
        RuntimeError: It cannot be installed; the message says why.
    """
    python = folder / peer / "bin" / "python"
    done = folder / f"{peer}.installed"
    wanted = "\n".join(PEERS[peer].requirements)
    if done.exists() and done.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder / peer)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS[peer].requirements]
    told = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    if told.returncode:
        raise RuntimeError(f"cannot be installed: {told.stderr.strip().splitlines()[-1]}")
    done.write_text(wanted)
    return python
