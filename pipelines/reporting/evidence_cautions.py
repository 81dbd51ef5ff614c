"""Objections that follow from groups, controls, sample size and fusion."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipelines.evaluation.negative_controls import LABELS, VOXELS
from pipelines.reporting.fusion_sections import fusion_content
from pipelines.reporting.objections import Caution
from pipelines.reporting.study_files import StudyFiles, cohort_words

SURE = 0.05
LARGE_I2 = 0.5
"""From here on heterogeneity is called substantial (Higgins et al. 2003, BMJ 327:557)."""


def only_size(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    """The region's volume alone does as well, as far as held-out patients can tell."""
    table = files.of_model(files.tables["controls"], str(files.best))
    for row in table[table["cohort"] == files.judged_on].to_dict("records"):
        if row["name"] == "size_only" and str(row["passed"]) == "False":
            yield Caution(
                level="serious",
                title="Not shown to be more than size",
                text=f"{cohort_words(files.judged_on)} patients: AUC {row['auc']:.2f}, the region's volume alone "
                f"{row['control']:.2f}; the difference ({row['low']:.2f} to {row['high']:.2f}) may be chance.",
            )


def failed_controls(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    """A search on shuffled labels, which hold nothing, found something."""
    table = files.tables["controls"]
    for row in table[table["name"] == LABELS].to_dict("records"):
        if str(row["passed"]) == "False":
            yield Caution(
                level="serious",
                title="The search finds something where nothing is",
                text=f"{cohort_words(str(row['cohort']))} patients, {row['model']} on shuffled labels: a mean AUC of "
                f"{row['control']:.2f} ({row['control_low']:.2f} to {row['control_high']:.2f}). Labels leak into the "
                "features, or the same patients are on both sides.",
            )


def idle_texture(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    """The same regions with their voxels shuffled do as well, as far as held-out patients can tell."""
    table = files.of_model(files.tables["controls"], str(files.best))
    for row in table[(table["name"] == VOXELS) & (table["cohort"] == files.judged_on)].to_dict("records"):
        if str(row["passed"]) == "False":
            yield Caution(
                level="note",
                title="Texture is not shown to add anything",
                text=f"{cohort_words(files.judged_on)} patients: AUC {row['auc']:.2f}, with the voxels of each region "
                f"shuffled {row['control']:.2f}; the difference ({row['low']:.2f} to {row['high']:.2f}) may be chance. "
                "Size, shape and histogram do as much.",
            )


def unlike_groups(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    """The model does not do alike in all groups."""
    table = files.of_model(files.tables["heterogeneity"], str(files.best))
    for row in table[(table["p_value"] < SURE) & (table["i2"] >= LARGE_I2)].to_dict("records"):
        name = str(row["subgroup"]).replace("_", " ")
        yield Caution(
            level="serious" if row["cohort"] == "external" else "note",
            title=f"Not alike in all groups of {name}",
            text=f"{cohort_words(str(row['cohort']))}: the AUC differs between {row['k']} groups beyond chance "
            f"(I² {100 * row['i2']:.0f} %, p {row['p_value']:.3f}). Look at the forest plot before using it in all.",
        )


def too_few_patients(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    """Riley's criteria ask for more patients than there are."""
    table = files.of_model(files.tables["sample_size"], str(files.best))
    for row in table.to_dict("records"):
        if str(row["enough"]) == "False" and not pd.isna(row["n_needed"]):
            yield Caution(
                level="note",
                title="Fewer patients than the criteria ask for",
                text=f"{row['n']} training patients; {row['parameters']:.0f} parameters need {row['n_needed']:.0f} by "
                f"Riley's criteria. Expect a shrinkage of {row['shrinkage']:.2f}: predictions will be too extreme by "
                "about that much.",
            )


def idle_fusion(files: StudyFiles, cohorts: Mapping[str, Any]) -> Iterator[Caution]:
    """A fusion is not shown to beat its members."""
    told: dict[str, list[str]] = {}
    for row in fusion_content(files):
        if row["cohort"] == files.judged_on and not (row["p_holm"] < SURE and row["difference"] > 0):
            told.setdefault(row["fusion"], []).append(row["member"])
    for fusion, members in told.items():
        yield Caution(
            level="note",
            title=f"{fusion} is not shown to beat {'its members' if len(members) > 1 else members[0]}",
            text=f"{cohort_words(files.judged_on)} patients do not tell it from {', '.join(members)}: the difference "
            "of AUC may be chance. The simpler model may do.",
        )


RULES = (only_size, failed_controls, idle_texture, unlike_groups, too_few_patients, idle_fusion)
