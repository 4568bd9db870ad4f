"""docs/seams.md names every library and every test of a seam; each path in it exists."""

import ast
import re
import sys
from pathlib import Path

from tests.test_architecture import ROOMS, ROOT, _imports, _sources

PAGE = (ROOT / "docs" / "seams.md").read_text()
# What a library is called on the page, where that is not what is imported.
CALLED = {
    "PIL": "Pillow",
    "av": "PyAV",
    "dotenv": "python-dotenv",
    "engineio": "python-engineio",
    "graphql": "graphql-core",
    "jwt": "PyJWT",
    "pi_heif": "pi-heif",
    "pydantic_settings": "pydantic-settings",
    "email_validator": "email-validator",
    "python_multipart": "python-multipart",
    "redis": "redis-py",
    "socketio": "python-socketio",
}


def test_every_library_is_on_the_page() -> None:
    imported = {name.partition(".")[0] for path in _sources() for name in _imports(path)}
    libraries = imported - ROOMS - sys.stdlib_module_names
    assert {"uvicorn", "strawberry", "asyncmy"} & libraries
    words = PAGE.lower()
    assert [name for name in libraries if CALLED.get(name, name).lower() not in words] == []


def test_every_test_is_on_the_page_and_there() -> None:
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE))
    there = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    assert named - {"test_framing.py"} == there - {"test_page.py", "test_reading.py"}


def test_every_path_on_the_page_is_there() -> None:
    paths = re.findall(r"`((?:[a-z_]+/)+(?:[\w.-]+)?)`", PAGE)
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_test_named_by_its_function_is_there() -> None:
    functions = {
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(re.findall(r"`(test_\w+)`", PAGE)) <= functions
