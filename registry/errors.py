"""What can go wrong in the registry: one class a cause."""

from featurestore.errors import FaultError, InputError


class DamagedPackageError(InputError):
    """A package is not what was saved: changed, cut, forged or of an unknown format."""

    default_remedy = "get the package again from where it was made (`dvc pull` in a study); do not use this copy"


class PackageContentError(InputError):
    """What was handed over to be saved as a package breaks the package's own rules."""

    default_remedy = "correct what makes the package; nothing was written"


class WrongFeaturesError(InputError):
    """The features handed to a model are not the ones it was made for."""

    default_remedy = "extract the features with the package's own settings; `radmill score` does"


class PackageAbsentError(InputError):
    """The ledger knows the package, and its bytes are not on this machine."""

    default_remedy = "fetch it with `dvc pull`"


class UnknownVersionError(InputError):
    """No registered version answers to that name."""

    default_remedy = "`radmill models` lists the registered versions"


class MoveRefusedError(InputError):
    """The lifecycle has no such move from the version's present state."""

    default_remedy = "`radmill models` shows the state of each version"


class BrokenLedgerError(FaultError):
    """The ledger's chain does not hold."""

    default_remedy = "`radmill registry verify` names every fault; take the ledger back from git"


class CommandFailedError(FaultError):
    """git or DVC ended with an error."""

    default_remedy = (
        "the registry is as before or the same command completes it; mend what the message names and repeat"
    )


class NoRepositoryError(InputError):
    """Events are lines of a file in git, and there is no git here."""

    default_remedy = "make studies with `radmill init`, or run `git init` in the study"


class StaleCandidateError(InputError):
    """The candidate was made from another training set than the one that lies here."""

    default_remedy = "`radmill run` brings the candidate up to date; then register it"


class NoFormerChampionError(InputError):
    """There is nothing to roll back to."""

    default_remedy = "promote another version instead"
