"""What a careful reader would object to, said first and in plain words."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.evaluation.repeated import told
from pipelines.reporting.evidence_cautions import RULES
from pipelines.reporting.objections import Caution
from pipelines.reporting.pages import interval, number
from pipelines.reporting.study_files import StudyFiles, cohort_words

EVENTS_PER_COMPONENT = 10
"""Fewer patients of the rarer class per component than this and the fit follows chance (Peduzzi 1996)."""

VALIDATION_EVENTS = 100
"""So many patients with, and without, the outcome a validation should have (Collins 2016)."""

WIDE_INTERVAL = 0.2
NOTABLE_DROP = 0.05
NOTABLE_OPTIMISM = 0.15
RARE_CLASS = 0.2
PREVALENCE_SHIFT = 0.15


def cautions(files: StudyFiles) -> list[Caution]:
    """Returns all objections to the best model and the study, serious ones first."""
    if files.best is None:
        return [
            Caution(
                level="serious", title="No model could be judged", text="Run `radmill run`; it says what is missing."
            )
        ]
    cohorts = files.metrics[files.best]
    found = [
        *(caution for rule in _RULES for caution in rule(files, cohorts)),
        *_of_validation(files.validation),
    ]
    return sorted(found, key=lambda caution: caution.level != "serious")


def _no_external(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    if not cohorts.get("external", {}).get("n"):
        yield Caution(
            level="serious",
            title="No external validation",
            text="No external center has labelled cases. How the model does elsewhere is not known.",
        )


def _chance(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    for cohort in ("internal", "external"):
        low, high = (cohorts.get(cohort, {}).get(f"auc_{end}") for end in ("low", "high"))
        if low is not None and low <= 0.5:
            yield Caution(
                level="serious",
                title=f"{cohort_words(cohort)}: chance is not ruled out",
                text=f"The interval of the AUC ({low:.2f}–{high:.2f}) holds 0.5, which is what guessing gives.",
            )


def _worse_outside(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    inside, outside = (cohorts.get(cohort, {}).get("auc") for cohort in ("internal", "external"))
    if inside is not None and outside is not None and inside - outside > NOTABLE_DROP:
        yield Caution(
            level="serious",
            title="Worse outside than inside",
            text=f"The external AUC ({outside:.2f}) is {inside - outside:.2f} below the internal one ({inside:.2f}). "
            "Scanners, protocols or patients differ between the centers.",
        )


def _wide(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    told = []
    for cohort in ("internal", "external"):
        values = cohorts.get(cohort, {})
        low, high = values.get("auc_low"), values.get("auc_high")
        if low is not None and high is not None and high - low > WIDE_INTERVAL:
            told.append(f"{values['n']} {cohort} patients leave the AUC anywhere from {low:.2f} to {high:.2f}.")
    if told:
        yield Caution(level="note", title="Wide intervals", text=" ".join(told))


def _few_events(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    training = cohorts["training"]
    rarer = min(training["events"], training["n"] - training["events"])
    kept = kept_components(files, str(files.best))
    if kept and rarer / kept < EVENTS_PER_COMPONENT:
        yield Caution(
            level="serious",
            title="Few patients for what is fitted",
            text=f"{rarer} training patients of the rarer class for {kept} components: "
            f"{rarer / kept:.1f} each, where {EVENTS_PER_COMPONENT} is the usual minimum.",
        )


def _small_validation(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    external = cohorts.get("external", {})
    if not external.get("n"):
        return
    events, others = external["events"], external["n"] - external["events"]
    if min(events, others) < VALIDATION_EVENTS:
        yield Caution(
            level="note",
            title="A small external cohort",
            text=f"{events} patients with and {others} without the outcome; "
            f"a validation should have {VALIDATION_EVENTS} of each.",
        )


def _optimism(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    apparent, honest = (cohorts[cohort]["auc"] for cohort in ("training_apparent", "training"))
    if apparent is not None and honest is not None and apparent - honest > NOTABLE_OPTIMISM:
        yield Caution(
            level="note",
            title="The model remembers its patients",
            text=f"On the patients it was made from its AUC is {apparent:.2f}, in cross-validation {honest:.2f}. "
            "Only the second is an estimate.",
        )


def _calibration(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    for cohort in ("internal", "external"):
        values = cohorts.get(cohort, {})
        for name, words, below, above in (
            ("calibration_slope", "calibration slope", "they are too extreme", "they are too much alike"),
            ("observed_expected", "ratio of observed to expected events", "they are too high", "they are too low"),
        ):
            low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
            if low is not None and high is not None and not low <= 1 <= high:
                yield Caution(
                    level="serious" if cohort == "external" else "note",
                    title=f"{cohort_words(cohort)}: probabilities are off",
                    text=f"A {words} of {number(values[name], 2)} ({interval(values, name)}), where 1 is right, "
                    f"says that {below if high < 1 else above}. Recalibrate before anyone reads them as risks.",
                )


def _imbalance(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    share = cohorts["training"]["prevalence"]
    if share is not None and min(share, 1 - share) < RARE_CLASS:
        yield Caution(
            level="note",
            title="Unequal classes",
            text=f"{100 * share:.0f} % of the training patients have the outcome. Accuracy says little here; "
            "look at precision–recall.",
        )


def _prevalence_shift(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    inside, outside = cohorts["training"]["prevalence"], cohorts.get("external", {}).get("prevalence")
    if inside is not None and outside is not None and abs(inside - outside) > PREVALENCE_SHIFT:
        yield Caution(
            level="note",
            title="The outcome is not as frequent outside",
            text=f"{100 * inside:.0f} % of the training and {100 * outside:.0f} % of the external patients have it; "
            "predictive values and calibration shift with that.",
        )


def _selection(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    if len(files.metrics) > 1:
        yield Caution(
            level="note",
            title=f"The best of {len(files.metrics)} models",
            text="It was chosen for the largest cross-validated AUC of all, and the largest of several looks better "
            "than it is. Internal and external patients had no part in the choice.",
        )


def _of_validation(validation: Mapping[str, Any]) -> Iterator[Caution]:
    for finding in validation.get("findings", []):
        yield Caution(
            level="serious" if finding["severity"] == "error" else "note",
            title=f"Feature tables, {finding['subject']}: {finding['rule'].replace('_', ' ')}",
            text=f"{finding['message']}. {finding['remedy'][:1].upper()}{finding['remedy'][1:]}.",
        )


def _repeated(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    rows = files.tables["repeated"].to_dict("records")
    outside = [row for row in rows if row["other_role"] == "external"]
    if outside:
        learned = sum(row["role"] == "development" for row in outside)
        yield Caution(
            level="serious",
            title="Patients are counted twice",
            text=f"{learned} external patients are patients whom the models were made with, and "
            f"{len(outside) - learned} are two external ones, by the content of their images or rows (such as "
            f"{told({str(name): value for name, value in outside[0].items()})}). External figures are too good "
            "until one of each two is put aside in cohort.rejected.",
        )


def kept_components(files: StudyFiles, model: str) -> int | None:
    """Returns how many principal components a model keeps, where its records say so."""
    records = files.models[model]
    for place in (records.components, records.summary):
        for name in ("chosen", "n_components", "components"):
            if isinstance(place.get(name), int):
                return int(place[name])
    return None


_RULES: tuple[Callable[[StudyFiles, Mapping[str, Any]], Iterator[Caution]], ...] = (
    _no_external,
    _repeated,
    _chance,
    _worse_outside,
    _few_events,
    _calibration,
    _wide,
    _small_validation,
    _optimism,
    _imbalance,
    _prevalence_shift,
    _selection,
    *RULES,
)
