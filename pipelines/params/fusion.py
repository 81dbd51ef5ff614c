"""The section of models that weigh or join what other models see."""

from typing import Literal

from pydantic import Field, model_validator

from pipelines.params.base import Name, Section


class Fusion(Section):
    """Several models as one.

    Args:
        members: The models, of any kind but fusion itself.
        kind: `late` weighs what the members say, out of fold; `early` puts the members' columns into one model,
            images as components and clinical columns beside them; `tuned` takes the better by cross-validation.
        nonnegative: Whether no weight of `late` may be below 0.
        penalty: Of the squared weights of `late`, as a share of one patient's loss for each patient.
        absent_member: What becomes of a patient about whom a member says nothing: no prediction, or the others' weights
            are raised in proportion. Who trains is always known to all members.
        estimator: Of `early`.
        components: Of `early`: never more than this.
    """

    members: list[Name] = Field(min_length=2)
    kind: Literal["late", "early", "tuned"] = "late"
    nonnegative: bool = True
    penalty: float = Field(default=0.01, ge=0)
    absent_member: Literal["drop", "renormalize"] = "drop"
    estimator: Literal["lr", "rf", "mlp"] = "lr"
    components: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _named_once(self) -> "Fusion":
        doubled = sorted({name for name in self.members if self.members.count(name) > 1})
        if doubled:
            raise ValueError(f"members names {doubled[0]} twice")
        return self
