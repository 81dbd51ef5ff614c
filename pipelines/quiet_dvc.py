"""DVC's command line without advice that is wrong in a study: that folders are empty, and what to hand to git.

A role without centers has empty tables, which is as it should be, and `radmill run` says itself what to commit.
"""

import logging
import sys

_WRONG_HERE = ("' is empty.", "To enable auto staging", "To track the changes")


def main(arguments: list[str]) -> int:
    """Runs DVC and returns its exit code."""
    from dvc.cli import main as run

    for name in ("dvc.output", "dvc.repo.scm_context"):
        logging.getLogger(name).addFilter(_is_advice)
    return int(run(arguments))


def _is_advice(record: logging.LogRecord) -> bool:
    return not any(text in record.getMessage() for text in _WRONG_HERE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
