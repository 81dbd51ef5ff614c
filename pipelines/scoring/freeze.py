"""Fixes by an event the cases from which a hospital's shift is estimated."""

from featurestore.errors import InputError
from featurestore.harmonization import MINIMUM_CASES, TooFewCasesError
from featurestore.tables import centers_of, read_frame
from pipelines.scoring.adapters import cases_needed
from pipelines.scoring.freezing import FrozenBeforeError, frozen_list, write_list
from pipelines.scoring.in_force import case_rules
from pipelines.scoring.places import Deployment, check_center_name
from pipelines.workspace import Workspace
from registry.freezing import freeze, frozen_digest
from registry.lifecycle import Registry
from registry.states import ModelVersion


class NothingReadError(InputError):
    """Nothing of the hospital was read yet."""

    default_remedy = "put its cases into incoming/ and run `radmill score`, which reads them and withholds scores"


def freeze_center(workspace: Workspace, center: str, why: str) -> int:
    """Fixes the cases that are here now and returns how many; a call that was cut short is completed.

    Raises:
        NothingReadError: The hospital has no cases.
        FrozenBeforeError: Its list was fixed before.
        TooFewCasesError: There are fewer than the model in force asks for.
    """
    check_center_name(center)
    registry, deployment = Registry(workspace.root), Deployment(workspace)
    folder, events = deployment.center(center), registry.events()
    known = frozen_list(folder, center, events)
    if frozen_digest(events, center) is not None:
        raise FrozenBeforeError("its cases were fixed before", where=f"center {center}")
    champion = registry.champion()
    cases = list(known.cases) if known is not None else _present(deployment, center, registry, champion)
    needed = cases_needed(registry.package(champion)) if champion is not None else 0
    if len(cases) < (needed or MINIMUM_CASES):
        raise TooFewCasesError(f"{len(cases)} cases, {needed or MINIMUM_CASES} are needed", where=f"center {center}")
    made = known or write_list(folder, cases)
    freeze(workspace.root, registry.ledger, center, made.digest, len(made.cases), why)
    return len(made.cases)


def _present(deployment: Deployment, center: str, registry: Registry, champion: ModelVersion | None) -> list[str]:
    """Returns the hospital's cases as the champion reads them; as any model did where there is none."""
    stores = deployment.stores(center)
    if champion is not None:
        stores = [deployment.store(center, case_rules(registry.package(champion).manifest, ()))]
    roots = [path for store in stores for path in sorted(store.glob("features/*/radiomics")) if centers_of(path)]
    if not roots:
        raise NothingReadError("has no features", where=f"center {center}")
    return sorted({str(one) for root in roots for one in read_frame(root, columns=["case_id"])["case_id"]})
