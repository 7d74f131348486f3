"""The digest of the code that decides numbers: what it sees of a toy package, and what it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmark.errors import UsageError
from benchmark.provenance.code import HARNESS, METHOD_MEMBERS, Root, code_digest, reached, run_code_digest
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import DataSpec, Protocol, RunSpec
from tests.support.checkout import ROOT

HOME = ROOT
PLANTS = HOME / "tests" / "support" / "plants"

GOLDEN = {"Oak": "6a58a67a47adb76c", "Elm": "c18da3f593324385"}

MOSS = "aa253a88739d6056"

Digest = Callable[..., str]

load_plugins()

ASK = """
from benchmark.provenance.code import Root, code_digest
print(code_digest([Root("plants.tree", {name!r}, ("grow",))]))
"""

OWN_FIT = """
from benchmark.training.estimator import Clusterer


class Own(Clusterer):
    def fitting(self, X, *, lengths=None, run=None):
        return helper(X)


def helper(x):
    return 3 * x
"""

ASK_OF_A_RUN = """
from benchmark.provenance.code import FIT_MEMBERS, HARNESS, METHOD_MEMBERS, Root, code_digest
print(code_digest([*HARNESS, Root("own_fit", {name!r}, METHOD_MEMBERS, replaced=FIT_MEMBERS)]))
"""


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    """Return a function that asks a new process about the package plants, with texts replaced in its files."""

    def asked(changes: Mapping[str, tuple[str, str]] | None = None, name: str = "Oak", ask: str = ASK) -> str:
        package = tmp_path / "plants"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(PLANTS, package)
        for file, (old, new) in (changes or {}).items():
            path = package / file
            text = path.read_text() if path.exists() else ""
            assert old in text, f"{file} has no {old!r}"
            path.write_text(text.replace(old, new) if old else text + new)
        done = subprocess.run(
            [sys.executable, "-c", ask.format(name=name)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(HOME), str(tmp_path)))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return asked


@pytest.mark.parametrize("name", GOLDEN)
def test_digests_of_the_toy_package_are_the_golden_ones(digest: Digest, name: str) -> None:
    assert digest(name=name) == GOLDEN[name]


SEEN = {
    "statement": {"tree.py": ("trunk + self", "trunk - self")},
    "helper function": {"tree.py": ("math.sqrt(age)", "math.log(age)")},
    "constant": {"tree.py": ("RINGS = 3", "RINGS = 5")},
    "default": {"tree.py": ("slow: bool = False", "slow: bool = True")},
    "decorator": {"tree.py": ("@dataclass(frozen=True)", "@dataclass(frozen=True, order=True)")},
    "new decorator": {"tree.py": ("def width", "@double\ndef width")},
    "class attribute that is read": {"tree.py": ("leaves = 7", "leaves = 8")},
    "default of a field that is read": {"tree.py": ("depth: float = 1.5", "depth: float = 2.5")},
    "type of a field that is read": {"tree.py": ("depth: float", "depth: int")},
    "method of another class": {"tree.py": ("self.depth * FLOW", "self.depth + FLOW")},
    "base class member": {"base.py": ("self._seasons(years)", "self._seasons(2 * years)")},
    "base class member that another one reaches": {"base.py": ("years * SEASONS", "years + SEASONS")},
    "constant of the base class's file": {"base.py": ("SEASONS = 4", "SEASONS = 2")},
    "bases": {"tree.py": ("class Oak(Plant)", "class Oak(Plant, Soil)")},
    "override of a base class member": {
        "tree.py": ("def _prune", "def _seasons(self, years):\n        return 1\n\n    def _prune")
    },
    "constant in a second file": {"leaf.py": ("AREA = 2.0", "AREA = 3.0")},
    "constant in a sub-package": {"roots/deep.py": ("FLOW = 0.25", "FLOW = 0.5")},
    "function behind a face": {"roots/thirst.py": ("amount / 2", "amount / 3")},
    "function imported within a function": {"roots/deep.py": ("years / 10", "years / 20")},
    "import swapped for another function of that name": {"roots/__init__.py": ("plants.roots.thirst", "plants.weeds")},
    "import of another library": {"tree.py": ("import math", "import cmath as math")},
    "statement that runs on import": {"leaf.py": ("", "\nprint(AREA)\n")},
    "attribute set on import": {"tree.py": ("", "\nOak.leaves = 9\n")},
    "value of an argument": {"tree.py": ("slow=True", "slow=False")},
}

UNSEEN = {
    "comment": {"tree.py": ("# centimetres", "# inches")},
    "docstring of the module": {"tree.py": ('"""Trees: a toy', '"""Trees: the toy')},
    "docstring of a class": {"tree.py": ('"""An oak."""', '"""The oak."""')},
    "docstring of a function": {"tree.py": ("The result is a height.", "The result is high.")},
    "format": {"tree.py": ("math.sqrt(age) * RINGS", "(\n        math.sqrt(age)\n        * RINGS\n    )")},
    "the same number": {"leaf.py": ("AREA = 2.0", "AREA = 2.00")},
    "annotation of an argument": {"tree.py": ("age: float, slow: bool", "age: int, slow")},
    "annotation of a result": {"tree.py": ("shade: Shade | None = None) -> float:", "shade: Shade | None = None):")},
    "import for types": {"tree.py": ("import Shade", "import Shade as Shade")},
    "unrelated function": {"tree.py": ("age * UNUSED", "age / UNUSED")},
    "unrelated constant": {"tree.py": ("UNUSED = 4", "UNUSED = 5")},
    "new unrelated function": {"tree.py": ("", "\n\ndef bark():\n    return 1\n")},
    "new unrelated module": {"bark.py": ("", "ROUGH = 1\n")},
    "class attribute that is not read": {"tree.py": ('label = "an oak"', 'label = "the oak"')},
    "member that is not reached": {"tree.py": ("return 0.5", "return 0.75")},
    "field that is not read": {"tree.py": ('colour: str = "brown"', 'colour: str = "black"')},
    "method of another class that is not reached": {"tree.py": ("return 9.0", "return 8.0")},
    "convenience added to a base class": {
        "base.py": ("    def describe", "    def save(self, path):\n        return path\n\n    def describe")
    },
    "parameter added to a base class": {"base.py": ("    def age", "    verbose: int = 0\n\n    def age")},
    "base class member that is not reached": {"base.py": ('spread("words")', 'spread("more words")')},
    "other registered class": {"tree.py": ("        return years\n", "        return years + 1\n")},
    "name under which it is registered": {"tree.py": ('@register_tree("oak")', '@register_tree("quercus")')},
    "other function of the same name": {"weeds.py": ("return 0.0", "return 1.0")},
    "order of definitions": {"tree.py": ("RINGS = 3\nUNUSED = 4", "UNUSED = 4\nRINGS = 3")},
    "import in another form": {"tree.py": ("from plants import leaf", "import plants.leaf as leaf")},
}


@pytest.mark.parametrize("change", SEEN)
def test_the_digest_changes_with_code_that_decides_numbers(digest: Digest, change: str) -> None:
    assert digest(SEEN[change]) != GOLDEN["Oak"]


@pytest.mark.parametrize("change", UNSEEN)
def test_the_digest_does_not_see_what_cannot_change_numbers(digest: Digest, change: str) -> None:
    assert digest(UNSEEN[change]) == GOLDEN["Oak"]


def test_a_member_that_takes_the_place_of_a_base_class_s_counts_as_called(digest: Digest) -> None:
    ask = ASK.replace('("grow",))', '("grow",), replaced=("_prune",))')
    changed = {"tree.py": ("return 0.5", "return 0.75")}
    assert digest(changed) == digest() and digest(changed, ask=ask) != digest(ask=ask)


def test_a_method_s_own_fitting_counts_for_its_runs(tmp_path: Path, digest: Digest) -> None:
    home = tmp_path / "own_fit.py"
    home.write_text(OWN_FIT)
    before = digest(name="Own", ask=ASK_OF_A_RUN)
    home.write_text(OWN_FIT.replace("return 3 * x", "return 4 * x"))
    assert digest(name="Own", ask=ASK_OF_A_RUN) != before


def test_the_digest_does_not_see_that_modules_are_moved_and_renamed(digest: Digest) -> None:
    assert (
        digest(
            {
                "tree.py": ("plants.roots.deep", "plants.sap"),
                "sap.py": ("", (PLANTS / "roots" / "deep.py").read_text()),
                "roots/deep.py": ("FLOW = 0.25", "FLOW = 99"),
            }
        )
        == GOLDEN["Oak"]
    )


def test_a_module_beside_that_of_a_plug_in_counts_as_its_code(tmp_path: Path, digest: Digest) -> None:
    (tmp_path / "birch.py").write_text(
        "from bark import peel\n\n\nclass Birch:\n    def grow(self, years):\n        return peel(years)\n"
    )
    ask = ASK.replace("plants.tree", "birch")
    (tmp_path / "bark.py").write_text("def peel(years):\n    return years\n")
    before = digest(name="Birch", ask=ask)
    (tmp_path / "bark.py").write_text("def peel(years):\n    return 2 * years\n")
    assert digest(name="Birch", ask=ask) != before


def test_the_digest_is_the_same_in_all_versions_of_python(tmp_path: Path, digest: Digest) -> None:
    # Made with Python 3.11. Versions differ in ast.dump, in the fields of nodes and in how they parse f-strings.
    (tmp_path / "moss.py").write_text(
        "class Moss:\n    def grow(self, a, /, b=None, *, c=u'c'):\n        return f'{a!r:>{b}} {c}' 'd', 1j\n"
    )
    assert digest(name="Moss", ask=ASK.replace("plants.tree", "moss")) == MOSS


@pytest.mark.parametrize("module", ["benchmark.absent", "absent", "sys"])
def test_a_module_without_source_is_an_error_that_names_it(module: str) -> None:
    with pytest.raises(UsageError, match=repr(module)):
        code_digest([Root(module, "Tree")])


def test_a_class_that_is_not_at_the_top_of_its_module_is_an_error_that_names_it() -> None:
    with pytest.raises(UsageError, match="Tree"):
        code_digest([Root("benchmark.registry", "f.<locals>.Tree")])


def test_circular_imports_end(digest: Digest) -> None:
    changed = digest({"leaf.py": ("AREA = 2.0", "from plants.tree import RINGS\n\nAREA = RINGS")})
    assert changed != GOLDEN["Oak"]


def test_the_digest_is_taken_without_loading_torch(digest: Digest) -> None:
    ask = ASK + "import sys; assert not {{'torch', 'numpy', 'sklearn'}} & set(sys.modules), 'loaded'\n"
    assert digest(ask=ask) == GOLDEN["Oak"]


def _names(method: str, members: tuple[str, ...] = METHOD_MEMBERS) -> set[str]:
    cls = METHODS[method]
    found = reached([*HARNESS, Root(cls.__module__, cls.__qualname__, members)])
    return {f"{d.owner}.{d.name}".lstrip(".") for d in found}


def test_a_run_of_ddc_reaches_its_losses_the_loop_and_the_metrics_but_no_convenience() -> None:
    found = _names("ddc")
    assert {"cauchy_schwarz", "orthogonality", "DDC.terms", "DDCNetwork.forward", "clip_gradients"} <= found
    assert {"evaluate_clustering", "as_samples", "Streams.seed", "DDCParams.orthogonality"} <= found
    assert {"Step.take", "Stepper.take", "Evaluator.evaluate", "taking_turns", "set_learning_rate"} <= found
    assert not found & {"Clusterer.predict", "DeepClusterer.predict", "DeepClusterer.transform", "Frozen.canonical"}
    assert not found & {"DDCAE.terms", "target_distribution", "tensor_distances", "KMeans"}


def test_a_method_with_companions_reaches_what_its_bases_and_mixins_do() -> None:
    found = _names("ddc-uco-t")
    assert {"DDC.terms", "DDCUCON.terms", "NaiveCompanions.companions", "TensorCompanions.block_kernel"} <= found
    assert "projector_distances" in found


def test_the_digest_of_a_run_depends_on_method_data_set_and_network() -> None:
    def digest_of(method: str, dataset: str, network: str) -> str:
        data = DataSpec(name=dataset, digest="sha256:0")
        params = {"n_clusters": 2, "network": network}
        return run_code_digest(RunSpec(method=method, params=params, data=data, protocol=Protocol(), replicate=0))

    found = [
        digest_of("ddc", "usps", "cnn-small"),
        digest_of("ddc-ae", "usps", "cnn-small"),
        digest_of("ddc", "digits", "cnn-small"),
        digest_of("ddc", "usps", "mlp-small"),
    ]
    assert len(set(found)) == 4
    assert digest_of("ddc", "usps", "cnn-small") == found[0]
