"""The five hospitals of the demo: what their scanners, protocols and exports look like.

The differences between them are the center effects a model must survive: grid, slice thickness, noise and its
correlation (the reconstruction kernel), a small HU offset, contrast strength, scanner tags, and prevalence.
"""

from dataclasses import dataclass
from typing import Literal

PHASES = ("corticomedullary", "nephrographic", "excretory")

Export = Literal["rtstruct", "seg", "fractional_seg", "nifti"]
Layout = Literal["pacs", "uid", "flat", "media"]


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """What a scanner writes about itself.

    Args:
        manufacturer: DICOM Manufacturer.
        model: DICOM ManufacturerModelName.
        kernel: DICOM ConvolutionKernel.
        kvp: Tube voltage in kV.
        intercept: RescaleIntercept in HU; the slope is 1.
        signed: Whether stored pixels are signed.
        implicit: Whether files are in Implicit VR Little Endian.
    """

    manufacturer: str
    model: str
    kernel: str
    kvp: int
    intercept: int
    signed: bool = False
    implicit: bool = False


@dataclass(frozen=True, kw_only=True)
class CenterStyle:
    """One hospital.

    Args:
        name: Its folder.
        number: Its place in random streams; never changed, so that its patients stay the same.
        prefix: How its patient numbers begin.
        folder: Where its data go, relative to the study.
        export: How masks are sent.
        layout: How its DICOM tree is nested and named.
        scanner: What its scanner writes about itself.
        size: Voxels along x, y, z.
        spacing_mm: Voxel spacing along x, y, z.
        origin_mm: Position of the first voxel (LPS).
        rows: Direction cosines of the image rows, then of its columns.
        noise_hu: Standard deviation of the scanner noise.
        kernel_mm: Standard deviation of the in-plane correlation of that noise.
        offset_hu: What its HU scale is off by.
        contrast: How strongly its contrast protocol enhances, as a factor.
        prevalence: Share of HER2-positive patients.
        descriptions: SeriesDescription of each phase.
        delays_s: Seconds from contrast start to each phase.
        tumor_names: What its readers call the tumor; a second name is used for a second lesion.
        words: What it writes for true and false in `clinical.csv`.
        encoding: Text encoding of its `clinical.csv`.
        labelled: Whether it sends the immunohistochemistry score.
    """

    name: str
    number: int
    prefix: str
    folder: str
    export: Export
    layout: Layout
    scanner: Scanner
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    rows: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    noise_hu: float
    kernel_mm: float
    offset_hu: float
    contrast: float
    prevalence: float
    descriptions: tuple[str, str, str] = PHASES
    delays_s: tuple[int, int, int] = (30, 90, 480)
    tumor_names: tuple[str, str] = ("tumor", "tumor 2")
    words: tuple[str, str] = ("yes", "no")
    encoding: str = "utf-8"
    labelled: bool = True

    @property
    def is_dicom(self) -> bool:
        """Whether it sends DICOM."""
        return self.export != "nifti"


NORTH = CenterStyle(
    name="north",
    number=1,
    prefix="N",
    folder="data/raw/north",
    export="rtstruct",
    layout="pacs",
    scanner=Scanner(manufacturer="SIEMENS", model="Definition Demo", kernel="B30f", kvp=120, intercept=-1024),
    size=(56, 56, 18),
    spacing_mm=(0.9, 0.9, 3.0),
    origin_mm=(-25.2, 118.4, -310.5),
    noise_hu=11.0,
    kernel_mm=0.75,
    offset_hu=0.0,
    contrast=1.0,
    prevalence=0.45,
    descriptions=("Corticomedullary 30s 3.0 B30f", "Nephrographic 90s 3.0 B30f", "Excretory 8min 3.0 B30f"),
    tumor_names=("Tumor", "Tumor_2"),
)

EAST = CenterStyle(
    name="east",
    number=2,
    prefix="E",
    folder="data/raw/east",
    export="seg",
    layout="uid",
    scanner=Scanner(
        manufacturer="GE MEDICAL SYSTEMS", model="Revolution Demo", kernel="STANDARD", kvp=100, intercept=0, signed=True
    ),
    size=(60, 60, 24),
    spacing_mm=(0.8, 0.8, 2.0),
    origin_mm=(23.75, -96.0, 812.0),
    rows=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    noise_hu=15.0,
    kernel_mm=0.6,
    offset_hu=4.0,
    contrast=1.08,
    prevalence=0.4,
    descriptions=("ABD ARTERIAL 2.0", "ABD VENOUS 2.0", "ABD DELAYED 2.0"),
    delays_s=(35, 80, 600),
    tumor_names=("Bladder tumour", "Bladder tumour 2"),
    words=("1", "0"),
    encoding="utf-8-sig",
)

SOUTH = CenterStyle(
    name="south",
    number=3,
    prefix="S",
    folder="data/raw/south",
    export="nifti",
    layout="flat",
    scanner=Scanner(manufacturer="", model="", kernel="", kvp=0, intercept=0),
    size=(48, 48, 15),
    spacing_mm=(1.1, 1.1, 4.0),
    origin_mm=(-26.4, -31.9, 64.0),
    noise_hu=9.0,
    kernel_mm=0.95,
    offset_hu=-4.0,
    contrast=0.95,
    prevalence=0.5,
    words=("true", "false"),
)

WEST = CenterStyle(
    name="west",
    number=4,
    prefix="W",
    folder="data/raw/west",
    export="rtstruct",
    layout="flat",
    scanner=Scanner(
        manufacturer="Philips", model="Ingenuity Demo", kernel="C", kvp=120, intercept=-1000, implicit=True
    ),
    size=(52, 52, 16),
    spacing_mm=(1.0, 1.0, 3.75),
    origin_mm=(-24.6, 77.3, -1204.25),
    noise_hu=13.0,
    kernel_mm=0.7,
    offset_hu=6.0,
    contrast=1.04,
    prevalence=0.45,
    descriptions=("Pelvis cortico 40s", "Pelvis nephro 100s", "Pelvis excret. 10min"),
    delays_s=(40, 100, 600),
    tumor_names=("GTV", "GTV_2"),
    encoding="latin-1",
)

HARBOR = CenterStyle(
    name="harbor",
    number=5,
    prefix="H",
    folder="incoming/harbor",
    export="fractional_seg",
    layout="media",
    scanner=Scanner(
        manufacturer="Canon Medical Systems", model="Aquilion Demo", kernel="FC08", kvp=120, intercept=-8192
    ),
    size=(56, 56, 20),
    spacing_mm=(0.85, 0.85, 2.5),
    origin_mm=(-23.1, 140.0, 55.5),
    noise_hu=12.0,
    kernel_mm=0.85,
    offset_hu=-6.0,
    contrast=1.0,
    prevalence=0.4,
    descriptions=("Arterial Phase 2.5 CE", "Portal Venous 2.5 CE", "Late Uro 2.5 CE"),
    delays_s=(30, 75, 540),
    tumor_names=("Tumour", "Tumour 2"),
    labelled=False,
)

CENTERS = (NORTH, EAST, SOUTH, WEST, HARBOR)
