"""The pictures of README and documentation, made from the finished demo: `make pictures`.

Pages are photographed by a headless Chromium, figures of concepts are drawn by radmill itself.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.params import load_params
from pipelines.reporting.control_sections import shuffle_drawings
from pipelines.reporting.model_figures import Drawing, model_drawings
from pipelines.reporting.report import class_names
from pipelines.reporting.study_files import read_study
from pipelines.reporting.vector import svg_bytes
from pipelines.workspace import Workspace

IMAGES = Path(__file__).with_name("images")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGES = {  # picture: page in the study, width and height
    "study-page": ("reports/study.html", 1280, 1560),
    "hospital-page": ("deployment/pages/harbor.html", 1280, 1400),
}


def main(study: Path) -> None:
    """Makes all pictures from one study."""
    if not (study / "deployment/pages/harbor.html").is_file():
        raise SystemExit(f"{study} is no finished demo: run `make demo` first")
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit("no Chromium or Chrome on PATH: install one, for instance Debian's package chromium")
    for name, (page, width, height) in PAGES.items():
        photograph(browser, (study / page).resolve(), IMAGES / f"{name}.png", width, height)
    for name, drawing in concepts(Workspace(study.resolve())).items():
        (IMAGES / f"{name}.svg").write_bytes(svg_bytes(drawing.figure, name))
        print(f"{name}.svg: {drawing.title}")


def photograph(browser: str, page: Path, target: Path, width: int, height: int) -> None:
    """Writes what a window of the given size shows of a page, with as few colors as do."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        options += ["--disable-background-networking", "--virtual-time-budget=5000"]
        options += [f"--user-data-dir={folder}/profile", f"--window-size={width},{height}", f"--screenshot={shot}"]
        subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=120)
        with Image.open(shot) as image:
            image.convert("RGB").quantize(128).save(target, optimize=True)
    print(f"{target.name}: {width} x {height}, {target.stat().st_size / 1e3:.0f} kB")


def concepts(study: Workspace) -> dict[str, Drawing]:
    """Returns the figures that pages about concepts show, of the demo's chosen model."""
    files = read_study(study)
    (controls,) = shuffle_drawings(files)
    model = controls.name.removeprefix("shuffled_labels_")
    drawings = model_drawings(files, model, class_names(load_params(study.params)))
    (calibration,) = (drawing for drawing in drawings if drawing.name == "calibration")
    return {"controls": controls, "calibration": calibration}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
