"""The section that declares tables made elsewhere."""

from pydantic import Field

from pipelines.params.base import Name, Section

OWN_VIEWS = ("radiomics", "observers", "clinical", "acquisition", "cases", "qc", "outcomes")
"""Names of tables that radmill makes itself; an imported view may not be called so."""


class ImportedView(Section):
    """A table of features made elsewhere, as `radmill features import` declares it.

    Args:
        phases: The phases or modalities its rows belong to, under which services name its columns.
        source: The tool and version it was made with, as its own columns or the importer said.
        texts: Text columns that were kept, such as the scanner's manufacturer; models do not see them.
        is_for_models: Whether models may see its numbers; acquisition parameters, say, only describe.
    """

    phases: list[Name] = Field(min_length=1)
    source: str = ""
    texts: list[str] = []
    is_for_models: bool = True
