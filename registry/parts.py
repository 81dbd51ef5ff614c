"""What predicts: a package, or a member inside a fusion's package. A manifest and its arrays, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.arrays import Arrays
from registry.networks import KIND as DEEP
from registry.stacking import KIND as FUSION
from registry.stacking import member_arrays


@dataclass(frozen=True, kw_only=True)
class Part:
    """A manifest's words and the arrays they are about.

    Args:
        manifest: What `manifest.json` holds, or a fusion's manifest says of one member.
        arrays: The arrays by name, read-only.
    """

    manifest: Mapping[str, Any]
    arrays: Arrays = field(repr=False)

    @property
    def name(self) -> str:
        """The model's name in `params.yaml`."""
        return str(self.manifest["model"]["name"])

    @property
    def estimator(self) -> str:
        """`lr`, `mlp`, `rf`, `clinical`, `probability`, a network's architecture, or `stack`."""
        return str(self.manifest["model"]["estimator"])

    @property
    def is_deep(self) -> bool:
        """Whether it is a network, which sees patches and no features."""
        return bool(self.manifest["kind"] == DEEP)

    @property
    def is_fusion(self) -> bool:
        """Whether it weighs what its members say."""
        return bool(self.manifest["kind"] == FUSION)

    @property
    def activation(self) -> str:
        """The hidden layers' activation of an mlp."""
        return str(self.manifest["model"].get("activation", ""))

    @property
    def is_harmonized(self) -> bool:
        """Whether prediction needs to know the center of each row; see `registry.harmonizing`."""
        return "harmonization" in self.manifest

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the feature columns in their order."""
        return tuple(item["name"] for item in self.manifest["features"])

    @property
    def absent_member(self) -> str:
        """What a fusion does where a member says nothing: `drop` or `renormalize`."""
        return str(self.manifest["model"].get("absent_member", "drop"))

    @property
    def members(self) -> "tuple[Part, ...]":
        """The members of a fusion in the order of its weights; none of another kind."""
        told = self.manifest.get("members", ())
        return tuple(Part(manifest=one, arrays=member_arrays(self.arrays, i)) for i, one in enumerate(told))
