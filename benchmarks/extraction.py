"""Measures extraction side by side: the fast engine, PyRadiomics as is and with preCrop, and ITK's mere reading.

    python benchmarks/extraction.py FOLDER_FOR_IMAGES [--resume]

Every engine runs in a process of its own with one thread, is warmed up once, and takes turns with the others; medians
count. Files are read inside the measured time. Results go to benchmarks/results/extraction.json and the table of
docs/performance.md.
"""

import cProfile
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "extraction.json"
PAGE = ROOT / "docs" / "performance.md"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1")
CASES = ((100, 2_000), (100, 20_000), (250, 200_000))
CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape")
FILTERS = {"Original": {}, "Wavelet": {}, "LoG": {"sigma": [1.0, 2.0, 3.0]}}
RESAMPLED = {"resampledPixelSpacing": [1.0, 1.0, 1.0]}
FEATURE_SETS: dict[str, dict[str, Any]] = {
    "1130": {"imageType": FILTERS, "setting": {}},
    "107": {"imageType": {"Original": {}}, "setting": {}},
    "1130 at 1 mm": {"imageType": FILTERS, "setting": RESAMPLED},
    "1130, LoG 1/3/5 mm": {"imageType": {**FILTERS, "LoG": {"sigma": [1.0, 3.0, 5.0]}}, "setting": {}},
}
ENGINES = {"itk": 7, "fast": 7, "precrop": 1, "stock": 0}
"""Rounds of each engine after the first; without any, the first counts: stock needs minutes."""


def content_of(feature_set: str, engine: str) -> dict[str, Any]:
    stated = FEATURE_SETS[feature_set]
    setting = {**stated["setting"], **({"preCrop": True} if engine == "precrop" else {})}
    return {"imageType": stated["imageType"], "featureClass": dict.fromkeys(CLASSES), "setting": setting}


def images(folder: Path, n_slices: int, n_voxels: int) -> tuple[Path, Path]:
    """Returns a CT-like volume of 512×512 and the mask of a ball in it, written once."""
    spacing = (0.8, 0.8, 2.5 if n_slices == 100 else 1.25)
    image, mask = folder / f"chest-{n_slices}.nii.gz", folder / f"ball-{n_slices}-{n_voxels}.nii.gz"
    if not image.exists():
        _write(_chest(n_slices), spacing, image)
    if not mask.exists():
        center = (n_slices * 0.55, 270, 230)
        axes = np.ogrid[:n_slices, :512, :512]
        squared = sum(((axis - at) * step) ** 2 for axis, at, step in zip(axes, center, spacing[::-1], strict=True))
        limit = np.partition(np.asarray(squared).ravel(), n_voxels)[n_voxels]
        _write((squared < limit).astype(np.uint8), spacing, mask)
    return image, mask


def _chest(n_slices: int) -> np.ndarray:
    """Returns a chest of ellipses with the noise of PyRadiomics's `lung1`.

    That CT has a standard deviation of 2.4 HU in air and about 5 in fat within 7×7 pixels, neighbors correlate by
    0.8, and ITK compresses it to 0.99 bytes a voxel (0.92 to 1.03 by slice), its field of view being tighter.
    """
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(n_slices).normal(0, 1, (n_slices, 512, 512)).astype(np.float32)
    grain, tissue = gaussian_filter(noise, (0, 1.1, 1.1)), gaussian_filter(noise, (1, 2.5, 2.5))
    grain, tissue = grain / grain.std(), tissue / tissue.std()
    y, x = np.mgrid[:512, :512]

    def ellipse(center_x: float, half_y: float, half_x: float) -> np.ndarray:
        return ((y - 256) / half_y) ** 2 + ((x - center_x) / half_x) ** 2 < 1

    values = -1000 + 2.6 * grain
    lungs = ellipse(122, 130, 64) | ellipse(398, 130, 64)
    layers = ((ellipse(256, 200, 246), -100, 0, 6), (ellipse(256, 176, 222), 40, 40, 11), (lungs, -850, 45, 22))
    for where, level, of_tissue, of_grain in layers:
        values[:, where] = level + of_tissue * tissue[:, where] + of_grain * grain[:, where]
    return np.clip(np.round(values), -1024, 3071).astype(np.int16)


def _write(voxels: np.ndarray, spacing: tuple[float, ...], path: Path) -> None:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    unfinished = path.with_name(f"unfinished-{path.name}")
    sitk.WriteImage(image, str(unfinished), useCompression=True)
    unfinished.rename(path)


def work(engine: str) -> None:
    """Answers requests, one JSON line each: the case is run and the time, memory and features are told."""
    cached: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps(request["content"])
        if key not in cached:
            cached[key] = _runner(engine, request["content"])
        start, start_cpu = time.perf_counter(), time.process_time()
        features = cached[key](request["image"], request["mask"])
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
        print(
            json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": _peak_mb(), "features": features}),
            flush=True,
        )


def _peak_mb() -> float:
    # The resource usage of a process begins with that of the one that started it; this does not.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _only_read(image: str, mask: str) -> dict[str, float]:
    sitk.ReadImage(image)
    sitk.ReadImage(mask)
    return {}


def _runner(engine: str, content: dict[str, Any]) -> Any:
    if engine == "itk":
        return _only_read
    if engine == "fast":
        from pipelines.radiomics import FastEngine

        return FastEngine(content).execute
    import logging

    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.disable(logging.CRITICAL)
    extractor = RadiomicsFeatureExtractor(content)

    def stock(image: str, mask: str) -> dict[str, float]:
        values = extractor.execute(image, mask)
        return {name: float(np.real(value)) for name, value in values.items() if not name.startswith("diagnostics")}

    return stock


class Worker:
    """A process that runs one engine."""

    def __init__(self, engine: str) -> None:
        environment = {**os.environ, **THREADS, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, str(Path(__file__).resolve()), "--work", engine]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, image: Path, mask: Path, content: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"image": str(image), "mask": str(mask), "content": content}) + "\n")
        self.process.stdin.flush()

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def run(self, image: Path, mask: Path, content: dict[str, Any]) -> dict[str, Any]:
        self.ask(image, mask, content)
        return self.told()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(folder: Path, n_slices: int, n_voxels: int, feature_set: str) -> dict[str, Any]:
    image, mask = images(folder, n_slices, n_voxels)
    workers = {name: Worker(name) for name in ENGINES}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
    first = {name: worker.run(image, mask, content_of(feature_set, name)) for name, worker in workers.items()}
    for turn in range(max(ENGINES.values())):
        for name, worker in workers.items():
            if turn < ENGINES[name]:
                answers[name].append(worker.run(image, mask, content_of(feature_set, name)))
    for name, worker in workers.items():
        worker.close()
        answers[name] = answers[name] or [first[name]]
    row: dict[str, Any] = {"slices": n_slices, "voxels": n_voxels, "features": feature_set}
    for name, told in answers.items():
        row[name] = {
            "seconds": statistics.median(answer["seconds"] for answer in told),
            "cpu_seconds": statistics.median(answer["cpu_seconds"] for answer in told),
            "all_seconds": [round(answer["seconds"], 4) for answer in told],
            "first_seconds": first[name]["seconds"],
            "peak_mb": round(max(answer["peak_mb"] for answer in told)),
        }
    row["agreement"] = _agreement(answers["stock"][0]["features"], answers["fast"][0]["features"])
    row["n_features"] = len(answers["fast"][0]["features"])
    return row


def _agreement(reference: dict[str, float], found: dict[str, float]) -> float:
    from pipelines.radiomics.agreement import relative_differences

    return max(relative_differences(reference, found).values())


def throughput(folder: Path, n_cases: int = 8) -> dict[str, float]:
    """Returns cases a second of one worker and of two at once."""
    image, mask = images(folder, 100, 20_000)
    content = content_of("1130", "fast")
    found = {}
    for n_workers in (1, 2):
        workers = [Worker("fast") for _ in range(n_workers)]
        for worker in workers:
            worker.run(image, mask, content)
        start = time.perf_counter()
        for _ in range(n_cases):
            for worker in workers:
                worker.ask(image, mask, content)
            for worker in workers:
                worker.told()
        found[f"{n_workers} worker"] = n_cases * n_workers / (time.perf_counter() - start)
        for worker in workers:
            worker.close()
    return found


def profile(folder: Path, n_slices: int, n_voxels: int) -> dict[str, float]:
    """Returns the seconds that each part of the fast engine takes, the profiler's own share included."""
    from pipelines.radiomics import FastEngine

    pair = images(folder, n_slices, n_voxels)
    engine = FastEngine(content_of("1130", "fast"))
    engine.execute(*pair)
    profiler = cProfile.Profile()
    profiler.runcall(engine.execute, *pair)
    parts: dict[str, float] = defaultdict(float)
    for (file, _, function), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        parts[_part(file, function)] += own
    return {name: round(seconds, 4) for name, seconds in sorted(parts.items(), key=lambda part: -part[1])}


def _part(file: str, function: str) -> str:
    if "read" in function.lower() or file.endswith(("reading.py", "masks.py")):
        return "reading"
    known = {
        "log_filter.py": "LoG",
        "wavelet.py": "wavelet",
        "sweep.py": "runs, zones, dependences",
        "pairs.py": "GLCM pairs",
        "glcm.py": "GLCM features",
        "eigen.py": "MCC",
        "delicate.py": "MCC",
        "neighbors.py": "NGTDM",
        "shape.py": "shape",
        "hull.py": "shape",
        "graylevels.py": "discretization",
    }
    return known.get(file.rsplit("/", 1)[-1], "numpy and the rest")


def page(rows: list[dict[str, Any]], rates: dict[str, float], machine: dict[str, Any]) -> str:
    lines = [
        "# Performance of extraction",
        "",
        "This page is written by `benchmarks/extraction.py` (`make bench-extraction`). Volumes are CT-like,",
        "512×512 voxels a slice; regions are balls. Medians of alternating rounds in",
        "warm processes with one thread each, reading of the `.nii.gz` files included. `stock` is PyRadiomics 3.1.0",
        "as it comes, `preCrop` with its cropping, which changes LoG and wavelet features near the crop's edge; `ITK`",
        "only reads image and mask. Memory is the peak of the process, Python and libraries included. Where a row has",
        "processor time too, it stands in brackets: on a busy machine it is the fairer number.",
        "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load when it began:"
        f" {machine['load']:.1f}.",
        "",
        "| slices | voxels | features | fast | ITK | fast ÷ ITK | stock | stock ÷ fast | preCrop | preCrop ÷ fast"
        " | memory, MB, fast / stock | largest difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = list(FEATURE_SETS)
    rows = sorted(rows, key=lambda row: (order.index(row["features"]), row["slices"], row["voxels"]))
    for row in rows:
        cells = [f"{row['slices']} | {row['voxels']:,} | {row['features']}"]
        cells += [_seconds(row, "fast"), _seconds(row, "itk"), _times(row, "fast", "itk")]
        cells += [_seconds(row, "stock"), _times(row, "stock", "fast")]
        cells += [_seconds(row, "precrop"), _times(row, "precrop", "fast")]
        cells += [f"{row['fast']['peak_mb']} / {row['stock']['peak_mb']}", f"{row['agreement']:.1e}"]
        lines.append(f"| {' | '.join(cells)} |")
    one, two = rates["1 worker"], rates["2 worker"]
    lines += ["", "## What remains", "", "Seconds of the fast engine by part, 1,130 features, under the profiler.", ""]
    lines += ["| slices | voxels | part: seconds |", "|---|---|---|"]
    for row in rows:
        if "profile" in row:
            told = ", ".join(f"{name}: {seconds:.3f}" for name, seconds in row["profile"].items() if seconds >= 0.001)
            lines.append(f"| {row['slices']} | {row['voxels']:,} | {told} |")
    lines += ["", f"Two workers on two cores: {two:.1f} cases a second against {one:.1f}, {two / one:.2f} times.", ""]
    return "\n".join(lines)


def _seconds(row: dict[str, Any], engine: str) -> str:
    wall = f"{row[engine]['seconds']:.3g} s"
    return f"{wall} ({row[engine]['cpu_seconds']:.3g} s)" if "cpu_seconds" in row[engine] else wall


def _times(row: dict[str, Any], above: str, below: str) -> str:
    kinds = [kind for kind in ("seconds", "cpu_seconds") if kind in row[above] and kind in row[below]]
    wall, *processor = [f"{row[above][kind] / row[below][kind]:.3g}" for kind in kinds]
    return f"{wall} ({processor[0]})" if processor else wall


def machine() -> dict[str, Any]:
    models = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def main(folder: Path, *, resume: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    here = machine()
    earlier = json.loads(RESULTS.read_text()) if resume else {"rows": [], "throughput": throughput(folder)}
    rows, rates = earlier["rows"], earlier["throughput"]
    done = {(row["features"], row["slices"], row["voxels"]) for row in rows}
    for feature_set in FEATURE_SETS:
        for n_slices, n_voxels in CASES:
            if (feature_set, n_slices, n_voxels) in done:
                continue
            rows.append(measure(folder, n_slices, n_voxels, feature_set))
            if feature_set == "1130":
                rows[-1]["profile"] = profile(folder, n_slices, n_voxels)
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            RESULTS.write_text(json.dumps({"machine": here, "rows": rows, "throughput": rates}, indent=1) + "\n")
            PAGE.write_text(page(rows, rates, here), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(sys.argv[2])
    else:
        main(Path(sys.argv[1]), resume="--resume" in sys.argv)
