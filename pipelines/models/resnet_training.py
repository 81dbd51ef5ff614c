"""How a network learns: epochs over varied patches, stopped early by patients it does not learn from.

All that is random in epoch e follows from the seed and e, so a training that is taken up from its last checkpoint ends
with the same bits as an undisturbed one.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from featurestore.errors import InputError
from pipelines.evaluation.discrimination import auc
from pipelines.models.augmentation import AugmentationRules, varied
from pipelines.models.base import Labels
from pipelines.models.checkpoints import Checkpoint, Snapshot
from pipelines.models.resnet import NetworkSpec, Patches, State, build, device_of, settled, state_of
from pipelines.runner import Progress, Silent

CHECKPOINT_EVERY_S = 30.0
"""A checkpoint holds four times the network, so it is not written after each of many short epochs."""

SMOOTHED_EPOCHS = 3
"""The area on the inner validation part is judged as a mean over so many epochs."""

DIGITS = 6
"""Of numbers that people look at."""

_NET, _BEST, _FIRST, _SECOND, _STEPS = "net.", "best.", "first.", "second.", "steps"


class OneClassError(InputError):
    """All patients to learn from have the same label."""

    default_remedy = "lower tuning.folds, lower split.internal_fraction, or add patients"


@dataclass(frozen=True, kw_only=True)
class TrainingRules:
    """How a network learns; `DeepModel` in `params.yaml` says the same of each.

    Args:
        epochs: At most so many.
        patience: Epochs that are clearly worse than the best on the inner validation part until learning ends.
        batch: Patients a step, about.
        learning_rate: Of AdamW, at the start.
        weight_decay: Of AdamW.
        schedule: The learning rate falls along a cosine over `epochs`, or stays.
        is_balanced: Whether both classes weigh the same.
        augmentation: How patches are varied.
        image_channels: Channels that hold intensities.
        device: Where it happens.
        threads: Of the processor.
    """

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    weight_decay: float
    schedule: Literal["cosine", "plain"] = "cosine"
    is_balanced: bool = True
    augmentation: AugmentationRules = field(default_factory=AugmentationRules)
    image_channels: tuple[int, ...]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1

    def plain(self) -> dict[str, Any]:
        """Returns the rules as JSON types."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What training gave.

    Args:
        state: The tensors of the last epoch that was as good as any; of the last one where nothing decides.
        best: The number of that epoch, from 0.
        history: One row an epoch: losses, area on the inner validation part, learning rate.
    """

    state: State
    best: int
    history: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """What is learned from, and what decides when to stop.

    Args:
        patches: Shape (n, c, …).
        y: Labels, shape (n,).
        validation_patches: Of the inner validation part; none where there are too few patients to spare any.
        validation_y: Its labels.
    """

    patches: Patches
    y: Labels
    validation_patches: Patches | None = None
    validation_y: Labels | None = None


def train(
    spec: NetworkSpec,
    rules: TrainingRules,
    lesson: Lesson,
    seed: int,
    *,
    n_epochs: int | None = None,
    start: Mapping[str, NDArray[np.float32]] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Returns a trained network's tensors.

    Args:
        spec: The network.
        rules: How it learns.
        lesson: From whom.
        seed: Decides first weights, order and variation of patients.
        n_epochs: End after so many; the learning rate falls as if all were to come.
        start: Tensors to start from.
        checkpoint: Where training stands, if it was begun before.
        progress: Is told of every epoch.

    Raises:
        OneClassError: All labels are the same.
        NoDeviceError: A GPU is asked for and there is none.
    """
    if len(set(lesson.y.tolist())) < 2:
        raise OneClassError(f"{len(lesson.y)} patients, all with label {lesson.y[0]}", where="patients of a fold")
    telling, device = progress or Silent(), device_of(rules.device)
    with settled(device, rules.threads), _seeded(seed):
        course = _Course(spec, rules, lesson, seed, device, start)
        course.resume(checkpoint)
        for _ in range(len(course.history)):
            telling.advance()
        saved = time.monotonic()
        while not course.is_over and len(course.history) != n_epochs:
            course.epoch()
            telling.advance(note=course.told)
            if checkpoint and time.monotonic() - saved >= CHECKPOINT_EVERY_S:
                course.save(checkpoint)
                saved = time.monotonic()
        for _ in range(rules.epochs - len(course.history)):
            telling.advance()
        return course.trained()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class _Course:
    """A training under way."""

    def __init__(
        self,
        spec: NetworkSpec,
        rules: TrainingRules,
        lesson: Lesson,
        seed: int,
        device: str,
        start: Mapping[str, NDArray[np.float32]] | None,
    ) -> None:
        import torch

        self.rules, self.lesson, self.seed, self.device = rules, lesson, seed, device
        self.module = build(spec)
        if start:
            self._load(start)
        self.module.to(device)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=rules.learning_rate, weight_decay=rules.weight_decay
        )
        self.patches = torch.from_numpy(np.array(lesson.patches)).to(device)
        self.y = torch.from_numpy(lesson.y.astype(np.float32)).to(device)
        self.weight = torch.from_numpy(_class_weights(lesson.y, rules.is_balanced)).to(device)
        self.history: list[dict[str, Any]] = []
        self.best_state: dict[str, NDArray[np.float32]] = {}
        self.best = -1
        self.largest = 0.0

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done or patience is at its end."""
        done = len(self.history)
        return done >= self.rules.epochs or (done > 0 and done - 1 - self.best >= self.rules.patience)

    @property
    def told(self) -> str:
        """The last epoch in a few words."""
        row = self.history[-1]
        return f"loss {row['loss']:.3f}" + (f", {row['validation_loss']:.3f}" if "validation_loss" in row else "")

    def epoch(self) -> None:
        """Learns from every patient once."""
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        number = len(self.history)
        random = np.random.default_rng([self.seed, number])
        rate = self._rate(number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.module.train()
        total = 0.0
        order = random.permutation(len(self.y))
        # equal batches: a last one of a single patient could not be normalized
        for at in np.array_split(order, max(1, math.ceil(len(order) / self.rules.batch))):
            seen = varied(self.patches[at], self.rules.augmentation, self.rules.image_channels, random)
            loss = cross_entropy(self.module(seen)[:, 0], self.y[at], weight=self.weight[at])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach()) * len(at)
        row = {"epoch": number, "loss": total / len(order), "learning_rate": rate, **self._validate()}
        self._judge(row)
        self.history.append({name: _rounded(value) for name, value in row.items()})

    def trained(self) -> Trained:
        """Returns the outcome."""
        return Trained(state=self.best_state, best=self.best, history=tuple(self.history))

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes where training stands."""
        tensors = {f"{_BEST}{name}": array for name, array in self.best_state.items()}
        tensors |= {f"{_NET}{name}": tensor.cpu().numpy() for name, tensor in self.module.state_dict().items()}
        for number, parameter in enumerate(self.module.parameters()):
            moments = self.optimizer.state[parameter]
            tensors[f"{_FIRST}{number}"] = moments["exp_avg"].cpu().numpy()
            tensors[f"{_SECOND}{number}"] = moments["exp_avg_sq"].cpu().numpy()
            tensors[_STEPS] = moments["step"].cpu().numpy().reshape(1)
        checkpoint.write(Snapshot(tensors=tensors, note={"history": self.history, "best": self.best}))

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Goes to where training stood, if it was begun before."""
        import torch

        found = checkpoint.read() if checkpoint else None
        if found is None:
            return
        self._load(_under(found.tensors, _NET))
        for number, parameter in enumerate(self.module.parameters()):
            first, second = (torch.from_numpy(found.tensors[f"{kind}{number}"]) for kind in (_FIRST, _SECOND))
            self.optimizer.state[parameter] = {
                "step": torch.from_numpy(found.tensors[_STEPS])[0].clone(),
                "exp_avg": first.to(self.device),
                "exp_avg_sq": second.to(self.device),
            }
        self.best_state, self.best = _under(found.tensors, _BEST), int(found.note["best"])
        self.history = [dict(row) for row in found.note["history"]]
        self.largest = max((row.get("smoothed_auc", 0.0) for row in self.history), default=0.0)

    def _load(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        import torch

        self.module.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in tensors.items()}, strict=False)

    def _rate(self, number: int) -> float:
        if self.rules.schedule == "plain":
            return self.rules.learning_rate
        return self.rules.learning_rate * (1 + math.cos(math.pi * number / self.rules.epochs)) / 2

    def _validate(self) -> dict[str, Any]:
        """Returns loss and area on the inner validation part; nothing where there is none."""
        import torch

        y, patches = self.lesson.validation_y, self.lesson.validation_patches
        if y is None or patches is None:
            return {}
        self.module.eval()
        with torch.inference_mode():
            seen = torch.from_numpy(np.array(patches)).to(self.device)
            log_odds = self.module(seen)[:, 0].cpu().numpy().astype(np.float64)
        loss = np.logaddexp(0, np.where(y == 1, -log_odds, log_odds)) * _class_weights(y, self.rules.is_balanced)
        area = auc(y, expit(log_odds)) if len(set(y.tolist())) == 2 else None
        return {"validation_loss": float(loss.mean()), "validation_auc": area}

    def _judge(self, row: dict[str, Any]) -> None:
        """Keeps the network if nothing speaks against it: its smoothed area lies within an error of the best so far.

        The loss is no judge: a network that grows too sure of itself still learns to tell patients apart, and
        recalibration mends the rest. And the first of many equal areas is no better than the last, which has learned
        more; on a dozen patients most areas are equal within their error.

        Source: the one-standard-error rule, Breiman et al. 1984, Classification and Regression Trees, section 3.4.3;
        the error of an area: Hanley and McNeil 1982, Radiology 143:29.
        """
        area, y = row.get("validation_auc"), self.lesson.validation_y
        if area is not None and y is not None:
            recent = [past["validation_auc"] for past in self.history[-SMOOTHED_EPOCHS + 1 :]]
            row["smoothed_auc"] = smoothed = float(np.mean([*recent, area]))
            self.largest = max(self.largest, _rounded(smoothed))
            if _rounded(smoothed) < self.largest - _area_error(self.largest, y):
                return
        self.best_state, self.best = state_of(self.module), int(row["epoch"])


def _class_weights(y: Labels, is_balanced: bool) -> NDArray[np.float32]:
    """Returns each patient's weight, of mean 1; shape (n,)."""
    counts = {label: int((y == label).sum()) for label in (0, 1)}
    if not is_balanced or min(counts.values()) == 0:
        return np.ones(len(y), np.float32)
    return np.where(y == 1, len(y) / (2 * counts[1]), len(y) / (2 * counts[0])).astype(np.float32)


def _area_error(area: float, y: Labels) -> float:
    """Returns the standard error of an area under the ROC curve."""
    n_positive, n_negative = int((y == 1).sum()), int((y == 0).sum())
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (n_positive - 1) * (first - area**2) + (n_negative - 1) * (second - area**2)
    return math.sqrt(max(spread, 0.0) / (n_positive * n_negative))


def _under(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value
