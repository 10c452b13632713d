import sys
import traceback

import pytest

from pyg_samsa.errors import ConfigError, UserCodeError
from pyg_samsa.io.user_code import import_user_code, own_traceback


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_modules_and_files_of_the_working_folder_are_imported(folder):
    write(folder, "own_module_a.py", "VALUE = 1")
    write(folder, "parts/own_module_b.py", "VALUE = 2")
    assert import_user_code(["own_module_a", "parts/own_module_b.py"]) == ["own_module_a", "parts/own_module_b.py"]
    assert (sys.modules["own_module_a"].VALUE, sys.modules["own_module_b"].VALUE) == (1, 2)


@pytest.mark.parametrize("name", ["custom_graphgym/__init__.py", "custom_graphgym.py"])
def test_custom_graphgym_is_imported_where_it_is_asked_for(folder, name):
    write(folder, name, "VALUE = 3")
    assert import_user_code([]) == []
    assert "custom_graphgym" not in sys.modules
    assert import_user_code([], custom=True) == ["custom_graphgym"]
    assert sys.modules["custom_graphgym"].VALUE == 3


def test_without_the_folder_nothing_is_imported(folder):
    assert import_user_code([], custom=True) == []
    assert str(folder) not in sys.path


def test_a_folder_that_python_imports_nothing_from_is_named(folder):
    write(folder, "custom_graphgym/head.py", "VALUE = 3")
    with pytest.raises(ConfigError, match=r"custom_graphgym: .*the file __init__.py"):
        import_user_code([], custom=True)


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module.part", "no_such_file.py"])
def test_a_missing_module_is_named(folder, name):
    with pytest.raises(ConfigError, match=f"--import: got '{name}', expected a module or a Python file that exists"):
        import_user_code([name])


@pytest.mark.parametrize("name", ["", ".", "parts/heads", "..parts", "my-heads"])
def test_what_is_no_name_of_a_module_is_named(folder, name):
    with pytest.raises(ConfigError, match=r"--import: got .*, expected the name of a module, or a Python file"):
        import_user_code([name])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\ndef fail():\n    return swish\nfail()\n", "NameError: name 'swish' is not defined"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("x = (\n", "SyntaxError: '(' was never closed"),
        ("raise SystemExit('bye')\n", "SystemExit: bye"),
        ("raise ValueError('bad')\n", "ValueError: bad"),
    ],
)
@pytest.mark.parametrize("name", ["own_broken", "own_broken.py"])
def test_an_error_inside_has_its_own_traceback_and_file(folder, text, reason, name):
    path = write(folder, "own_broken.py", text)
    with pytest.raises(UserCodeError) as error:
        import_user_code([name])
    assert str(error.value).startswith(f"{name} cannot be imported: {reason}")
    shown = own_traceback(error.value.__cause__)
    assert str(path.name) in shown
    assert "importlib" not in shown
    assert "user_code.py" not in shown
    assert shown.rstrip().splitlines()[-1].startswith(reason)
    assert "own_broken" not in sys.modules


def test_ctrl_c_passes(folder):
    write(folder, "own_slow.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        import_user_code(["own_slow"])


def test_frames_of_the_user_stay_in_the_traceback():
    def inner():
        raise KeyError("swish")

    with pytest.raises(KeyError) as error:
        inner()
    assert own_traceback(error.value) == "".join(traceback.format_exception(error.value))
