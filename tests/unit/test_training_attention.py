"""What is kept of where a network looks is what was seen."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from safetensors.numpy import load

from pipelines.training import deep_candidate


def test_pictures_of_attention_are_kept_in_the_order_of_their_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safetensors writes a view's memory as it lies: patients and phases would be mixed up without a word."""
    images = np.arange(3 * 2 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4).transpose(1, 0, 2, 3)  # phases lie first
    found = SimpleNamespace(images=images, maps=images[:, 0].transpose(0, 2, 1), layer="layer4")
    monkeypatch.setattr(deep_candidate, "attention", lambda *_: found)
    network = SimpleNamespace(predict=lambda _: np.array([0.9, 0.5, 0.1], dtype=np.float32))
    learned = SimpleNamespace(network=network, recipe=SimpleNamespace(phases=("early", "late")))
    kept = load(deep_candidate._gradcam_bytes(learned, np.zeros((3, 1)), np.array([1, 0, 0], dtype=np.int8)))
    assert np.array_equal(kept["images"], images)
    assert np.array_equal(kept["maps"], found.maps)
