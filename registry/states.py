"""The life of a version as a table of moves, and the present state as the fold of the ledger over it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from registry.errors import MoveRefusedError
from registry.ledger import Event

CANDIDATE, REGISTERED, CHALLENGER, CHAMPION, RETIRED = "candidate", "registered", "challenger", "champion", "retired"
STATES = (CANDIDATE, REGISTERED, CHALLENGER, CHAMPION, RETIRED)

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

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names it is called by: champion, challenger, previous."""
        held = (self.state,) if self.state in SOLE else ()
        return (*held, *(("previous",) if self.is_previous else ()))

    @property
    def since(self) -> str:
        """When it came into its present state, UTC."""
        return self.history[-1].when if self.history else ""

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
        }


@dataclass(frozen=True, kw_only=True)
class RegistryState:
    """All versions by digest, and the champions before the present one, oldest first."""

    versions: dict[str, ModelVersion] = field(default_factory=dict)
    former: tuple[str, ...] = ()

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
    check_move(state, event.verb, event.package)
    target = MOVES[event.verb][_state_of(state, event.package)]
    versions = dict(state.versions)
    displaced = next((v for v in versions.values() if target in SOLE and v.state == target), None)
    if displaced:
        versions[displaced.digest] = replace(displaced, state=REGISTERED)
    version = versions.get(event.package) or _born(event, len(versions) + 1)
    versions[event.package] = _moved(version, event, target)
    former = _former(state, event, displaced.digest if displaced else None)
    marked = {d: replace(v, is_previous=bool(former) and d == former[-1]) for d, v in versions.items()}
    return RegistryState(versions=marked, former=former)


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
