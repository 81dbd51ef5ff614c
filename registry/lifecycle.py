"""The registry of a study: register, promote, roll back, retire, and say what is so.

An event is written last, after everything it speaks of is in place, and committed with its files. A command that dies
in between leaves copies without an event, or an event without a commit; the next command completes either.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.files import exclusive
from featurestore.training_sets import TrainingSet
from registry import states
from registry.errors import (
    BrokenLedgerError,
    NoFormerChampionError,
    StaleCandidateError,
)
from registry.gates import Compare, Dossier, GateRefusedError, GateResult, external_centers, gates_from, judge
from registry.keeping import commit, dvc_add, place, require_repository, sweep_halves, write_evidence
from registry.ledger import Complaint, Event, Ledger
from registry.package import ModelPackage, load_package
from registry.states import ModelVersion, RegistryState, check_move, fold
from registry.verifying import verify
from registry.versions import select
from registry.withdrawing import Withdrawn, withdraw_patient

_EVIDENCE_REMEDY = "take the file back from git"


@dataclass(frozen=True)
class Registry:
    """The registry that lies in a study's folder `models`.

    Args:
        study: The study's root; a git repository with DVC.
    """

    study: Path

    @property
    def models(self) -> Path:
        """Where ledger, evidence, packages and training sets lie."""
        return self.study / "models"

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.models / "ledger.jsonl")

    def state(self) -> RegistryState:
        """Returns the fold of the ledger.

        Raises:
            BrokenLedgerError: The chain does not hold.
        """
        return fold(self.ledger.events())

    def versions(self) -> list[ModelVersion]:
        """Returns all versions, by number."""
        return list(self.state().versions.values())

    def version(self, selector: str) -> ModelVersion:
        """Returns the version that an alias, a number, a digest's beginning or a model's name means.

        Raises:
            UnknownVersionError: None does, or several do.
        """
        return select(self.state(), selector)

    def champion(self) -> ModelVersion | None:
        """Returns the version in force."""
        return self.state().holder(states.CHAMPION)

    def challenger(self) -> ModelVersion | None:
        """Returns the version that is watched beside the champion."""
        return self.state().holder(states.CHALLENGER)

    def previous(self) -> ModelVersion | None:
        """Returns the version that a rollback would return to."""
        return self.state().previous()

    def package(self, version: ModelVersion) -> ModelPackage:
        """Loads and checks a version's package.

        Raises:
            PackageAbsentError: Its bytes are not on this machine.
            DamagedPackageError: They are not what was registered.
        """
        return load_package(self.package_folder(version), version.digest)

    def package_folder(self, version: ModelVersion) -> Path:
        """Returns where a version's package lies."""
        return self.models / "packages" / version.digest

    def evidence(self, version: ModelVersion) -> dict[str, Any]:
        """Returns what was measured when the version was registered."""
        return self.read_evidence(version.evidence)

    def register(
        self,
        model_name: str,
        candidate_dir: Path,
        training_dir: Path,
        evidence: Mapping[str, object],
        why: str,
        predictions: Sequence[Mapping[str, object]] = (),
        further: Mapping[str, object] | None = None,
        read: Sequence[str] = (),
    ) -> ModelVersion:
        """Registers a candidate; registering the same package again changes nothing.

        Args:
            model_name: The model's name in the settings.
            candidate_dir: The candidate's package folder.
            training_dir: The training set it was made from.
            evidence: The model's block of `metrics.json`, by cohort.
            why: The reason, for the ledger.
            predictions: Its external predictions: rows of center, case_id, y, p.
            further: What gates may ask for besides: `subgroups`, `controls`, `checklists`.
            read: Centers outside the training set whose labels went into it; they are spent.

        Raises:
            DamagedPackageError: The candidate is not sound.
            StaleCandidateError: The training set is not the one it was made from.
            CommandFailedError: DVC or git failed; the same call completes the work.
        """
        package = load_package(candidate_dir)
        training_set = str(package.manifest["training_set"])
        _require_set(training_dir, training_set)
        with self._event(f"register {model_name}"):
            known = self.state().versions.get(package.digest)
            self._keep(package.digest, candidate_dir, training_set, training_dir)
            if known is None:
                known_of_it = {"metrics": evidence, "predictions": list(predictions), "package": package.digest}
                content = known_of_it | dict(further or {})
                sha = write_evidence(self.models / "evidence", content)
                details = {"model": model_name, "training_set": training_set, "release": package.manifest["release"]}
                details |= {"read": sorted(read)} if read else {}
                self.ledger.append("register", package.digest, why=why, evidence=sha, details=details)
            version = self.state().versions[package.digest]
            self._commit(f"Register {model_name} as version {version.number}")
        return version

    def promote(
        self,
        selector: str,
        gates: Mapping[str, Any],
        why: str = "",
        override: str | None = None,
        compare: Compare | None = None,
    ) -> list[GateResult]:
        """Makes a version the champion, if it meets its gates.

        Args:
            selector: The version; see `version`.
            gates: The limits of `registry.gates`.
            why: The reason, for the ledger.
            override: The reason for promoting in spite of a gate; recorded and shown for ever.
            compare: The paired test of two models.

        Returns:
            Each gate's verdict. Promoting the champion again changes nothing.

        Raises:
            GateRefusedError: A gate is not met and nothing overrides it; `results` has the verdicts.
            MoveRefusedError: The version's state allows no promotion.
        """
        with self._event(f"promote {selector}"):
            state = self.state()
            version = select(state, selector)
            dossier = self.dossier(state, version, compare)
            results = judge(gates_from(gates), dossier)
            if version.state != states.CHAMPION:
                check_move(state, "promote", version.digest)
                self.package(version)
                self._admit(version, results, external_centers(dossier.evidence), why, override)
            self._commit(f"Promote version {version.number} ({version.model})")
        return results

    def challenge(self, selector: str, why: str) -> ModelVersion:
        """Makes a version the challenger: scored beside the champion, never acted upon."""
        return self._move("challenge", selector, why)

    def stand_down(self, selector: str, why: str) -> ModelVersion:
        """Makes the challenger an ordinary registered version again."""
        return self._move("stand_down", selector, why)

    def retire(self, selector: str, why: str) -> ModelVersion:
        """Takes a version out of use for good."""
        return self._move("retire", selector, why)

    def rollback(self, why: str) -> ModelVersion:
        """Returns to the champion before: the same package, so the same predictions.

        Raises:
            NoFormerChampionError: There was none.
        """
        with self._event("rollback"):
            former = self.previous()
            if former is None:
                raise NoFormerChampionError("there was no champion before", where="registry")
            self.package(former)
            self.ledger.append("rollback", former.digest, why=why)
            self._commit(f"Roll back to version {former.number} ({former.model})")
            return self.version(former.digest)

    def note_reproduction(self, digest: str, details: Mapping[str, object], why: str) -> None:
        """Writes what came of making a package again; the same outcome in a row is written once.

        Args:
            digest: The registered package.
            details: `same`, whether it came out the same, and what else is to be remembered.
            why: The reason, for the ledger.
        """
        with self._event(f"reproduce {digest[:12]}"):
            version = select(self.state(), digest)
            last = version.history[-1]
            if (last.verb, last.details) != (states.REPRODUCE, dict(details)):
                self.ledger.append(states.REPRODUCE, digest, why=why, details=dict(details))
            self._commit(f"Make version {version.number} ({version.model}) again")

    def withdraw(self, center: str, case_id: str, why: str) -> Withdrawn:
        """Takes a patient out of every kept training set and marks the versions that had him.

        Repeating it changes nothing; one that was cut short is completed. The other rows of a set still verify.

        Raises:
            CommandFailedError: DVC or git failed; the same call completes the work.
        """
        with self._event(f"withdraw {case_id[:12]}"):
            return withdraw_patient(self.study, self.ledger, self.state(), center, case_id, why, self._commit)

    def verify(self) -> list[Complaint]:
        """Returns everything that is wrong with ledger, evidence, packages and training sets; empty when all holds."""
        return verify(self.study, self.ledger)

    def events(self) -> list[Event]:
        """Returns the ledger's events."""
        return self.ledger.events()

    def dossier(self, state: RegistryState, version: ModelVersion, compare: Compare | None) -> Dossier:
        """Returns what gates judge a version by, as the registry stands in `state`."""
        champion = state.holder(states.CHAMPION)
        other = champion if champion and champion.digest != version.digest else None
        sets = {one.training_set for one in (version, other) if one}
        return Dossier(
            evidence=self.evidence(version),
            champion=self.evidence(other) if other else None,
            taught=frozenset(patient for name in sets for patient in self._patients(name)) if other else frozenset(),
            reads=state.reads,
            is_reproduced=version.is_reproduced,
            compare=compare,
        )

    def _move(self, verb: str, selector: str, why: str) -> ModelVersion:
        with self._event(f"{verb} {selector}"):
            state = self.state()
            version = select(state, selector)
            check_move(state, verb, version.digest)
            self.ledger.append(verb, version.digest, why=why)
            self._commit(f"{verb.replace('_', ' ').capitalize()} version {version.number} ({version.model})")
            return self.version(version.digest)

    def _patients(self, training_set: str) -> Iterator[tuple[str, str]]:
        kept = TrainingSet.load(self.models / "training" / training_set)
        return zip(kept.center.tolist(), kept.case_id.tolist(), strict=True)

    def _admit(
        self, version: ModelVersion, results: list[GateResult], read: list[str], why: str, override: str | None
    ) -> None:
        refused = [result for result in results if not result.passed]
        content = {"gates": [result.plain() for result in results], "package": version.digest}
        sha = write_evidence(self.models / "evidence", content)
        details: dict[str, Any] = {"read": read} if read else {}
        if refused and not override:
            self._note_refusal(version, sha, details, why)
            raise GateRefusedError.of(version.number, version.model, results)
        if refused:
            details |= {"override": override, "overruled": [result.name for result in refused]}
        self.ledger.append("promote", version.digest, why=why or override or "", evidence=sha, details=details)

    def _note_refusal(self, version: ModelVersion, sha: str, details: dict[str, Any], why: str) -> None:
        """Writes that external labels were read; the same verdict asked for again in a row is no further read."""
        last = version.history[-1]
        if (last.verb, last.evidence) != (states.REFUSE, sha):
            self.ledger.append(states.REFUSE, version.digest, why=why, evidence=sha, details=details)
        self._commit(f"Refuse version {version.number} ({version.model})")

    def _keep(self, digest: str, candidate: Path, training_set: str, training: Path) -> None:
        package_folder, set_folder = self.models / "packages" / digest, self.models / "training" / training_set
        place(candidate, package_folder, lambda folder: load_package(folder, digest))
        place(training, set_folder, lambda folder: _require_set(folder, training_set))
        dvc_add(self.study, package_folder)
        dvc_add(self.study, set_folder)

    @contextmanager
    def _event(self, work: str) -> Iterator[None]:
        """Holds the registry's lock, and first commits what an event that was cut short left behind."""
        require_repository(self.study)
        with exclusive(self.study / ".radmill" / "registry.lock", f"radmill {work}"):
            sweep_halves(self.models)
            self._commit("Complete an event that was cut short")
            yield

    def _commit(self, message: str) -> None:
        commit(self.study, self._own_files(), message)

    def _own_files(self) -> Iterator[Path]:
        yield self.ledger.path
        for folder in ("packages", "training"):
            yield self.models / folder / ".gitignore"
        for event in self.ledger.events():
            yield self.models / "evidence" / f"{event.evidence}.json"
            yield self.models / "packages" / f"{event.package}.dvc"
            yield self.models / "training" / f"{event.details.get('training_set', '')}.dvc"

    def read_evidence(self, sha: str) -> dict[str, Any]:
        """Returns a piece of evidence that an event names."""
        path = self.models / "evidence" / f"{sha}.json"
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BrokenLedgerError("unreadable", where=f"evidence {sha[:12]}", remedy=_EVIDENCE_REMEDY) from error
        return content


def _require_set(folder: Path, digest: str) -> None:
    found = TrainingSet.load(folder).digest
    if found != digest:
        raise StaleCandidateError(f"made from training set {digest[:12]}; the one here is {found[:12]}")
