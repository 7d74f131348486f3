"""A fitted estimator on disk and back, without pickle, and weights that others start from."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmark.registry import METHODS, NETWORKS, load_plugins
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from methods import DDC, DEC, IDEC, SEC, AEKMeans, KMeans
from methods.parts.vector_networks import Dense, VectorNetwork
from tests.support.checkout import ROOT

load_plugins()
IMAGES = np.random.default_rng(0).random((60, 1, 24, 24), dtype=np.float32)
FLAT = IMAGES.reshape(60, -1)[:, :36]
NARROW = "narrow-kept"


@pytest.fixture(autouse=True, scope="module")
def narrow_network():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS._entries, NARROW, VectorNetwork((Dense("layer1", 8), Dense("layer2", 8)), hidden=8))
        yield


def made(kind: Any, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"epochs": 2, "pretrain_epochs": 1, "batch_size": 20, **changes}
    if issubclass(kind, AEKMeans | DEC):
        arguments = {"network": NARROW, "initialisation": "glorot", **arguments}
    return kind(3, **arguments)


def samples_for(kind: Any) -> np.ndarray:
    return IMAGES if kind in (DDC, METHODS["ddc-uco-t"], METHODS["dcec"]) else FLAT


KINDS = [KMeans, SEC, AEKMeans, DEC, IDEC, DDC, METHODS["ddc-uco-t"]]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@every_kind
def test_what_was_saved_is_what_is_loaded(kind, tmp_path):
    x = samples_for(kind)
    fitted = made(kind, random_state=4, protocol=kind.default_protocol).fit(x)
    fitted.save(tmp_path / "kept.safetensors")
    loaded = kind.load(tmp_path / "kept.safetensors")
    assert type(loaded) is kind and loaded.get_params() == fitted.get_params()
    for name in ("labels_", "embedding_", "cluster_centers_"):
        if hasattr(fitted, name):
            assert getattr(loaded, name).tobytes() == getattr(fitted, name).tobytes()
            assert getattr(loaded, name).dtype == getattr(fitted, name).dtype
    for call in ("predict", "predict_proba", "transform"):
        assert hasattr(loaded, call) == hasattr(fitted, call)
        if hasattr(fitted, call):
            assert getattr(loaded, call)(x).tobytes() == getattr(fitted, call)(x).tobytes()
    assert loaded.outcome_ == fitted.outcome_ and loaded.history_.equals(fitted.history_)
    assert (loaded.n_features_in_, loaded.sample_shape_) == (fitted.n_features_in_, fitted.sample_shape_)
    assert list(tmp_path.iterdir()) == [tmp_path / "kept.safetensors"]


def test_a_file_is_loaded_in_another_process_and_by_any_base_class(tmp_path):
    fitted = made(KMeans).fit(FLAT)
    fitted.save(tmp_path / "kept")
    script = "import sys, methods; from benchmark.training import Clusterer\n"
    script += "print(type(Clusterer.load(sys.argv[1])).__name__, *Clusterer.load(sys.argv[1]).labels_)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "kept")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["KMeans", *map(str, fitted.labels_)]


def test_streams_and_protocols_survive_and_generators_do_not(tmp_path):
    protocol = Protocol(phases={"train": DDC.default_protocol.phases["train"].model_copy(update={"batch_size": 20})})
    protocol.phases["train"] = protocol.phases["train"].model_copy(update={"budget": Budget(amount=1)})
    for given, kept in ((Streams("digits", 2), Streams("digits", 2)), (np.random.default_rng(0), None)):
        DDC(3, protocol=protocol, random_state=given).fit(IMAGES).save(tmp_path / "kept")
        loaded = DDC.load(tmp_path / "kept")
        assert (loaded.random_state, loaded.protocol) == (kept, protocol)


def test_the_file_is_tensors_and_json(tmp_path):
    made(DDC).fit(IMAGES).save(tmp_path / "kept")
    with safe_open(tmp_path / "kept", framework="np") as file:
        told = json.loads(file.metadata()["estimator"])
        assert "array/labels_" in file.keys()  # noqa: SIM118
    assert told["method"] == "ddc" and told["params"]["n_clusters"] == 3


def test_a_network_that_is_a_function_is_not_saved_and_a_registered_one_is(tmp_path, monkeypatch):
    def network(shape: tuple[int, ...]) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(576, 8))

    with pytest.raises(ValueError, match="register_network"):
        made(DDC, network=network).fit(IMAGES).save(tmp_path / "kept")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(NETWORKS._entries, "mine", network)
    fitted = made(DDC, network="mine").fit(IMAGES)
    fitted.save(tmp_path / "kept")
    assert DDC.load(tmp_path / "kept").predict(IMAGES).tolist() == fitted.predict(IMAGES).tolist()


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"format": "reclust estimator 1"}))


def write_other(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def write_short(path: Path) -> None:
    made(DDC).fit(IMAGES).save(path)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("write", [write_pickle, write_other, write_short, lambda path: path.write_text("")])
def test_a_file_that_is_none_is_refused_in_one_sentence(write, tmp_path):
    write(tmp_path / "kept")
    with pytest.raises(ValueError, match="no file that an estimator of this version saved"):
        DDC.load(tmp_path / "kept")


def test_a_file_that_lacks_a_weight_or_a_field_is_refused_in_one_sentence(tmp_path):
    made(DDC).fit(IMAGES).save(tmp_path / "kept")
    with safe_open(tmp_path / "kept", framework="pt") as file:
        told, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    fewer = {name: value for name, value in tensors.items() if "head" not in name}
    without = {"estimator": json.dumps({n: v for n, v in json.loads(told["estimator"]).items() if n != "outcome"})}
    for kept, header in ((fewer, told), (tensors, without)):
        save_file(kept, tmp_path / "kept", header)
        with pytest.raises(ValueError, match="does not hold what a DDC of this version needs") as caught:
            DDC.load(tmp_path / "kept")
        assert "\n" not in str(caught.value)


def test_a_file_of_another_method_is_refused_by_its_name(tmp_path):
    made(KMeans).fit(FLAT).save(tmp_path / "kept")
    with pytest.raises(ValueError, match="holds a KMeans, no DDC"):
        DDC.load(tmp_path / "kept")
    with pytest.raises(FileNotFoundError):
        DDC.load(tmp_path / "none")


def test_saving_before_a_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        DDC(3).save(tmp_path / "kept")


def test_weights_of_a_pretraining_in_any_form_give_what_the_whole_fit_gives(tmp_path):
    whole = made(IDEC, pretrain_epochs=2).fit(FLAT)
    start = made(AEKMeans, pretrain_epochs=2).fit(FLAT)
    start.save(tmp_path / "saved")
    save_file(start.model_.state_dict(), tmp_path / "bare")
    state = start.model_.state_dict()
    for given in (start, start.model_, state, {n: v.numpy() for n, v in state.items()}, tmp_path / "saved",
                  str(tmp_path / "bare")):  # fmt: skip
        assert made(IDEC, pretrained=given).fit(FLAT).embedding_.tobytes() == whole.embedding_.tobytes()
    assert load_file(tmp_path / "bare").keys() == state.keys()


def test_a_method_without_a_pretraining_goes_on_from_the_weights_of_a_fit():
    first = made(DDC).fit(IMAGES)
    second = made(DDC, pretrained=first).fit(IMAGES)
    start, end = first.outcome_.final_loss, second.history_["loss"].iloc[0]
    assert end == pytest.approx(start, rel=1e-4)
    assert made(DDC).fit(IMAGES).history_["loss"].iloc[0] != pytest.approx(start, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (IDEC, lambda: KMeans(3), "KMeans has no fitted network"),
        (IDEC, lambda: made(DDC).fit(IMAGES), "the network has no"),
        (IDEC, lambda: "nowhere", "there is no file nowhere"),
        (IDEC, lambda: ROOT / "README.md", "pickles are not read"),
        (IDEC, lambda: 3, "3 holds no weights"),
        (DEC, lambda: made(DEC).set_params(n_clusters=4).fit(FLAT), "another number of clusters"),
        (KMeans, lambda: made(DEC).fit(FLAT), "trains no network"),
    ],
    ids=["no network", "another network", "no file", "another file", "nothing", "another shape", "k-means"],
)
def test_weights_that_do_not_fit_are_refused_in_one_sentence(kind, given, words):
    with pytest.raises(ValueError, match=words) as caught:
        made(kind, pretrained=given()).fit(FLAT)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
