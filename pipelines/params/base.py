"""What all sections share: frozen, and no unknown key passes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NAME = r"^[a-z0-9][a-z0-9_-]{0,40}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""A name that is safe as a folder, a column prefix and a table partition."""


class Section(BaseModel):
    """A section of `params.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
