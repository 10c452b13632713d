"""The rules of documentation, annotation and testing that every file of the package follows."""

import ast
from pathlib import Path

import pytest

from benchmarks.ruler import ROOMS, Item, Ruler, measure, share, table

ROOT = Path(__file__).parent.parent
RULER = Ruler(ROOT / "pyg_samsa", ROOT / "tests")
# The least share of each; raise it when it is passed, never lower it.
LEAST = {"formula": 0.50, "doctest": 0.70, "shapes": 0.97, "mirrored": 0.99}
LONG_FUNCTIONS = 1
LONG_LINES = 3
CIRCLES = 0
# Kernels that run on a GPU alone, and containers that a network fills.
WITHOUT_EXAMPLE = {
    "functional/attention.py: AttentionBackend",
    "functional/reference/samsa.py: SAMSABlockParams",
    "functional/reference/samsa.py: SAMSAConvParams",
    "functional/reference/sft.py: SFTConvParams",
    "functional/triton_attention.py: find_tile",
    "functional/triton_attention.py: triton_attention",
    "functional/triton_ranking.py: triton_ranking",
    "functional/triton_relative.py: triton_relative_attention",
    "functional/triton_relaxation.py: relax",
    "functional/triton_relaxation.py: relax_backward",
    "functional/triton_support.py: self_test_failure",
    "functional/triton_support.py: wrap_triton",
    "functional/varlen.py: flash",
    "functional/varlen.py: flash_kernel",
    "functional/varlen.py: torch_varlen",
    "functional/varlen.py: varlen",
}
# Files of one name mirror each other.
MAY_SHARE_A_NAME = {
    "dropout": {"functional/dropout", "nn/dropout"},  # a function and its module
    "samsa": {"functional/reference/samsa", "nn/models/samsa"},  # the literal version, and the network
    "sampling": {"functional/reference/sampling", "functional/sampling"},  # the literal version, and the fast one
    "sweep": {"cli/sweep", "experiments/sweep"},  # the subcommand, and what it runs
    "tune": {"cli/tune", "experiments/tune"},  # likewise
}


@pytest.mark.parametrize("name", LEAST)
def test_shares(name):
    assert measure(RULER)[name] >= LEAST[name], f"{name}: see python -m benchmarks.ruler --missing"


def test_docstrings():
    assert not [str(item) for item in RULER.items() if not item.docstring]


def test_functions_and_classes_of_functional_and_nn_have_an_example():
    own = [item for item in RULER.items(*ROOMS) if "." not in item.name]
    assert {str(item) for item in own if not item.has_doctest} <= WITHOUT_EXAMPLE


def test_long_functions():
    assert len(RULER.long_functions()) <= LONG_FUNCTIONS, RULER.long_functions()


def test_long_lines():
    assert len(RULER.long_lines()) <= LONG_LINES, "see python -m benchmarks.ruler --missing"


def test_import_circles():
    assert len(RULER.import_circles()) <= CIRCLES, RULER.import_circles()


def test_file_names():
    shared = {file: set(names) for file, names in RULER.shared_names().items()}
    assert not {file: names for file, names in shared.items() if not names <= MAY_SHARE_A_NAME.get(file, set())}


def unmarked(source):
    """Return the names of the tests that need a CUDA device by their code and do not carry the mark ``cuda``."""
    tree = ast.parse(source)
    given = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def inside(node, found, seen=()):
        """Whether a part of the node, or of a name that it uses, is one of those looked for."""
        for part in ast.walk(node):
            if found(part):
                return True
            known = isinstance(part, ast.Name) and part.id in given and part.id not in seen
            if known and inside(given[part.id], found, (*seen, part.id)):
                return True
        return False

    def skips(part):
        return isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not) and inside(part, asks)

    def asks(part):
        return isinstance(part, ast.Attribute) and ast.unparse(part) == "torch.cuda.is_available"

    def marks(part):
        return isinstance(part, ast.Attribute) and ast.unparse(part) == "pytest.mark.cuda"

    def moves(part):
        if isinstance(part, ast.keyword):
            return part.arg == "device" and isinstance(part.value, ast.Constant) and part.value.value == "cuda"
        if not isinstance(part, ast.Call) or not isinstance(part.func, ast.Attribute):
            return False
        name = part.func.attr
        return (name == "cuda" and not part.args) or (
            name == "to" and [ast.unparse(arg) for arg in part.args] == ["'cuda'"]
        )

    of_module = given.get("pytestmark")
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if inside(node, moves)
        or any(inside(mark, skips) for mark in (*node.decorator_list, *([of_module] if of_module else [])))
        if not any(inside(mark, marks) for mark in (*node.decorator_list, *([of_module] if of_module else [])))
    ]


def test_tests_that_need_a_gpu_are_run_by_their_mark():
    found = {path.relative_to(ROOT): unmarked(path.read_text()) for path in ROOT.glob("tests/**/test_*.py")}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.skipif(not torch.cuda.is_available(), reason='none')\ndef test_it(): pass",
        "HAS = torch.cuda.is_available()\ngpu = pytest.mark.skipif(not HAS, reason='none')\n@gpu\ndef test_it(): pass",
        "pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='none')\ndef test_it(): pass",
        "def test_it(): torch.ones(2).cuda()",
        "def test_it(): torch.ones(2).to('cuda')",
        "class TestIt:\n    def test_it(self): torch.ones(2, device='cuda')",
    ],
)
def test_a_test_without_the_mark_is_found(test):
    assert unmarked(test) == ["test_it"]
    assert unmarked(f"pytestmark = [pytest.mark.cuda]\n{test}".replace("pytestmark = pytest", "other = pytest")) == []


def test_tests_of_the_absence_of_a_gpu_need_no_mark():
    assert unmarked("@pytest.mark.skipif(torch.cuda.is_available(), reason='one')\ndef test_it(): pass") == []


@pytest.fixture
def small(tmp_path):
    """A package with one fault of each kind, and its ruler."""
    files = {
        "pkg/__init__.py": "",
        "pkg/nn/first.py": '''
import pkg.nn.second


def area(x: Tensor) -> Tensor:
    """Return :math:`x^2`.

    >>> 1
    1
    """


def _hidden():
    pass


class Model:
    """A class."""

    def forward(self, x: 'Float[Tensor, "T D"]') -> None:
        pass
''',
        "pkg/nn/second.py": f"def lazy():\n    from pkg.nn import first\n\n# {'long ' * 30}\n",
        "pkg/io/second.py": "def many():\n" + "    pass\n" * 61,
        "tests/nn/test_first.py": "assert True\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Ruler(tmp_path / "pkg", tmp_path / "tests")


def test_the_ruler_counts_public_objects(small):
    names = [item.name for item in small.items(*ROOMS)]
    assert names == ["area", "Model", "Model.forward", "lazy"]
    assert [item.name for item in small.items("io")] == ["many"]


def test_the_ruler_measures(small):
    expected = {
        "formula": 1 / 4,
        "doctest": 1 / 5,
        "docstring": 2 / 5,
        "shapes": 1 / 2,
        "mirrored": 1 / 3,
        "tests / code": 1 / small.lines(small.package),
        "long functions": 1,
        "long lines": 1,
        "import circles": 1,
    }
    assert measure(small) == pytest.approx(expected)


def test_the_ruler_names_the_culprits(small):
    assert small.import_circles() == [["nn/first", "nn/second"]]
    assert small.long_functions() == {"io/second.py: many": 62}
    assert small.long_lines() == ["pkg/nn/second.py:4"]
    assert small.shared_names() == {"second": ["io/second", "nn/second"]}
    assert small.untested_modules() == ["io/second", "nn/second"]
    assert str(small.items("io")[0]) == "io/second.py: many"


def test_imports_for_annotations_make_no_circle(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("if TYPE_CHECKING:\n    from pkg import b\n")
    (tmp_path / "pkg" / "b.py").write_text("from pkg.a import name\n")
    assert Ruler(tmp_path / "pkg", tmp_path).import_circles() == []


def test_the_table_has_a_line_for_every_measure(small):
    lines = table(small).splitlines()
    assert len(lines) == 1 + len(measure(small))
    assert lines[1].split()[:2] == ["25%", "43%"]


def test_an_empty_whole_has_the_share_one():
    assert share([], []) == 1.0
    assert isinstance(RULER.items()[0], Item)
