"""A network is its arrays: packed, built again and asked, it says the same to the last bit; training is repeatable."""

import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from featurestore.fingerprints import file_digest
from pipelines.models import resnet_training
from pipelines.models.augmentation import AugmentationRules, varied
from pipelines.models.checkpoints import Checkpoint, Snapshot
from pipelines.models.gradcam import attention, grad_cam
from pipelines.models.patches import Recipe
from pipelines.models.resnet import (
    Network,
    NetworkSpec,
    NoDeepError,
    NoDeviceError,
    WrongNetworkError,
    device_of,
    golden_patches,
    network_from,
    shapes_of,
)
from pipelines.models.resnet_training import Lesson, OneClassError, Trained, TrainingRules, train
from pipelines.models.weights import WrongWeightsError, read_weights

SHAPES = {2: (3, 16, 16), 3: (2, 16, 16, 16)}
RULES = TrainingRules(
    epochs=2, patience=5, batch=4, learning_rate=1e-3, weight_decay=1e-2, image_channels=(0, 1), threads=1
)


def spec(dims: int, architecture: str = "resnet10", width: float = 0.125) -> NetworkSpec:
    return NetworkSpec(architecture=architecture, spatial_dims=dims, channels=SHAPES[dims][0], width=width)


def lesson(dims: int, n: int = 8) -> Lesson:
    y = (np.arange(n) % 2).astype(np.int8)
    patches = golden_patches(3, n, SHAPES[dims])
    return Lesson(patches=patches + y.reshape(-1, *(1,) * (dims + 1)), y=y)


def network(dims: int) -> Network:
    trained = train(spec(dims), RULES, lesson(dims), seed=1)
    return Network(spec=spec(dims), shape=SHAPES[dims], state=trained.state, coefficients=np.array([0.25, 1.5]))


def manifest(made: Network) -> dict[str, Any]:
    return {"name": "deep", "network": {"spec": made.spec.plain(), "shape": list(made.shape)}}


def same(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(first[k].tobytes() == second[k].tobytes() for k in first)


@pytest.fixture(scope="module", params=[2, 3], ids=["25d", "3d"])
def made(request: pytest.FixtureRequest) -> Network:
    return network(request.param)


def test_built_again_it_says_the_same_to_the_last_bit(made: Network) -> None:
    from safetensors.numpy import load, save

    arrays = load(save(made.to_arrays()))
    assert {name.split(".")[0] for name in arrays} == {"net", "calibration"}
    again = network_from(manifest(made), arrays, made.golden())
    patches = golden_patches(9, 5, made.shape)
    np.testing.assert_array_equal(again.predict(patches), made.predict(patches))
    assert len(set(made.predict(patches).tolist())) == 5


def test_a_case_alone_has_the_bits_it_has_among_others(made: Network) -> None:
    patches = golden_patches(9, 6, made.shape)
    alone = np.concatenate([made.predict(patches[i : i + 1]) for i in range(6)])
    np.testing.assert_array_equal(made.predict(patches), alone)


def test_a_changed_tensor_is_noticed(made: Network) -> None:
    arrays = made.to_arrays()
    name = "net.layer2.0.conv1.weight"
    for harm, complaint in (
        ({name: arrays[name] + 1}, "golden patches give"),
        ({name: arrays[name][:, 1:]}, rf"{name.removeprefix('net.')} has shape"),
        ({"net.more": arrays[name]}, "no tensor more"),
    ):
        with pytest.raises(WrongNetworkError, match=complaint):
            network_from(manifest(made), arrays | harm, made.golden())
    with pytest.raises(WrongNetworkError, match=r"conv1\.weight .* is missing"):
        network_from(manifest(made), {k: a for k, a in arrays.items() if k != "net.conv1.weight"})


def test_patches_of_another_shape_are_refused(made: Network) -> None:
    with pytest.raises(WrongNetworkError, match="the network sees"):
        made.predict(golden_patches(1, 1, made.shape)[:, 1:])


def test_the_seed_decides_every_bit() -> None:
    first, again, other = (train(spec(2), RULES, lesson(2), seed=seed) for seed in (1, 1, 2))
    assert same(first.state, again.state)
    assert first.history == again.history
    assert not same(first.state, other.state)


def test_training_leaves_the_settings_and_random_numbers_of_torch_alone() -> None:
    import torch

    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    train(spec(2), RULES, lesson(2), seed=1)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert torch.rand(1) == wanted


@pytest.mark.parametrize("dims", [2, 3], ids=["25d", "3d"])
def test_a_resnet50_takes_a_step_and_goes_on_from_its_checkpoint(
    dims: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In full width (the cube in half, to be quick); what follows has the bits of an undisturbed training."""
    monkeypatch.setattr(resnet_training, "CHECKPOINT_EVERY_S", 0.0)
    full, own = spec(dims, "resnet50", 1.0 if dims == 2 else 0.5), replace(RULES, batch=2)
    sides = (2, 32, 32) if dims == 2 else (2, 16, 16, 16)
    pair = Lesson(patches=golden_patches(3, 2, sides), y=np.array([0, 1], np.int8))
    full = replace(full, channels=2)
    stopped = Checkpoint(tmp_path / "epoch.safetensors", "context")
    first = train(full, own, pair, seed=1, n_epochs=1, checkpoint=stopped)
    monkeypatch.undo()
    assert first.state["layer4.2.conv3.weight"].shape[0] == int(2048 * full.width)
    resumed = train(full, own, pair, seed=1, checkpoint=stopped)
    undisturbed = train(full, own, pair, seed=1)
    assert same(resumed.state, undisturbed.state)
    assert resumed.history == undisturbed.history
    assert first.history == undisturbed.history[:1]


def test_a_checkpoint_of_another_training_or_half_a_file_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    Checkpoint(path, "one").write(Snapshot(tensors={"a": np.ones(2)}, note={"best": 1}))
    found = Checkpoint(path, "one").read()
    assert found is not None
    assert found.note == {"best": 1}
    assert Checkpoint(path, "two").read() is None
    path.write_bytes(path.read_bytes()[:-3])
    assert Checkpoint(path, "one").read() is None


Scripted = Callable[[list[float]], Trained]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Trains with the given areas on an inner validation part of 40 patients."""

    def run(areas: list[float]) -> Trained:
        told = iter(areas)
        monkeypatch.setattr(
            resnet_training._Course,
            "_validate",
            lambda _self: {"validation_loss": 1.0, "validation_auc": next(told)},
        )
        y = (np.arange(40) % 2).astype(np.int8)
        rules = replace(RULES, epochs=len(areas), patience=3)
        return train(spec(2), rules, replace(lesson(2), validation_y=y, validation_patches=np.empty(0)), seed=1)

    return run


def test_learning_ends_when_the_network_is_clearly_worse(scripted: Scripted) -> None:
    trained = scripted([0.6, 0.9, 0.95, 0.95, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4])
    assert trained.best == 3
    assert len(trained.history) == 7


def test_areas_that_differ_by_chance_do_not_end_it(scripted: Scripted) -> None:
    trained = scripted([0.5, 0.7, 0.66, 0.7, 0.64, 0.68, 0.65, 0.66])
    assert trained.best == 7


def test_patients_of_one_label_teach_nothing() -> None:
    with pytest.raises(OneClassError, match="8 patients, all with label 1"):
        train(spec(2), RULES, replace(lesson(2), y=np.ones(8, np.int8)), seed=1)


def test_an_inner_part_of_one_label_ends_nothing() -> None:
    inner = replace(lesson(2), validation_patches=lesson(2).patches[:2], validation_y=np.ones(2, np.int8))
    trained = train(spec(2), RULES, inner, seed=1)
    assert trained.best == 1
    assert trained.history[0]["validation_auc"] is None


def test_without_the_libraries_it_is_said_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hospital that scores a network's package needs them, and reads no traceback."""
    made = network(2)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NoDeepError, match=r"torch is not installed\n  remedy: .*radmill\[deep\]"):
        replace(made).predict(golden_patches(1, 1, made.shape))
    with pytest.raises(NoDeepError):
        train(spec(2), RULES, lesson(2), seed=1)


def test_a_gpu_that_is_not_there_is_not_used() -> None:
    import torch

    if torch.cuda.is_available():
        assert device_of("auto") == "cuda"
        return
    assert device_of("auto") == "cpu"
    with pytest.raises(NoDeviceError, match="device: cuda"):
        device_of("cuda")


def weights_file(path: Path, tensors: Mapping[str, np.ndarray], wrapped: str = "") -> str:
    import torch
    from safetensors.numpy import save_file

    if path.suffix == ".safetensors":
        save_file(dict(tensors), path)
    else:
        state = {f"module.{name}": torch.from_numpy(array.copy()) for name, array in tensors.items()}
        torch.save({wrapped: state} if wrapped else state, path)
    return file_digest(path)


@pytest.mark.parametrize(("name", "wrapped"), [("w.safetensors", ""), ("w.pt", ""), ("w.pth", "state_dict")])
def test_own_weights_are_what_training_starts_from(tmp_path: Path, name: str, wrapped: str) -> None:
    state = network(2).state
    sha256 = weights_file(tmp_path / name, state, wrapped)
    start = read_weights(tmp_path / name, sha256, spec(2))
    assert same(start, {key: array for key, array in state.items() if not key.startswith("fc.")})
    still = replace(RULES, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    begun = train(spec(2), still, lesson(2), seed=4, start=start)
    np.testing.assert_allclose(begun.state["layer4.0.conv2.weight"], state["layer4.0.conv2.weight"], atol=1e-9)


def test_a_first_layer_for_other_channels_answers_the_same_to_the_same_image_in_all(tmp_path: Path) -> None:
    state = dict(network(2).state)
    sha256 = weights_file(tmp_path / "w.safetensors", state)
    start = read_weights(tmp_path / "w.safetensors", sha256, replace(spec(2), channels=9))
    assert start["conv1.weight"].shape[1] == 9
    np.testing.assert_allclose(start["conv1.weight"].sum(axis=1), state["conv1.weight"].sum(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (spec(2, "resnet18"), r"tensor layer1\.1\.conv1\.weight \(8, 8, 3, 3\) is missing"),
        (spec(3), r"tensor conv1\.weight has shape \(8, 3, 7, 7\), the network needs \(8, 2, 7, 7, 7\)"),
        (
            spec(2, "resnet50"),
            r"tensor layer1\.0\.conv1\.weight has shape \(8, 8, 3, 3\), the network needs \(8, 8, 1, 1\)",
        ),
        (spec(2, width=0.25), r"tensor conv1\.weight has shape \(8, 3, 7, 7\), the network needs \(16, 3, 7, 7\)"),
    ],
    ids=["deeper", "3d", "bottleneck", "wider"],
)
def test_weights_of_another_architecture_are_refused(tmp_path: Path, asked: NetworkSpec, complaint: str) -> None:
    sha256 = weights_file(tmp_path / "w.safetensors", network(2).state)
    with pytest.raises(WrongWeightsError, match=complaint):
        read_weights(tmp_path / "w.safetensors", sha256, asked)


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(pickle.dumps({"a": Path("x")}))
    with pytest.raises(WrongWeightsError, match="not a file of plain tensors"):
        read_weights(path, file_digest(path), spec(2))
    with pytest.raises(WrongWeightsError, match="its SHA-256 is"):
        read_weights(path, "0" * 64, spec(2))
    with pytest.raises(WrongWeightsError, match="no such file"):
        read_weights(tmp_path / "none.pt", "0" * 64, spec(2))


def test_pickled_code_in_weights_is_not_run(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "w.pt"
    torch.save({"conv1.weight": torch.zeros(1), "run": _Trap(tmp_path / "ran")}, path)
    with pytest.raises(WrongWeightsError, match="it holds more than tensors"):
        read_weights(path, file_digest(path), spec(2))
    assert not (tmp_path / "ran").exists()


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("dims", [2, 3])
def test_varied_patches_move_all_channels_together_and_leave_blanks_blank(dims: int) -> None:
    import torch

    batch = torch.zeros((4, 2, *(16,) * dims))
    batch[(slice(None), slice(None), *(slice(5, 9),) * dims)] = 1.0
    rules = AugmentationRules(rotation_degrees=0.0, shift=0.1, intensity=0.3)
    first, again = (varied(batch, rules, (0,), np.random.default_rng(2)).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0] != 0, first[:, 1] != 0)
    assert first[:, 1].max() <= 1.0 + 1e-6
    assert len({round(float(image.max()), 6) for image in first[:, 0]}) == 4
    none = AugmentationRules(flips=False, rotation_degrees=0.0, shift=0.0, intensity=0.0)
    np.testing.assert_allclose(varied(batch, none, (0,), np.random.default_rng(2)).numpy(), batch.numpy(), atol=1e-5)


def test_the_network_is_found_looking_where_the_signal_is() -> None:
    """A network that learned one bright corner is lit there, and not in the other."""
    n = 24
    y = (np.arange(n) % 2).astype(np.int8)
    patches = golden_patches(5, n, (1, 32, 32)) * np.float32(0.2)
    patches[y == 1, :, 4:12, 4:12] += 1.5
    plain = AugmentationRules(flips=False, rotation_degrees=0, shift=0, intensity=0)
    rules = replace(RULES, epochs=12, batch=12, augmentation=plain, image_channels=(0,))
    own = NetworkSpec(architecture="resnet10", spatial_dims=2, channels=1, width=0.25)
    trained = train(own, rules, Lesson(patches=patches, y=y), seed=3)
    made = Network(spec=own, shape=(1, 32, 32), state=trained.state)
    layer, maps = grad_cam(made, patches[y == 1])
    assert layer == "layer1"
    assert maps.shape == (12, 32, 32)
    assert maps[:, :16, :16].mean() > 2 * maps[:, 16:, 16:].mean()
    recipe = Recipe(dims="25d", size=32, spacing_mm=1.0, phases=("a",), windows={}, roi="none")
    seen = attention(made, patches[:3], recipe)
    assert (seen.images.shape, seen.maps.shape, seen.images.dtype) == ((3, 1, 32, 32), (3, 32, 32), np.dtype(np.uint8))


def test_pictures_of_a_cube_are_its_middle_slice() -> None:
    recipe = Recipe(dims="3d", size=16, spacing_mm=1.0, phases=("a", "b"), windows={}, roi="none")
    made = network(3)
    patches = golden_patches(1, 2, made.shape)
    seen = attention(made, patches, recipe)
    assert seen.images.shape == (2, 2, 16, 16)
    wanted = np.rint(np.clip((patches[:, :, 8] + 1) / 2, 0, 1) * 255)
    np.testing.assert_array_equal(seen.images, wanted)


def test_shapes_are_known_without_drawing_weights() -> None:
    assert shapes_of(NetworkSpec(architecture="resnet101", spatial_dims=3, channels=9))["fc.weight"] == (1, 2048)
