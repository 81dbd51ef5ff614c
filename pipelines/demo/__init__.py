"""Synthetic centers written as the files hospitals really send, with a known true effect and planted faults."""

from pipelines.demo.faults import PLANTED, Planted
from pipelines.demo.patients import TrueEffect, demo_params
from pipelines.demo.write import DemoExistsError, DemoSizeError, write_demo

__all__ = ["PLANTED", "DemoExistsError", "DemoSizeError", "Planted", "TrueEffect", "demo_params", "write_demo"]
