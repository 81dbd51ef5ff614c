"""The section of networks that look at the images themselves."""

from typing import Literal

from pydantic import Field, model_validator

from pipelines.params.base import Name, Section

Architecture = Literal["resnet10", "resnet18", "resnet34", "resnet50", "resnet101"]


class IntensityWindow(Section):
    """The values that become -1 and 1; what lies beyond is cut off.

    Args:
        low: The lower value, in HU for CT.
        high: The upper value.
    """

    low: float
    high: float

    @model_validator(mode="after")
    def _rises(self) -> "IntensityWindow":
        if not self.low < self.high:
            raise ValueError("low must be below high")
        return self


class Augmentation(Section):
    """How patches are varied while a network learns; drawn from the seed.

    Args:
        flips: Whether patches are mirrored along each axis.
        rotation_degrees: The largest turn in the plane.
        shift: The largest shift, as a share of the patch's side.
        intensity: Standard deviation of brightness and contrast, in scaled units.
    """

    flips: bool = True
    rotation_degrees: float = Field(default=10.0, ge=0, le=180)
    shift: float = Field(default=0.05, ge=0, lt=0.5)
    intensity: float = Field(default=0.05, ge=0, le=1)


class Weights(Section):
    """A file of weights that training starts from.

    Args:
        file: Relative to the study: `.safetensors`, or a PyTorch state dict (`.pt`, `.pth`).
        sha256: The file's hash, so that another file is noticed.
    """

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DeepModel(Section):
    """A residual network on patches around the region, the phases as channels.

    Args:
        service: The service whose patients and phases it takes.
        phases: Some of the service's phases; all of them when left out.
        architecture: ResNet-10 to ResNet-101.
        dims: `25d`, the largest slice and its neighbors; or `3d`, a cube.
        size: Pixels along each side of the patch.
        spacing_mm: Their distance; `margin` must cover half of size × spacing_mm and two pixels more.
        slices: Slices of a 25d patch; an odd number.
        window: The intensities that are told apart; without one a patch is scaled to mean 0 and deviation 1.
        windows: Those of single phases, where they differ.
        roi: The region is a channel of its own, all that is left of the image, or not marked.
        roi_margin_mm: How far beyond the region `masked` sees.
        width: Channels of the network, as a share of its usual ones.
        stem_stride: Step of the first convolution.
        epochs: At most so many passes over the patients.
        patience: Learning ends after so many epochs that are clearly worse than the best on the inner validation part.
        inner_fraction: The share of a fold's learning patients that decide when to stop.
        batch: Patients a step.
        learning_rate: Of AdamW, at the start.
        weight_decay: Of AdamW.
        schedule: The learning rate falls along a cosine to 0, or stays.
        class_weights: Both classes weigh the same, or each patient does.
        augmentation: How patches are varied.
        weights: What training starts from; random numbers when null.
        repeats: In how many of the repeats of `tuning` networks are trained.
        device: `auto` takes a GPU where there is one.
        threads: Of the processor; another number may give other last digits.
    """

    service: Name
    phases: list[Name] = []
    architecture: Architecture = "resnet50"
    dims: Literal["25d", "3d"]
    size: int = Field(ge=16, le=512)
    spacing_mm: float = Field(gt=0)
    slices: int = Field(default=3, ge=1, le=31)
    window: IntensityWindow | None = None
    windows: dict[Name, IntensityWindow] = {}
    roi: Literal["channel", "masked", "none"] = "channel"
    roi_margin_mm: float = Field(default=0.0, ge=0)
    width: float = Field(default=1.0, gt=0, le=4)
    stem_stride: Literal[1, 2] = 2
    epochs: int = Field(default=100, ge=1)
    patience: int = Field(default=20, ge=1)
    inner_fraction: float = Field(default=0.2, gt=0, le=0.5)
    batch: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["cosine", "plain"] = "cosine"
    class_weights: Literal["balanced", "none"] = "balanced"
    augmentation: Augmentation = Augmentation()
    weights: Weights | None = None
    repeats: int = Field(default=1, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _is_odd(self) -> "DeepModel":
        if self.slices % 2 == 0:
            raise ValueError("slices must be odd: the largest slice has as many neighbors above as below")
        return self
