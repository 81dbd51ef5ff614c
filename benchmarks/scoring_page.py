"""Writes `docs/performance-scoring.md` from the results of the benchmarks of scoring.

    python benchmarks/scoring_page.py

What was not measured has no section.
"""

import json
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scoring_doubt import section as doubt_section

from pipelines.reporting.canvas import FONT_PT, new_axes
from pipelines.reporting.palette import light
from pipelines.reporting.vector import svg_bytes

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "performance-scoring.md"
FIGURE = HERE.parent / "docs" / "images" / "drift-power.svg"
LINES = (("ink", "-"), ("external", "-"), ("internal", "-"), ("good", "--"), ("positive", "--"), ("training", ":"))
ESTIMATORS = {"lr": "logistic regression", "rf": "forest"}
GOAL_MS, GOAL_RATIO = 10, 1.2
Found = Mapping[str, Any]

HEAD = """# Performance of scoring

This page is written by `benchmarks/scoring_page.py` (`make bench-scoring`) from the results of `benchmarks/scoring.py`
and `benchmarks/scoring_doubt.py`. What is tested, and when, is told in [concepts/drift.md](concepts/drift.md) and
[concepts/doubt.md](concepts/doubt.md)."""


def read(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def table(header: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [list(header), *map(list, body)]]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in lines[0].split(" | ")) + " |", *lines[1:]])


def percent(count: int, of: int) -> str:
    """Returns a share; one that rounds to none or all without being it is told as below or above."""
    share = 100 * count / of
    if 0 < share < 1:
        return "< 1 %"
    return "> 99 %" if 99 < share < 100 else f"{share:.0f} %"


def looks(counted: Found) -> list[str]:
    """Returns after how many cases it was looked, rising."""
    return sorted(counted["at"], key=int)


def false_alarms(found: Found, by_package: Found, people: Found) -> str:
    rows = [(name, told) for told in ESTIMATORS for name in found[told] if name != "components"]
    sizes = looks(found[rows[0][1]][rows[0][0]])
    body = []
    for name, estimator in rows:
        own = found[estimator][name]
        at = [str(own["at"][n]["any"]) for n in sizes]
        body.append([ESTIMATORS[estimator], name, str(own["draws"]), *at, str(own["by"][sizes[-1]])])
    header = ["model", "hospitals from", "hospitals", *(f"at {n}" for n in sizes), "any look"]
    lead = FALSE_ALARMS.format(**people, looks=", ".join(sizes[:-1]) + f" and {sizes[-1]}")
    parts = ["## Drift: false alarms", lead, table(header, body)]
    if by_package:
        rang, draws = by_package["rang by 300 cases"], by_package["draws"]
        parts.append(
            f"Other packages, {len(rang)} with {draws} hospitals each: {sum(rang)} of {draws * len(rang)} rang at any "
            f"look, of no package more than {max(rang)} of {draws}."
        )
    return "\n\n".join([*parts, FALSE_ALARMS_NOTE])


FALSE_ALARMS = """A generated population of {size:,} patients: a Gaussian copula of {rows} real patients with {features}
features (`multicentre_nsclc`, HarvardRT). A model is fitted by radmill's own search on {development} of them,
{held_out} of these held out; hospitals are drawn from the others, and looked at with {looks} cases. Allowed are
{alpha:.0%} over all looks together. So many hospitals rang:"""

FALSE_ALARMS_NOTE = """`one package` is one whose held-out patients happen to lie aside: all its hospitals are compared
with the same few patients. The rule allows for that."""


def power(found: Found) -> str:
    parts = ["## Drift: power"]
    for estimator, own in found.items():
        shifts = list(own)
        draws, sizes = own[shifts[0]]["draws"], looks(own[shifts[0]])
        body = [[name, *(percent(own[name]["by"][n], draws) for n in sizes)] for name in sorted(shifts)]
        parts += [
            f"Share of {draws} hospitals with a planted shift that have rung by so many cases; "
            f"{ESTIMATORS[estimator]}, the package above.",
            table(["planted shift", *sizes], body),
        ]
    return "\n\n".join(parts)


def images(found: Found) -> str:
    changes = {name: own for name, own in found.items() if isinstance(own, dict)}
    one = changes["none"]
    body = [[name, *(percent(changes[name]["by"][n], one["draws"]) for n in looks(one))] for name in sorted(changes)]
    lead = (
        f"Generated CTs through the extraction engine, {found['development']} development patients, "
        f"{found['features']} features. The patients of a hospital are of the same kind, its scanner is not: "
        f"{one['draws']} draws from a pool of {found['pool']} new patients for each change, and the share that has "
        "rung by so many cases."
    )
    seen = [n for n, own in changes.items() if n != "none" and own["by"][looks(one)[-1]] * 20 <= own["draws"]]
    told = "Draws overlap within a pool, so that shares near 0 and 100 % are of that pool."
    if seen:
        told += f" Not seen with {looks(one)[-1]} cases: {'; '.join(sorted(seen))}."
    return "\n\n".join(["## Drift: power where images change", lead, table(["change", *looks(one)], body), told])


def others(found: Found) -> str:
    none, shifts = found["none"], sorted(name for name in found if name != "none")
    sizes, draws = looks(none), none["draws"]
    rules = sorted(none["by 300"], key=lambda name: (name != "radmill", name))
    quiet = [
        [rule, *(percent(none["at"][n][rule], draws) for n in sizes), percent(none["by 300"][rule], draws)]
        for rule in rules
    ]
    seen = [
        [rule, *(", ".join(percent(found[name]["at"][n][rule], draws) for n in ("30", "100")) for name in shifts)]
        for rule in rules
    ]
    return "\n\n".join(
        [
            "## Drift: what others use",
            f"{OTHERS} {draws} hospitals without any shift:",
            table(["rule", *(f"at {n}" for n in sizes), "any look"], quiet),
            "And with one, at 30 and at 100 cases; a rule that rings without a shift tells nothing here:",
            table(["rule", *shifts], seen),
        ]
    )


OTHERS = """Each rule at its usual limit and at every look anew, with the package above whose held-out patients lie
aside. Share that rings of"""


def cost(found: Found) -> str:
    n, scans, command, runs = found["cases"], found["images"], found["command"], found["runs"]
    one, many, idle = found["one_run"], found["all_runs"], found["nobody_there"]
    a_case = 1000 * one["scoring"]["cpu_s"] / n
    lead = (
        f"{n:,} cases of one hospital with {found['features']} features each under one champion, one thread; processor "
        f"seconds, in brackets the wall clock of a busy machine. Beyond extraction a case costs {a_case:.1f} ms "
        f"({1000 * one['scoring']['s'] / n:.1f}) when all come at once (goal: under {GOAL_MS} ms: "
        f"{'met' if a_case < GOAL_MS else 'missed'}), and {1000 * many['scoring']['cpu_s'] / n:.1f} ms when they come "
        f"in {runs} runs. Of these the first took {_both(found['first_run']['scoring'])} and the last "
        f"{_both(found['last_run']['scoring'])}; a run where nothing is new takes "
        f"{_both(found['nothing_new']['scoring'])} with {n:,} scored cases and {_both(idle['scoring'])} with none. "
        f"Both ways give {'the same scores' if found['same_scores'] else 'OTHER scores'}."
    )
    note = (
        f"Ingest and extraction: {_both(scans['a_case'])} a case, measured on {scans['cases']} scans of "
        f"512×512×{scans['slices']} with regions of {scans['voxels']:,} voxels and {scans['features']:,} features. "
        f"Starting the command takes {_both(_start(found))}. The goal is a ratio of at most {GOAL_RATIO}."
    )
    memory = (
        f"Peak memory of the command: {command['nobody_there']['peak_mb']} MB with nobody there, "
        f"{command['all_at_once']['peak_mb']} MB when {n:,} cases are scored at once."
    )
    header = ["in all", "one run", f"{runs} runs", "ratio"]
    return "\n\n".join(["## Cost", lead, table(header, _totals(found)), note, memory])


def _totals(found: Found) -> list[list[str]]:
    """Returns what all cases cost, one part after another added."""
    n, runs, one, many = found["cases"], found["runs"], found["one_run"], found["all_runs"]
    start = _start(found)
    sums: dict[str, tuple[dict[str, float], dict[str, float]]] = {
        "scoring alone, features ready": (one["scoring"], many["scoring"]),
        "with ingest and extraction": (_times(n, found["images"]["a_case"]), _times(n, found["images"]["a_case"])),
        "and the hospital's page after each run": (one["pages"], many["pages"]),
        "and the start of the command": (start, _times(runs, start)),
    }
    body, left, right = [], _times(0, start), _times(0, start)
    for name, (less, more) in sums.items():
        left, right = _plus(left, less), _plus(right, more)
        body.append([name, _both(left), _both(right), f"{right['cpu_s'] / left['cpu_s']:.2f}"])
    return body


def _start(found: Found) -> dict[str, float]:
    """Returns what a run takes besides scoring and pages."""
    whole, inside = found["command"]["nobody_there"], found["nobody_there"]
    return {clock: whole[clock] - sum(part[clock] for part in inside.values()) for clock in ("s", "cpu_s")}


def _times(factor: int, seconds: Mapping[str, float]) -> dict[str, float]:
    return {clock: factor * own for clock, own in seconds.items()}


def _plus(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {clock: own + other[clock] for clock, own in one.items()}


def _both(seconds: Mapping[str, float]) -> str:
    own, wall = (
        f"{seconds[clock]:,.0f}" if seconds[clock] >= 100 else f"{seconds[clock]:.3g}" for clock in ("cpu_s", "s")
    )
    return f"{own} s ({wall})"


def machine(found: Found) -> str:
    return f"Machine of the timings: {found['cpu']}, {found['cores']} cores, Python {found['python']}."


def page_text() -> str:
    """Returns the page from what was measured."""
    found, doubt = read("scoring"), read("scoring_doubt")
    parts = [HEAD]
    if "machine" in found:
        parts.append(machine(found["machine"]))
    parts += [cost(found["cost"])] if "cost" in found else []
    if "false_alarms" in found:
        parts.append(false_alarms(found["false_alarms"], found.get("by_package", {}), found["population"]))
    for name, section in (("power", power), ("images", images), ("others", others)):
        parts += [section(found[name])] if name in found else []
    parts += [doubt_section(doubt).strip()] if doubt else []
    paragraphs = "\n\n".join(parts).split("\n\n")
    return "\n\n".join(one if one[0] in "#|" else textwrap.fill(one, 118) for one in paragraphs) + "\n"


def power_figure(found: Found) -> bytes:
    """Returns how soon planted shifts are found, as SVG."""
    figure, axes = new_axes("cases of the hospital", "hospitals that have rung", width=7.6, height=3.2)
    sizes = looks(found[next(iter(found))])
    last = sizes[-1]
    for (tone, dashes), name in zip(LINES, sorted(found, key=lambda one: -found[one]["by"]["30"]), strict=True):
        own = found[name]
        share = [own["by"][n] / own["draws"] for n in sizes]
        line = {"color": light(tone), "linestyle": dashes, "marker": "o", "markersize": 4}
        axes.plot([int(n) for n in sizes], share, label=name, **line)
    axes.set(xscale="log", xlim=(9, int(last) * 1.1), ylim=(-0.02, 1.02))
    axes.set_xticks([int(n) for n in sizes], sizes)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=FONT_PT, labelcolor=light("ink"))
    return svg_bytes(figure, "drift-power")


def write_page() -> None:
    """Writes the page, and the figure of power that docs/concepts/drift.md shows."""
    PAGE.write_text(page_text(), encoding="utf-8")
    found = read("scoring")
    if "power" in found:
        FIGURE.write_bytes(power_figure(found["power"]["lr"]))


if __name__ == "__main__":
    write_page()
