"""Writes the measured part of `docs/scaling.md` and its figure from the results of `benchmarks/scaling.py`.

The text around it is written by hand; a figure that was not measured has no line.
"""

import json
from collections.abc import Mapping
from math import ceil, log
from pathlib import Path
from typing import Any

from pipelines.reporting.canvas import FONT_PT, new_axes
from pipelines.reporting.palette import light
from pipelines.reporting.vector import svg_bytes

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "scaling.md"
FIGURE = HERE.parent / "docs" / "images" / "scaling.svg"
BEGIN, END = "<!-- scaling:begin -->", "<!-- scaling:end -->"
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
PRICE = 0.05
"""Money a core-hour, as an example."""

ONE_MACHINE = 16
"""So many workers one machine has cores for."""

TARGET_S = 1800
READ_GB = 16
BUSY = 0.5
"""The part of the time that driver and scheduler are kept at work at most: the rest is for tables and for waiting."""

Found = Mapping[str, Any]


def write_page() -> None:
    """Writes the page and the figure."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    PAGE.write_text(f"{before}{BEGIN}\n{measured()}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")
    if read("scaling_million"):
        FIGURE.write_bytes(figure())


def read(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def measured() -> str:
    found, costs, million = read("scaling"), read("scaling_costs"), read("scaling_million")
    parts = [plan(found, costs, million)] if "tables" in found and million else []
    parts += [cases(costs), handing_out(found)]
    parts += [over_the_run(million)] if million else []
    parts += [tables(found), ingest(found)] if "tables" in found else []
    return "\n\n".join(parts)


def seconds(costs: Found) -> list[float]:
    return [second for case in costs["cases"].values() for second in case["seconds"]]


def exponent(points: list[tuple[float, float]]) -> float:
    """Returns b of y = a·x^b through the two largest sizes."""
    (x0, y0), (x1, y1) = points[-2:]
    return log(y1 / y0) / log(x1 / x0)


def most_workers(found: Found, costs: Found) -> int:
    """Returns how many workers one scheduler can feed with cases of the mean length."""
    one = next(row for row in found["workers"]["figures"] if row["workers"] == 64)
    busiest_s = max(one["cpu_ms_a_case"][name] for name in ("driver", "scheduler")) / 1e3
    mean_s = sum(seconds(costs)) / len(seconds(costs))
    return int(BUSY * mean_s / busiest_s)


def plan(found: Found, costs: Found, million: Found) -> str:
    """The table of five sizes."""
    mean_s = sum(seconds(costs)) / len(seconds(costs))
    limit = most_workers(found, costs)
    stored = costs["cases"]["real tumors (sts_cohort)"]["stored_bytes"]
    store = read("store")
    row_bytes = store["data"]["figures"]["bytes"] / store["machine"]["sizes"]["rows"]
    rows = found["tables"]["figures"]["1130 features"]
    driver = linear([(row["cases"], row["first"]["peak_mb"]) for row in rows])
    training = linear([(row["cases"], row["assemble"]["peak_mb"]) for row in rows])
    scheduler = scheduler_line(million)
    body = []
    for n in SIZES:
        workers = min(limit, max(1, ceil(n * mean_s / TARGET_S)))
        megabytes = [(at + rise * n) / 1e3 for at, rise in (driver, scheduler, training)]
        body.append(
            [
                f"{n:,}",
                str(workers),
                "`local`" if workers <= ONE_MACHINE else "`slurm`, `kubernetes` or `address`",
                f"{workers / mean_s:,.0f}",
                told_time(n * mean_s / workers + n * per_row(rows, "first")),
                f"{n * mean_s / 3600:,.2f}",
                f"{n * stored / 1e9:,.2f}",
                f"{n * row_bytes / 1e9:,.2f}",
                *(f"{gigabytes:.1f}" for gigabytes in megabytes),
                f"{costs['worker_mb'] / 1e3:.1f}",
            ]
        )
    header = ["cases", "workers", "`cluster.kind`", "cases a second", "takes at best", "core-hours"]
    header += ["stored cases, GB", "tables, GB", "driver, GB", "scheduler, GB", "training set, GB", "a worker, GB"]
    return "\n\n".join(
        [
            "## The plan in figures",
            f"1,130 features, one region a case, 50 centers; a case takes {mean_s * 1e3:.0f} ms of a core "
            "in the mean of all that was measured (below). So many workers that extraction ends within "
            f"{TARGET_S // 60} minutes, but no more than {limit}: these keep one scheduler at work for {BUSY:.0%} of "
            "its time. `At best` is where no worker "
            "waits; tables are counted after it, since no worker shortens them. Nothing of this table "
            "was run as a whole: "
            "it is computed from the parts below. Memory is a straight line through them, which for "
            "driver and training "
            f"set goes beyond {rows[-1]['cases']:,} cases; the scheduler was seen up to "
            f"{million['million']['figures']['done']:,}. Tables take on disk what those of `make "
            "bench-store` take.",
            table(header, body),
            "Money is core-hours times price: at an example price of "
            f"{PRICE:.2f} a core-hour the million costs {SIZES[-1] * mean_s / 3600 * PRICE:,.2f} for "
            "extraction. Reading "
            "what hospitals sent, disks and models are not in it.",
        ]
    )


def scheduler_line(million: Found) -> tuple[float, float]:
    """Returns the scheduler's memory as a line through the second half of the long run, where its start is over."""
    series = million["million"]["figures"]["series"]
    later = [(row["done"], row["scheduler_mb"]) for row in series[len(series) // 2 :]]
    return linear(later)


def cases(costs: Found) -> str:
    """What a case takes."""
    body = []
    for name, own in costs["cases"].items():
        rising = sorted(own["seconds"])
        few = own.get("seconds_107")
        body.append(
            [
                name,
                str(len(rising)),
                *(f"{1e3 * rising[int(share * (len(rising) - 1))]:.0f}" for share in (0, 0.5, 1)),
                f"{1e3 * sum(rising) / len(rising):.0f}",
                f"{1e3 * sum(few) / len(few):.0f}" if few else "–",
                f"{own['stored_bytes'] / 1e6:.2f}",
            ]
        )
    header = [
        "cases",
        "times",
        "shortest, ms",
        "median, ms",
        "longest, ms",
        "mean, ms",
        "107 features, ms",
        "image, MB",
    ]
    return "\n\n".join(
        [
            "## What a case takes",
            "Processor time of one core by the fast engine, 1,130 features (whole CTs by the clock); "
            "stored crops (which is what `radmill "
            "extract` "
            "reads) and whole CT volumes (the extraction benchmark). The simulation draws from all of these.",
            table(header, body),
            f"A worker that has measured all of them holds {costs['worker_mb']:,.0f} MB at most.",
        ]
    )


def handing_out(found: Found) -> str:
    """Throughput and processor time by the number of workers."""
    header = ["workers", "cases a second", "driver, ms a case", "scheduler, ms a case", "driver, MB", "scheduler, MB"]
    body = [
        [
            str(row["workers"]),
            f"{row['cases_a_second']:,.0f}",
            f"{row['cpu_ms_a_case']['driver']:.2f}",
            f"{row['cpu_ms_a_case']['scheduler']:.2f}",
            f"{row['last']['driver_mb']:.0f}",
            f"{row['last']['scheduler_mb']:.0f}",
        ]
        for row in found["workers"]["figures"]
    ]
    parts = [
        "## Handing out",
        "Cases that take no time: what is left is the window, Dask's scheduler and their messages. Workers, "
        "scheduler and "
        f"driver share the {found['machine']['cores']} cores of this machine, so that cases a second are what all "
        "of them "
        "reach together; the milliseconds of processor time are what counts where workers have cores of their own.",
        table(header, body),
    ]
    if "real_time" in found:
        told = [
            f"{row['workers']} workers {row['cases_a_second']:,.0f} a second, "
            f"{row['cases_a_second'] * row['mean_case_s'] / row['workers']:.0%} of what they could"
            for row in found["real_time"]["figures"]
        ]
        parts.append(
            f"Cases that take as long as those measured: {'; '.join(told)}. The rest is waiting: for the "
            "cores that "
            "driver, scheduler and simulated workers share here, and for the way to the driver and back: a worker "
            "has one case at a time, so that nobody has to guess which of two was to blame."
        )
    return "\n\n".join(parts)


def over_the_run(million: Found) -> str:
    """Memory from the first case to the last."""
    own = million["million"]["figures"]
    rows = own["series"]
    at = list({row["done"]: row for row in (rows[0], rows[1], rows[len(rows) // 2], rows[-1])}.values())
    header = ["cases done", "driver, MB", "scheduler, MB", "cases in the scheduler", "futures in the driver"]
    body = [
        [f"{row['done']:,}", *(f"{row[name]:,.0f}" for name in
         ("driver_mb", "scheduler_mb", "tasks_in_scheduler", "futures_in_driver"))]
        for row in at
    ]  # fmt: skip
    is_whole = own["done"] == own["cases"]
    done = "All were handed out" if is_whole else f"These are the figures after {own['done']:,} of them, and no more"
    rise = scheduler_line(million)[1] * 1e6 / 1e3
    return "\n\n".join(
        [
            "## Over a long run",
            f"Begun with {own['cases']:,} cases over {own['workers']} simulated workers. {done}, in "
            f"{told_time(own['seconds'])} on a "
            f"machine that had other work to do as well (load {million['million']['load']}): "
            f"{own['cpu_ms_a_case']['driver']:.2f} ms of processor time a case in the driver and "
            f"{own['cpu_ms_a_case']['scheduler']:.2f} ms in the scheduler.",
            table(header, body),
            f"What is at work stays at the number of workers. The scheduler's memory grows by {rise:.2f} "
            "GB a million cases "
            "in the second half of the run. A look through its objects says what it is: Dask's spans keep an entry for "
            "each submission for as long as the scheduler lives, and the names of the last 100,000 tasks are "
            "remembered. A pool that radmill starts ends with its stage; restart one that runs for months.",
            "![Memory of driver and scheduler over the run](images/scaling.svg)",
        ]
    )


def tables(found: Found) -> str:
    """What the driver does with tables."""
    header = ["cases", "features", "first run, s", "again, s", "driver, MB, first / again", "training set, MB"]
    body, notes = [], []
    for features in ("107", "1130"):
        rows = found["tables"]["figures"][f"{features} features"]
        for row in rows:
            body.append(
                [
                    f"{row['cases']:,}",
                    f"{int(features):,}",
                    *(f"{row[name]['cpu_s']:.1f}" for name in ("first", "again")),
                    f"{row['first']['peak_mb']:,.0f} / {row['again']['peak_mb']:,.0f}",
                    f"{row['assemble']['peak_mb']:,.0f}",
                ]
            )
        power = exponent([(row["cases"], row["first"]["cpu_s"]) for row in rows])
        notes.append(
            f"with {int(features):,} features {per_row(rows, 'first') * 1e3:.2f} ms a case more, exponent {power:.2f}"
        )
    whole = found["tables"]["figures"]["107 features"]
    return "\n\n".join(
        [
            "## Tables",
            "Extract over tables really built, 50 centers, no image read: the values of each case are "
            "dealt out where "
            "workers would leave them. Seconds are processor time, and in the first run writing what "
            "workers leave is "
            f"among them; the machine had other work (load {found['tables']['load']}). The driver plans, "
            "hands out and "
            "writes one center after another, so that its memory follows the largest center.",
            table(header, body),
            f"From size to size: {'; '.join(notes)}, between the two largest. An exponent of 1 is a cost "
            "that grows with the "
            "cases, one of 2 would be quadratic; far below 1, what a center's file costs whatever is in "
            "it still weighs "
            "more than its rows. A million cases of 107 features would take the driver "
            f"{told_time(per_row(whole, 'first') * 1e6)}: extrapolated, not run.",
        ]
    )


def ingest(found: Found) -> str:
    """What ingest holds in memory."""
    figures = found["tables"]["figures"]
    index = [
        [f"{row['files']:,}", f"{row['bytes'] / 1e6:,.0f}", f"{row['seconds']:.1f}", f"{row['peak_mb']:,.0f}"]
        for row in figures["index"]
    ]
    rows = [
        [f"{row['cases']:,}", f"{row['rows_of_sources']:,}", f"{row['seconds']:.1f}", f"{row['peak_mb']:,.0f}"]
        for row in figures["ingest"]
    ]
    by_file = linear([(row["files"], row["peak_mb"] * 1e6) for row in figures["index"]])[1]
    by_case = linear([(row["cases"], row["peak_mb"] * 1e6) for row in figures["ingest"]])[1]
    return "\n\n".join(
        [
            "## Intake and ingest",
            "The private index of one center (a DICOM case of 100 slices is 100 files), opened and saved:",
            table(["files", "index, MB", "seconds", "memory, MB"], index),
            "The rows of all centers as ingest holds them until they are written:",
            table(["cases of 100 slices", "rows of `sources`", "seconds", "memory, MB"], rows),
            f"Here memory grows with the study: {by_file / 1e3:.1f} kB a file of a center and {by_case / 1e3:.0f} "
            "kB a case "
            f"of all centers. With {READ_GB} GB for them that is about {READ_GB * 1e9 / by_case:,.0f} DICOM cases "
            "of 100 "
            f"slices a study, and {READ_GB * 1e9 / by_file:,.0f} files a center.",
        ]
    )


def per_row(rows: list[Found], run: str) -> float:
    """Returns the processor seconds for one more case, the writing of its part among them."""
    return linear([(row["cases"], row[run]["cpu_s"]) for row in rows])[1]


def linear(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Returns a and b of y = a + b·x through the smallest and the largest size."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    slope = (y1 - y0) / (x1 - x0)
    return y0 - slope * x0, slope


def told_time(seconds_: float) -> str:
    if seconds_ < 90:
        return f"{seconds_:.0f} s"
    return f"{seconds_ / 60:.0f} min" if seconds_ < 5400 else f"{seconds_ / 3600:.1f} h"


def table(header: list[str], body: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, *body]]
    return "\n".join([lines[0], "|" + " --- |" * len(header), *lines[1:]])


def figure() -> bytes:
    """Memory of driver and scheduler over the run."""
    rows = read("scaling_million")["million"]["figures"]["series"]
    made, axes = new_axes("cases handed out", "memory, MB", width=6.0, height=3.2)
    for name, tone in (("scheduler", "external"), ("driver", "ink")):
        axes.plot([row["done"] for row in rows], [row[f"{name}_mb"] for row in rows], color=light(tone), label=name)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=FONT_PT)
    return svg_bytes(made, "scaling")
