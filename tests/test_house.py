"""The directions of imports, and the few things that live in one place only."""

import ast
import importlib.util
from pathlib import Path

import pytest

import classifine
from classifine import settings

ROOT = Path(classifine.__file__).parent
FACTS = {
    "errors": 0,
    "say": 0,
    "strict_json": 0,
    "doubt": 3,
    "labels": 1,
    "config": 2,
    "decide": 2,
    "metrics": 3,
    "windows": 3,
    "settings": 3,
}
ROOMS = {
    "data": 4,
    "model": 4,
    "infer": 5,
    "train": 6,
    "report": 6,
    "report/page": 7,  # a room of its own inside another
    "publish": 7,
    "classifier": 8,
    "run": 9,
    "use": 9,
    "audit": 9,
    "adapt": 9,
    "glue": 10,
    "tune": 10,
    "distill": 10,
    "init": 10,
    "cli": 11,
}
# The package's own face and door: they name public things when asked, and start the command line.
DOORS = {"__init__": -1, "__main__": 12}
RANKS = {**FACTS, **ROOMS, **DOORS}
HEAVY = {"torch", "transformers", "datasets", "peft", "fastapi"}
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")
}


def imported(nodes):
    """Full names of what is imported by the given nodes."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            found = f"{node.module}.{{}}"
            yield from (found.format(alias.name) for alias in node.names)


def typing_only(tree):
    """Nodes below `if TYPE_CHECKING`, which import nothing when the program runs."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    return {node for block in blocks for node in ast.walk(block)}


def room_of(module):
    """The inmost room that a module is in."""
    outer, _, rest = module.partition("/")
    inner = f"{outer}/{rest.partition('/')[0]}"
    return inner if inner in ROOMS else outer


def ours(tree):
    """Modules of the project that a tree imports, anywhere in it, such as `data/read`."""
    asleep = typing_only(tree)
    for name in imported(node for node in ast.walk(tree) if node not in asleep):
        parts = name.split(".")
        if parts[0] == "classifine":
            path = "/".join(parts[1:])
            yield path if path in MODULES else "/".join(parts[1:-1]) or "__init__"


def test_every_module_has_a_room():
    assert {room_of(module) for module in MODULES} <= set(RANKS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    here = room_of(module)
    for other in ours(MODULES[module]):
        there = room_of(other)
        assert here == there or here in DOORS or RANKS[there] < RANKS[here], f"{module} imports {other}"


def test_no_module_imports_itself_by_a_detour():
    edges = {module: {other for other in ours(tree) if other in MODULES} for module, tree in MODULES.items()}
    edges["__init__"] = set()  # it imports when asked, long after
    done: set[str] = set()

    def visit(module, way):
        assert module not in way, " > ".join((*way, module))
        if module not in done:
            for other in edges[module]:
                visit(other, (*way, module))
            done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("module", [*FACTS, *(name for name in MODULES if room_of(name) == "cli"), *DOORS])
def test_facts_and_the_command_line_start_light(module):
    top = {name.split(".")[0] for name in imported(MODULES[module].body)}
    assert top & HEAVY == set()


def calls(tree):
    """Names of the functions and methods that a tree calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            target = node.func
            yield target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


@pytest.mark.parametrize("module", MODULES)
def test_only_decide_decides(module):
    found = {"softmax", "argmax", "sigmoid", "log_softmax"} & set(calls(MODULES[module]))
    # The majority class of the baselines is counted, not decided from scores.
    allowed = {"decide": {"argmax"}, "report/evaluate": {"argmax"}}
    assert found <= allowed.get(module, set())


def test_only_train_names_the_trainer():
    naming = {
        module for module, tree in MODULES.items()
        if {"transformers.Trainer", "transformers.TrainingArguments"} & set(imported(ast.walk(tree)))
        or any(isinstance(node, ast.Attribute) and node.attr == "TrainingArguments" for node in ast.walk(tree))
    }  # fmt: skip
    assert {room_of(module) for module in naming} == {"train"}


def test_the_page_of_settings_is_the_one_that_the_settings_make():
    page = ROOT.parents[1] / "docs" / "settings.md"
    if not page.exists():
        pytest.skip("docs/settings.md is not part of an installed package")
    assert page.read_text(encoding="utf-8") == settings.reference()


def test_the_page_of_commands_is_the_one_that_the_commands_make():
    folder = ROOT.parents[1] / "docs"
    if not folder.exists():
        pytest.skip("docs are not part of an installed package")
    spec = importlib.util.spec_from_file_location("generate", folder / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (folder / "help.md").read_text(encoding="utf-8") == generate.help_page()
