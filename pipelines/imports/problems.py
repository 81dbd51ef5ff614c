"""What can be wrong with a table made elsewhere, one class a cause."""

from featurestore.errors import InputError


class TableUnreadableError(InputError):
    """The file is no table that radmill reads."""

    default_remedy = "give a CSV (also gzipped), TSV, Parquet or Excel file"


class ColumnMissingError(InputError):
    """A column that was named is not in the table."""

    default_remedy = "name one of the columns that are there"


class HeaderDoubledError(InputError):
    """Two columns have the same name."""

    default_remedy = "rename or remove one of them"


class NotNumbersError(InputError):
    """A column of numbers has cells that are none."""

    default_remedy = (
        "correct the cells, say with --missing that they stand for no value, leave the column out with "
        "--drop, or keep it as text with --text"
    )


class IdDoubledError(InputError):
    """A patient has two different rows in one phase."""

    default_remedy = (
        "several lesions: --largest COLUMN (a volume) keeps each patient's largest; several phases: --phase-column or "
        "--phase-prefix tells them apart; else remove one of the rows"
    )


class NothingToImportError(InputError):
    """No row or no feature is left."""

    default_remedy = "see what was left out above, and the options --columns, --drop and --id"


class LabelValueError(InputError):
    """The label column has values that the settings do not declare."""

    default_remedy = "correct them, or declare them under label.positive or label.negative in params.yaml"


class CenterUnknownError(InputError):
    """The table names a center that the settings do not have."""

    default_remedy = "declare it under centers in params.yaml, or say --role development (or external) to add it"


class SchemaChangedError(InputError):
    """The view's rows of other centers have other columns."""

    default_remedy = (
        "leave new columns out with --drop, import under another --view name, or import all centers anew alike"
    )


class RulesChangedError(InputError):
    """The cohort's rules of today would exclude patients that were imported before."""

    default_remedy = "import the table again, which applies the rules"
