"""One patient sent as two, perhaps to two centers: a model would be tested on a patient whom it learned from.

Pseudonyms of two centers never agree, so content decides. Two images are one when their whole (before anything was cut
out) has the same number of voxels, mean, standard deviation, minimum and maximum to nine digits: a copy in another
format, with other axes or another mask is found; another scan of the same patient is not. Of tables made elsewhere,
rows with the same numbers are one. Both roles are read, so this belongs to the stage that judges models.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from featurestore.errors import InputError
from featurestore.tables import read_frame
from featurestore.validation import MINIMUM_SHARED_VALUES, Finding
from pipelines.params import Params
from pipelines.workspace import ROLES, Role, Workspace

RULE = "repeated_patients"
REPEATED = ("role", "center", "case_id", "other_role", "other_center", "other_case_id", "seen_in")

_DIGITS = 9
_N_SHOWN = 5
_SIZES = tuple(f"full_size_{axis}" for axis in "xyz")
_WHOLE = ("image_mean", "image_sd", "image_min", "image_max")
Row = dict[str, object]
_Patient = tuple[str, str, str]


class RepeatedPatientsError(InputError):
    """The same image or row stands under two patients."""

    default_remedy = (
        "put one of each two aside in the table of cohort.rejected; if they are two patients all the same, "
        f"say `validation.severity: {{{RULE}: warning}}` and the study page tells it"
    )


def repeated_patients(workspace: Workspace, params: Params, roles: Sequence[Role] = ROLES) -> list[Row]:
    """Returns a row for every patient who is another one, too; the first of a group stands in each.

    Args:
        workspace: The study.
        params: Its settings.
        roles: Whose centers are compared with each other.
    """
    found: dict[tuple[_Patient, _Patient], list[str]] = {}
    for seen_in, keys in _contents(workspace, params, roles):
        for first, other in _pairs(keys):
            found.setdefault((first, other), []).append(seen_in)
    return [
        dict(zip(REPEATED, (*first, *other, ", ".join(dict.fromkeys(seen))), strict=True))
        for (first, other), seen in sorted(found.items())
    ]


def stop_on_repeated(rows: Sequence[Row], params: Params) -> None:
    """Stops where one patient is two, unless the settings say that this is to be told only.

    Raises:
        RepeatedPatientsError: There are such patients.
    """
    if not rows or params.validation.severity.get(RULE, "error") != "error":
        return
    shown = "; ".join(told(row) for row in rows[:_N_SHOWN])
    more = f"; and {len(rows) - _N_SHOWN} more" if len(rows) > _N_SHOWN else ""
    raise RepeatedPatientsError(f"one patient is two: {shown}{more}", where="patients of all centers")


def findings(rows: Sequence[Row]) -> list[Finding]:
    """Returns one finding for all of them, as the rules on tables give it."""
    if not rows:
        return []
    found = Finding(
        rule=RULE,
        severity="error",
        subject="cases",
        message=f"{len(rows)} patients are others, too",
        remedy=RepeatedPatientsError.default_remedy,
        n=len(rows),
        examples=tuple(told(row) for row in rows[:_N_SHOWN]),
    )
    return [found]


def told(row: Row) -> str:
    """Returns a row in words."""
    one, other = (f"{row[f'{of}case_id']} of {row[f'{of}center']} ({row[f'{of}role']})" for of in ("", "other_"))
    return f"{one} is {other}: the same {row['seen_in']}"


def _contents(
    workspace: Workspace, params: Params, roles: Sequence[Role]
) -> Iterator[tuple[str, list[tuple[object, _Patient]]]]:
    """Yields by image or view what every row holds, as something that can be compared, and whose it is."""
    yield "image", [pair for role in roles for pair in _images(workspace, params, role)]
    for view, told in sorted(params.imported.items()):
        if told.is_for_models:
            yield f"row of {view}", [pair for role in roles for pair in _rows(workspace, params, role, view)]


def _images(workspace: Workspace, params: Params, role: Role) -> Iterator[tuple[object, _Patient]]:
    root, columns = workspace.view(role, "cases"), ("case_id", *_SIZES, *_WHOLE)
    frame = read_frame(root, centers=params.centers.of(role), columns=columns)
    if frame.empty:
        return
    n_voxels = frame[list(_SIZES)].astype(np.float64).prod(axis=1)
    for row, n in zip(frame.to_dict("records"), n_voxels, strict=True):
        if float(row["image_sd"]) > 0:
            content = (n, *(f"{float(row[name]):.{_DIGITS}g}" for name in _WHOLE))
            yield content, (role, str(row["center"]), str(row["case_id"]))


def _rows(workspace: Workspace, params: Params, role: Role, view: str) -> Iterator[tuple[object, _Patient]]:
    frame = read_frame(workspace.imported(view), centers=params.centers.of(role))
    if frame.empty:
        return
    values = frame.select_dtypes("float")
    enough = (values.notna() & (values != np.rint(values))).sum(axis=1) >= MINIMUM_SHARED_VALUES
    for row, numbers in zip(frame[enough].to_dict("records"), values[enough].to_numpy(), strict=True):
        yield numbers.tobytes(), (role, str(row["center"]), str(row["case_id"]))


def _pairs(keys: Iterable[tuple[object, _Patient]]) -> Iterator[tuple[_Patient, _Patient]]:
    groups: dict[object, set[_Patient]] = {}
    for content, patient in keys:
        groups.setdefault(content, set()).add(patient)
    for patients in groups.values():
        first, *others = sorted(patients)
        yield from ((first, other) for other in others)
