"""The command line: thin doors to one function each.

Commands are named here with their one-line help and imported only when called, so that `radmill --help` is instant.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from featurestore.errors import RadmillError
from featurestore.visible import visible

COMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (module, function, one line)
    "init": ("study", "init", "Make a study in a new folder; --demo fills it with synthetic centers."),
    "status": ("study", "status", "Where things stand, and what a run would meet."),
    "run": ("study", "run", "Bring everything up to date (dvc repro), then fill the MLflow window."),
    "intake": ("stages", "intake", "Stage: list and hash what the centers sent."),
    "ingest": ("stages", "ingest", "Stage: read images, masks and clinical tables."),
    "extract": ("stages", "extract", "Stage: compute features."),
    "gallery": ("stages", "gallery", "Stage: a page of every case's outline, to look through before training."),
    "validate": ("stages", "validate", "Stage: check the development tables."),
    "assemble": ("stages", "assemble", "Stage: freeze the training sets."),
    "tune": ("stages", "tune", "Stage: search and fit one model."),
    "train-deep": ("stages", "train_deep", "Stage: train the networks of one model on images."),
    "fuse": ("stages", "fuse", "Stage: weigh or join several models as one."),
    "shuffle": ("stages", "shuffle", "Stage: features of shuffled voxels, for the negative controls."),
    "controls": ("stages", "controls", "Stage: negative controls, searches where nothing is to be found."),
    "evaluate": ("stages", "evaluate", "Stage: judge all models on all cohorts."),
    "report": ("stages", "report", "Stage: write the study page and checklists; --paper DIR: figures and tables."),
    "compute": ("features", "compute", "Features of one image and mask as JSON."),
    "features": (
        "features",
        "features",
        "The feature store: list, describe, import, export, publish, query, compare, trace.",
    ),
    "withdraw": ("lineage", "withdraw", "Take a patient out of every table, set and model record."),
    "models": ("models", "models", "Candidates and registered versions; diff compares two."),
    "register": ("models", "register", "Register a candidate model."),
    "promote": ("models", "promote", "Make a registered version the champion, through its gates."),
    "challenge": ("models", "challenge", "Let a version score beside the champion, in its shadow."),
    "stand-down": ("models", "stand_down", "End the challenge."),
    "rollback": ("models", "rollback", "Return to the champion before."),
    "retire": ("models", "retire", "Take a version out of use."),
    "export": ("models", "export", "Write a version into one file, to be carried to a hospital."),
    "registry": ("registry", "registry", "Verify the ledger, rebuild the MLflow window."),
    "mirror": ("models", "mirror", "Fill the MLflow window from ledger, packages and histories."),
    "score": ("scoring", "score", "Score the new cases of incoming hospitals, once each."),
    "center": ("hospitals", "center", "Hospitals one by one: freeze, admit to the study, read a summary."),
    "recalibrate": ("hospitals", "recalibrate", "A new version, recalibrated on a hospital's labelled cases."),
    "schedule": ("schedule", "schedule", "Score at set times: print or install for systemd, cron, Kubernetes."),
    "ui": ("study", "ui", "Open the MLflow UI and name the pages."),
    "doctor": ("study", "doctor", "Are this machine and this study fit? --fix mends what is safe."),
    "upgrade": ("study", "upgrade", "Show what a new feature-set version would recompute, and pin it."),
    "key": ("study", "key", "The centers' pseudonym keys: show, create, import."),
}
UNEXPECTED = 3


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called.

    Args:
        lazy: By name the command's module, its function and one line of help.
        attributes: What any group takes.
    """

    def __init__(self, *, lazy: Mapping[str, tuple[str, str, str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands in the order of a study's life."""
        return [*self.lazy, *(name for name in super().list_commands(ctx) if name not in self.lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns one command."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, function, _ = self.lazy[cmd_name]
        command: click.Command = getattr(import_module(f"pipelines.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing any."""
        own = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*((name, text) for name, (_, _, text) in self.lazy.items()), *own])


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="radmill")
def radmill() -> None:
    """Feature store and model registry for multi-center radiomics.

    \b
    A new study:     radmill init my-study; put center folders into my-study/data/raw
    Look first:      radmill status
    Build it all:    radmill run
    Decide:          radmill register; radmill promote
    New hospitals:   radmill score

    Exit codes: 0 done; 1 done, but some cases were refused or failed; 2 wrong input, nothing written; 3 a fault.
    """  # noqa: D301  click reads the character


def main() -> None:
    """Runs the command line and turns every error into a message and an exit code."""
    try:
        code = radmill.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; what was finished is kept, and the same command goes on from there", err=True)
        sys.exit(UNEXPECTED)
    except RadmillError as error:
        click.echo(f"radmill: {visible(str(error))}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("RADMILL_TRACE"):
            raise
        told = import_module("pipelines.ingest.pseudonyms").without_identity(str(error), ())
        click.echo(f"radmill: unforeseen {type(error).__name__}: {visible(told)}", err=True)
        click.echo("  remedy: set RADMILL_TRACE=1 to see where, and please report it", err=True)
        sys.exit(UNEXPECTED)
    sys.exit(code if isinstance(code, int) else 0)
