"""The life of a version as a table of moves, and the present state as the fold of the ledger over it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from registry.errors import MoveRefusedError
from registry.ledger import Event

CANDIDATE, REGISTERED, CHALLENGER, CHAMPION, RETIRED = "candidate", "registered", "challenger", "champion", "retired"

MOVES: dict[str, dict[str, str]] = {
    # verb: {state before: state after} of the version it happens to
    "register": {CANDIDATE: REGISTERED},
    "challenge": {REGISTERED: CHALLENGER},
    "stand_down": {CHALLENGER: REGISTERED},
    "promote": {REGISTERED: CHAMPION, CHALLENGER: CHAMPION},
    "rollback": {REGISTERED: CHAMPION, CHALLENGER: CHAMPION},
    "retire": {REGISTERED: RETIRED, CHALLENGER: RETIRED, CHAMPION: RETIRED},
}
SOLE = {CHALLENGER, CHAMPION}
"""States that one version holds at a time; who held it before becomes registered again."""

WITHDRAW = "withdraw"
"""A patient left: no move of a version, but those that had him cannot be made again from what is kept."""

REFUSE = "refuse"
"""A gate kept a version out: no move, but the labels that it was judged by were read."""

FREEZE = "freeze"
"""The cases from which a hospital's shift is estimated are fixed: no move of a version."""

ADMIT = "admit"
"""A hospital whose cases were scored becomes an external center: no move of a version; whether its labels were seen
before stands in the details."""

REPRODUCE = "reproduce"
"""A package was made again from its record; the details say whether it came out the same."""

MEND = "mend"
"""Two clones became one chain again; the details have every line that was taken out for it."""

_INSTEAD = {
    CANDIDATE: "register it first",
    CHAMPION: "promote another version, roll back, or retire it",
    RETIRED: "a retired version stays retired; register a new one",
}


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered version as the ledger tells it.

    Args:
        number: Its number, in order of registration, from 1.
        digest: The digest of its package.
        model: The model's name in `params.yaml`.
        training_set: The digest of its training set.
        state: A state of the lifecycle.
        is_previous: Whether a rollback would return to it.
        evidence: The hash of the evidence it was registered with.
        overrides: The reasons of promotions that overruled gates.
        history: Its events.
        withdrawn: How many of its patients withdrew since; with any it cannot be made again.
        is_reproduced: Whether making it again gave the same; none when nobody tried.
    """

    number: int
    digest: str
    model: str
    training_set: str
    state: str
    evidence: str
    is_previous: bool = False
    overrides: tuple[str, ...] = ()
    history: tuple[Event, ...] = field(default=(), repr=False)
    withdrawn: int = 0
    is_reproduced: bool | None = None

    @property
    def is_reproducible(self) -> bool:
        """Whether all patients it was made from are still in its training set."""
        return self.withdrawn == 0

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names it is called by: champion, challenger, previous."""
        held = (self.state,) if self.state in SOLE else ()
        return (*held, *(("previous",) if self.is_previous else ()))

    @property
    def since(self) -> str:
        """When it came into its present state, UTC."""
        moves = [event for event in self.history if event.verb in MOVES]
        return moves[-1].when if moves else ""

    def plain(self) -> dict[str, object]:
        """Returns one row of a table of versions."""
        return {
            "version": self.number,
            "model": self.model,
            "state": self.state,
            "alias": ", ".join(self.aliases),
            "package": self.digest[:12],
            "registered": self.history[0].when if self.history else "",
            "by": self.history[0].who if self.history else "",
            "overrides": len(self.overrides),
            "reproducible": self.is_reproducible,
        }


@dataclass(frozen=True, kw_only=True)
class RegistryState:
    """All versions by digest, the champions before the present one, oldest first, and what gates have read.

    Args:
        versions: By the package's digest.
        former: Digests of the champions before.
        reads: How often the labels of each external center decided about a version.
    """

    versions: dict[str, ModelVersion] = field(default_factory=dict)
    former: tuple[str, ...] = ()
    reads: dict[str, int] = field(default_factory=dict)

    def holder(self, state: str) -> ModelVersion | None:
        """Returns the version that holds a sole state."""
        return next((version for version in self.versions.values() if version.state == state), None)

    def previous(self) -> ModelVersion | None:
        """Returns the version that a rollback would return to."""
        return self.versions[self.former[-1]] if self.former else None


def fold(events: Iterable[Event]) -> RegistryState:
    """Returns the state that the events lead to.

    Raises:
        MoveRefusedError: An event is no allowed move from the state before it.
    """
    state = RegistryState()
    for event in events:
        state = after(state, event)
    return state


def after(state: RegistryState, event: Event) -> RegistryState:
    """Returns the state after one more event.

    Raises:
        MoveRefusedError: The table has no such move.
    """
    if event.verb in _NOTED:
        return _NOTED[event.verb](state, event)
    check_move(state, event.verb, event.package)
    target = MOVES[event.verb][_state_of(state, event.package)]
    versions = dict(state.versions)
    displaced = state.holder(target) if target in SOLE else None
    if displaced:
        versions[displaced.digest] = replace(displaced, state=REGISTERED)
    version = versions.get(event.package) or _born(event, len(versions) + 1)
    versions[event.package] = _moved(version, event, target)
    former = _former(state, event, displaced.digest if displaced else None)
    for digest in {*state.former[-1:], *former[-1:]}:  # the one that was marked, and the one that is now
        versions[digest] = replace(versions[digest], is_previous=digest in former[-1:])
    return RegistryState(versions=versions, former=former, reads=_read(state, event))


def check_move(state: RegistryState, verb: str, package: str) -> None:
    """Checks a move against the table.

    Raises:
        MoveRefusedError: The version's state allows no such move; the message says which moves it allows.
    """
    if verb not in MOVES:
        raise MoveRefusedError(f"there is no move called {verb!r}; there are {', '.join(MOVES)}")
    now = _state_of(state, package)
    where = f"package {package[:12]}"
    if now not in MOVES[verb]:
        allowed = ", ".join(name for name, moves in MOVES.items() if now in moves) or "none"
        raise MoveRefusedError(
            f"cannot {verb} a {now} version (allowed: {allowed})", where=where, remedy=_INSTEAD.get(now)
        )
    if verb == "rollback" and (not state.former or state.former[-1] != package):
        raise MoveRefusedError("a rollback returns to the champion before, and to no other", where=where)


def _without_patient(state: RegistryState, event: Event) -> RegistryState:
    gone = set(event.details.get("versions", ()))
    marked = {d: replace(v, withdrawn=v.withdrawn + (d in gone)) for d, v in state.versions.items()}
    return replace(state, versions=marked)


def _refused(state: RegistryState, event: Event) -> RegistryState:
    return replace(_noted(state, event), reads=_read(state, event))


def _reproduced(state: RegistryState, event: Event) -> RegistryState:
    return _noted(state, event, is_reproduced=event.details.get("same") is True)


def _noted(state: RegistryState, event: Event, **changes: Any) -> RegistryState:
    """Returns the state with the event in its version's history; an event of an unknown package changes nothing."""
    version = state.versions.get(event.package)
    if version is None:
        return state
    changed = replace(version, history=(*version.history, event), **changes)
    return replace(state, versions={**state.versions, event.package: changed})


_NOTED: dict[str, Callable[[RegistryState, Event], RegistryState]] = {
    WITHDRAW: _without_patient,
    REFUSE: _refused,
    REPRODUCE: _reproduced,
    MEND: lambda state, _: state,
    FREEZE: lambda state, event: state,
    ADMIT: lambda state, event: replace(state, reads=_read(state, event)),
}


def _read(state: RegistryState, event: Event) -> dict[str, int]:
    centers = event.details.get("read", ())
    return {**state.reads, **{str(center): state.reads.get(str(center), 0) + 1 for center in centers}}


def _state_of(state: RegistryState, package: str) -> str:
    return state.versions[package].state if package in state.versions else CANDIDATE


def _born(event: Event, number: int) -> ModelVersion:
    return ModelVersion(
        number=number,
        digest=event.package,
        model=str(event.details.get("model", "")),
        training_set=str(event.details.get("training_set", "")),
        state=CANDIDATE,
        evidence=event.evidence,
    )


def _moved(version: ModelVersion, event: Event, target: str) -> ModelVersion:
    override = event.details.get("override")
    overrides = (*version.overrides, str(override)) if override else version.overrides
    return replace(version, state=target, overrides=overrides, history=(*version.history, event))


def _former(state: RegistryState, event: Event, displaced: str | None) -> tuple[str, ...]:
    match event.verb:
        case "promote":
            kept = tuple(package for package in state.former if package != event.package)
            return (*kept, displaced) if displaced else kept
        case "rollback":
            return state.former[:-1]
        case "retire":
            return tuple(package for package in state.former if package != event.package)
    return state.former
