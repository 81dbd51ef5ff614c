"""Figures beside the curves: what a model learned and listens to, groups of patients, and models against each other."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipelines.reporting import explaining_figures
from pipelines.reporting.forest_figures import ForestRow, forest_figure
from pipelines.reporting.model_figures import Drawing
from pipelines.reporting.palette import cohort_tone
from pipelines.reporting.study_files import StudyFiles, cohort_words

TOP_FEATURES, TOP_FAMILIES = 20, 12
POOLED_FROM = 3
"""Of two groups no mean is drawn: its interval on one degree of freedom says nothing."""

Labels = tuple[str, str]


def learning_drawings(files: StudyFiles, model: str) -> list[Drawing]:
    """Returns the learning curve of a tabular model, and of a network its course over epochs."""
    drawings = []
    points = files.of_model(files.plots["learning"], model)
    if len(points):
        figure = explaining_figures.learning_figure(points)
        caption = (
            "The chosen settings fitted on parts of the training patients: AUC on the patients fitted on and on "
            "held-out ones, with one standard deviation over folds. No search was done anew."
        )
        drawings.append(Drawing(name="learning", title="Learning curve", caption=caption, figure=figure))
    epochs = files.of_model(files.plots["epochs"], model)
    if len(epochs):
        figure = explaining_figures.epochs_figure(epochs)
        caption = "Thin lines are folds. The part held aside decides when a network stops and is no part of the fold."
        drawings.append(Drawing(name="epochs", title="Course of training", caption=caption, figure=figure))
    return drawings


def importance_drawings(files: StudyFiles, model: str, labels: Labels) -> list[Drawing]:
    """Returns the features a model listens to most, and the families that its area rests on."""
    drawings = []
    top = files.of_model(files.plots["importance"], model).head(TOP_FEATURES)
    if len(top):
        how = "Exact" if top["method"].iloc[0] == "exact" else f"Sampled over {int(top['patients'].iloc[0])} patients"
        drawings.append(
            Drawing(
                name="importance",
                title=f"The {len(top)} features with the largest share",
                caption="Mean absolute Shapley value carried back through the components, as a share of all features. "
                f"Color: high values speak for {labels[1]} or against it. {how}; training patients only.",
                figure=explaining_figures.bars_figure(
                    top["feature"].tolist(),
                    (100 * top["share"]).tolist(),
                    ["positive" if direction > 0 else "negative" for direction in top["direction"]],
                    "Share of all contributions (%)",
                ),
            )
        )
    families = files.of_model(files.plots["families"], model)
    if len(families):
        ordered = families.sort_values("auc_drop", ascending=False).head(TOP_FAMILIES)
        drawings.append(
            Drawing(
                name="families",
                title="What the AUC rests on",
                caption="Fall of the cross-validated AUC when all features of a phase and class are dealt anew among "
                "held-out patients; bars of one standard deviation over folds. Below 0 is chance.",
                figure=explaining_figures.bars_figure(
                    [_family(row) for row in ordered.to_dict("records")],
                    ordered["auc_drop"].tolist(),
                    ["accent"] * len(ordered),
                    "Fall of AUC",
                    ordered["auc_drop_sd"].tolist(),
                ),
            )
        )
    return drawings


def attention_drawings(files: StudyFiles) -> list[Drawing]:
    """Returns for each network where it looks, on the patients it is surest of."""
    drawings = []
    for model, records in files.models.items():
        path = records.folder / "gradcam.safetensors"
        if not path.is_file():
            continue
        pictures, phases = _pictures(path)
        drawings.append(
            Drawing(
                name=f"gradcam_{model}",
                title=f"Where {model} looks",
                caption="Grad-CAM on the training patients it is surest of: each phase, and in color what speaks for "
                "the positive class. A map is no proof: it shows where, not why.",
                figure=explaining_figures.attention_figure(pictures, phases),
            )
        )
    return drawings


def group_drawings(files: StudyFiles, model: str) -> list[Drawing]:
    """Returns the forest plots of centers and of declared subgroups for one model."""
    areas = files.of_model(files.tables["subgroups"], model)
    if areas.empty:
        return []
    drawings = []
    centers = list(_center_rows(files, model, areas))
    if any(row.value is not None for row in centers):
        drawings.append(
            Drawing(
                name="forest_centers",
                title="By center",
                caption="AUC with DeLong's interval; diamonds pool three centers or more (random effects, "
                "Hartung-Knapp). Cross-validated patients are compared within folds.",
                figure=forest_figure(centers, "AUC", 0.5, (0.2, 1.0)),
            )
        )
    rows = list(_subgroup_rows(files, model, areas))
    if any(row.value is not None for row in rows):
        drawings.append(
            Drawing(
                name="forest_subgroups",
                title=f"Subgroups: {cohort_words(_subgroup_cohort(files, areas))}",
                caption="AUC with DeLong's interval. p: do the groups differ beyond chance (Cochran's Q)? Not "
                "corrected for the number of subgroups.",
                figure=forest_figure(rows, "AUC", 0.5, (0.2, 1.0)),
            )
        )
    return drawings


def matrix_drawings(files: StudyFiles) -> list[Drawing]:
    """Returns the matrix of all pairs of models on the cohort that says most of new patients."""
    cohort = files.judged_on
    table = files.tables["comparisons"]
    table = table[table["cohort"] == cohort] if len(table) else table
    if table.empty:
        return []
    areas = {name: cohorts["training"]["auc"] or 0.0 for name, cohorts in files.metrics.items()}
    models = sorted(areas, key=lambda name: (-areas[name], name))[: explaining_figures.MAXIMUM_MODELS]
    cells: dict[tuple[str, str], tuple[float, float]] = {}
    for row in table.to_dict("records"):
        a, b, difference, p = row["model_a"], row["model_b"], float(row["difference"]), float(row["p_holm"])
        cells |= {(a, b): (difference, p), (b, a): (-difference, p)}
    shown = "" if len(models) == len(areas) else f" The {len(models)} with the largest cross-validated AUC."
    return [
        Drawing(
            name="model_matrix",
            title=f"Models against each other, {cohort_words(cohort).lower()}",
            caption="Difference of AUC, row less column, on the patients of both; bold where DeLong's p, corrected by "
            f"Holm for all pairs, is below 0.05.{shown}",
            figure=explaining_figures.matrix_figure(models, cells),
        )
    ]


def odds_drawings(files: StudyFiles) -> list[Drawing]:
    """Returns a forest plot of odds ratios for each clinical model: adjusted ones, and those of predictors alone."""
    drawings = []
    table = files.tables["odds_ratios"]
    for model in table["model"].unique() if len(table) else ():
        rows = list(_odds_rows(files.of_model(table, model)))
        drawings.append(
            Drawing(
                name=f"odds_ratios_{model}",
                title=f"Odds ratios, {model}",
                caption="Training patients; bars are Wald's intervals. Beside each other: those that entered the "
                "multivariable model.",
                figure=forest_figure(rows, "Odds ratio", 1.0, (0.1, 20.0), is_log=True),
            )
        )
    return drawings


def fusion_drawings(files: StudyFiles) -> list[Drawing]:
    """Returns the weights of each fusion that weighs what its members say."""
    drawings = []
    table = files.plots["fusion_weights"].dropna(subset=["weight"])
    for model in table["model"].unique() if len(table) else ():
        own = files.of_model(table, model)
        figure = explaining_figures.bars_figure(
            own["member"].tolist(), own["weight"].tolist(), ["accent"] * len(own), "Weight on the log odds"
        )
        caption = "Learned from the members' out-of-fold predictions of the training patients."
        title = f"Weights of {model}"
        drawings.append(Drawing(name=f"fusion_{model}", title=title, caption=caption, figure=figure))
    return drawings


def _odds_rows(rows: pd.DataFrame) -> Iterator[ForestRow]:
    words = {"univariable": ("Alone", "faint"), "multivariable": ("Beside each other", "accent")}
    for analysis, (title, tone) in words.items():
        own = rows[rows["analysis"] == analysis]
        if len(own):
            yield ForestRow(label=title, is_heading=True)
        for row in own.fillna("").to_dict("records"):
            ratio, low, high = (float(row[name]) for name in ("odds_ratio", "low", "high"))
            yield ForestRow(label=f"  {_short(row)}", value=ratio, low=low, high=high, tone=tone)


def _short(row: Mapping[Any, Any]) -> str:
    level = f": {row['level']}" if row["level"] else ""
    return f"{str(row['predictor']).replace('_', ' ')}{level}"[:26]


def _family(row: Mapping[Any, Any]) -> str:
    phase = row["phase"] if isinstance(row["phase"], str) and row["phase"] else ""
    count = row["features"]
    return f"{phase} {row['class']}, {count} feature{'' if count == 1 else 's'}".strip()


def _center_rows(files: StudyFiles, model: str, areas: pd.DataFrame) -> Iterator[ForestRow]:
    pooled = files.of_model(files.tables["heterogeneity"], model)
    for cohort in ("training", "internal", "external"):
        rows = areas[(areas["cohort"] == cohort) & (areas["subgroup"] == "center")]
        if rows.empty:
            continue
        tone = cohort_tone(cohort)
        yield ForestRow(label=cohort_words(cohort), is_heading=True)
        yield from (_row(row, tone) for row in rows.to_dict("records"))
        for found in pooled[(pooled["cohort"] == cohort) & (pooled["subgroup"] == "center")].to_dict("records"):
            if found["k"] >= POOLED_FROM:
                label = f"Pooled, I² {100 * found['i2']:.0f} %"
                ends = {"low": found["auc_low"], "high": found["auc_high"]}
                yield ForestRow(label=label, value=found["auc"], **ends, tone=tone, is_pooled=True)


def _subgroup_cohort(files: StudyFiles, areas: pd.DataFrame) -> str:
    """Returns the cohort with the most groups that can tell; of equals the one that says most of new patients."""
    own = areas[(areas["subgroup"] != "center") & areas["auc"].notna()]
    order = ["external", "internal", "training"]
    counts = {cohort: int((own["cohort"] == cohort).sum()) for cohort in order}
    return max(order, key=lambda cohort: (counts[cohort], -order.index(cohort)))


def _subgroup_rows(files: StudyFiles, model: str, areas: pd.DataFrame) -> Iterator[ForestRow]:
    cohort = _subgroup_cohort(files, areas)
    own = areas[(areas["cohort"] == cohort) & (areas["subgroup"] != "center")]
    pooled = files.of_model(files.tables["heterogeneity"], model)
    for subgroup, rows in own.groupby("subgroup", sort=False):
        found = pooled[(pooled["cohort"] == cohort) & (pooled["subgroup"] == subgroup)]
        p = f", p {found['p_value'].iloc[0]:.2f}" if len(found) else ""
        yield ForestRow(label=f"{str(subgroup).replace('_', ' ')}{p}", is_heading=True)
        yield from (_row(row, cohort_tone(cohort)) for row in rows.to_dict("records"))


def _row(row: Mapping[Any, Any], tone: str) -> ForestRow:
    label = f"  {str(row['level'])[:18]} ({row['n']}, {row['events']}+)"
    if pd.isna(row["auc"]):
        return ForestRow(label=label, note=str(row["reason"]))
    value, low, high = (float(str(row[name])) for name in ("auc", "auc_low", "auc_high"))
    return ForestRow(label=label, value=value, low=low, high=high, tone=tone)


def _pictures(path: object) -> tuple[dict[str, object], list[str]]:
    import json

    from safetensors import safe_open

    with safe_open(str(path), framework="np") as stored:
        about = json.loads((stored.metadata() or {}).get("about", "{}"))
        return {name: stored.get_tensor(name) for name in stored.keys()}, list(about.get("phases", []))  # noqa: SIM118
