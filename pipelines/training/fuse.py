"""The stage that makes fusions: weights on what models say, or one model on the columns of several.

Members held out the same patients in the same folds. Weights for a fold are learned from what members said, out of
fold, of the other folds' patients; an early fusion is searched and judged like any model on components. Where the
better of the two is asked for, a fold's choice is made on the other folds.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from featurestore.errors import InputError
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc
from pipelines.models.base import Floats
from pipelines.models.direct import Stack
from pipelines.params import Params
from pipelines.params.fusion import Fusion
from pipelines.params.modelling import Model, Reduction, TuningSection
from pipelines.runner import Progress, Silent
from pipelines.training.crossval import OutOfFold
from pipelines.training.direct import Fitted, fit_direct, refuse_telling
from pipelines.training.fusion_candidate import write_fusion_candidate
from pipelines.training.members import Member, Shared, joined_set, load_members, shared
from pipelines.training.results import EARLY, LATE, TUNED, Fused, Tuned
from pipelines.training.tune import beside_of, fit_best
from pipelines.workspace import Workspace


class UnknownFusionError(InputError):
    """The fusion is not declared."""

    default_remedy = "name one of the fusions of params.yaml"


@dataclass(frozen=True, kw_only=True)
class FuseSummary:
    """What came out.

    Args:
        fusions: By name: how its members are joined, from how many patients, and the cross-validated area.
        removed: Fusions that are no longer declared and were swept.
    """

    fusions: dict[str, dict[str, object]]
    removed: tuple[str, ...]


def fuse(
    workspace: Workspace, params: Params, name: str | None = None, progress: Progress | None = None
) -> FuseSummary:
    """Writes `data/fusion/<name>/` for every declared fusion, or for one.

    Raises:
        UnknownFusionError: The fusion is not declared.
        MemberAbsentError: A member was not made yet.
        MixedFoldsError: Members held out the same patients in different folds.
        OneClassFoldError: A fold of the patients whom all members know has one class only.
        TellingColumnError: A clinical column of an early fusion gives the outcome away.
    """
    from threadpoolctl import threadpool_limits

    if name is not None and name not in params.fusion:
        raise UnknownFusionError(
            f"there is no fusion {name!r}; declared: {', '.join(params.fusion) or 'none'}", where="fusion"
        )
    root, telling = workspace.fusion("any").parent, progress or Silent()
    root.mkdir(parents=True, exist_ok=True)
    gone = [path for path in sorted(root.iterdir()) if path.name not in params.fusion]
    for path in gone:
        shutil.rmtree(path)
    wanted = [name] if name is not None else list(params.fusion)
    telling.start("fuse", len(wanted))
    told: dict[str, dict[str, object]] = {}
    with threadpool_limits(1):
        for one in wanted:
            members = load_members(workspace, params, params.fusion[one].members)
            found = fused(one, members, params.fusion[one], params.tuning)
            target = params.evaluation.target_sensitivity
            told[one] = write_fusion_candidate(workspace.fusion(one), one, found, target)
            telling.advance(note=one)
    telling.finish()
    return FuseSummary(fusions=told, removed=tuple(path.name for path in gone))


def fused(name: str, members: list[Member], settings: Fusion, tuning: TuningSection) -> Fused:
    """Fuses members that were made.

    Args:
        name: The fusion.
        members: Its members.
        settings: Its section of `params.yaml`.
        tuning: How an early fusion is searched.
    """
    known = shared(members)
    late = fit_direct(known.log_odds, known.y, stack_of(settings), known.folds, known.repeats)
    networks = [member.name for member in members if member.package.is_deep]
    reason = f"{networks[0]} is a network: those of different folds share no axes" if networks else ""
    early = None
    if settings.kind in (EARLY, TUNED) and not networks:
        early = _early(name, members, settings, tuning, known)
    nested, chosen = _chosen(settings, known, late, early[0] if early else None)
    keeps = early[0] if early and chosen == EARLY else late
    return Fused(
        settings=settings,
        members=members,
        known=known,
        late=late,
        early=early,
        reason=reason if settings.kind == TUNED else "",
        chosen=chosen,
        nested=nested,
        flattering=keeps.flattering,
    )


def stack_of(settings: Fusion) -> Callable[[], Stack]:
    """Returns how the weights of a late fusion are made."""
    return lambda: Stack(penalty=settings.penalty, nonnegative=settings.nonnegative)


def _early(
    name: str, members: list[Member], settings: Fusion, tuning: TuningSection, known: Shared
) -> tuple[Tuned, TrainingSet]:
    whole = joined_set(name, members)
    part = whole.part(TRAINING)
    refuse_telling(part, [part.names[i] for i in beside_of(part)])
    model = Model(service=name, estimator=settings.estimator, reduction=Reduction(maximum=settings.components))
    own = tuning.model_copy(update={"repeats": known.repeats, "nested_repeats": known.repeats})
    return fit_best(part, model, own, folds=known.folds), whole


def _chosen(settings: Fusion, known: Shared, late: Fitted, early: Tuned | None) -> tuple[OutOfFold, str]:
    """Returns the honest probabilities of the kind that is asked for, and which kind is kept."""
    if early is None:
        return late.nested, LATE
    if settings.kind == EARLY:
        return early.nested, EARLY
    areas = {kind: _areas(known, one) for kind, one in ((LATE, late.nested), (EARLY, early.nested))}
    p = late.nested.p.copy()
    for number, fold in enumerate(known.folds):
        others = [i for i, other in enumerate(known.folds) if other.repeat == fold.repeat and i != number]
        if areas[EARLY][others].mean() > areas[LATE][others].mean():
            p[fold.held_out, fold.repeat] = early.nested.p[fold.held_out, fold.repeat]
    best = EARLY if areas[EARLY].mean() > areas[LATE].mean() else LATE
    return replace(late.nested, p=p), best


def _areas(known: Shared, found: OutOfFold) -> Floats:
    return np.array([auc(known.y[f.held_out], found.p[f.held_out, f.repeat]) for f in known.folds])
