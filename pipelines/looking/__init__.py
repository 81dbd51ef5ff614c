"""A quick look at a folder of hospitals' data, and the settings that it proposes.

Names and headers only, of the first patients of each center. What it found is shown to the person who has the data, on
the terminal; of texts that may name somebody only those that several patients share.
"""

from pipelines.looking.folders import NoDataError, find_centers
from pipelines.looking.found import SeenCenter, SeenColumn, SeenImage
from pipelines.looking.images import look_at_center
from pipelines.looking.proposing import Proposal, propose

__all__ = [
    "NoDataError",
    "Proposal",
    "SeenCenter",
    "SeenColumn",
    "SeenImage",
    "find_centers",
    "look_at_center",
    "propose",
]
