"""Settings as people write and read them: TOML files, assignments, the starter file and the page of all.

What each setting is, `config` knows.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from classifine.config import OFF, SECTIONS, section_of, type_name
from classifine.errors import ConfigError

# Where a setting has no flag of its own name.
FLAGS = {"source": "(the argument)", "bases": "`--base`, several times"}


def merge(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Nested settings laid over one another, the later ones on top; no argument is changed."""
    result: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, values in layer.items():
            result[section] = {**result.get(section, {}), **values}
    return result


def nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"epochs": 3}` -> `{"train": {"epochs": 3}}`; ConfigError for a name that no section has."""
    result: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        result.setdefault(section_of(name), {})[name] = value
    return result


def load_toml(path: Path) -> dict[str, dict[str, Any]]:
    """The settings of a TOML file; relative data paths are taken from the folder of that file."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"No such settings file: {path}. Give the path of a .toml file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is not valid TOML: {error}. Text values need quotes: name = "value".') from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give the path of a .toml file.") from None
    for section, values in found.items():
        if not isinstance(values, dict):
            raise ConfigError(
                f"{path} sets '{section}' outside a section. Put it under one of [{'], ['.join(SECTIONS)}]."
            )
    _anchor_paths(found.get("data", {}), path.parent)
    return found


def parse_assignment(text: str) -> dict[str, dict[str, Any]]:
    """`train.epochs=3` -> `{"train": {"epochs": 3}}`; the value is read as TOML, or as text where it is not TOML."""
    key, equals, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise ConfigError(f"--set got '{text}'. Write it as section.key=value, such as train.epochs=3.")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return {section: {name: parsed}}


def placed(settings: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """Nested settings for a file in `folder`, from which its paths count: what they name here they name there."""
    found = {section: dict(values) for section, values in settings.items()}
    for name in ("source", "validation", "test"):
        place = found.get("data", {}).get(name)
        if place and Path(place).exists():
            found["data"][name] = os.path.relpath(place, folder.absolute())
    base = found.get("model", {}).get("base")
    if base and Path(base).is_dir():
        found["model"]["base"] = str(Path(base).absolute())
    return found


def reference() -> str:
    """The page of all settings in Markdown, as it stands in docs/settings.md."""
    lines = ["# Settings", "", "Made from `src/classifine/config.py` by `make docs`. Defaults < TOML file < flags."]
    for section, kind in SECTIONS.items():
        lines += ["", f"## [{section}]", "", (kind.__doc__ or "").strip(), ""]
        lines += ["| setting | flag | type | default | what it does |", "| --- | --- | --- | --- | --- |"]
        for name, field in kind.model_fields.items():
            flag = FLAGS.get(name, f"`--{name.replace('_', '-')}`")
            default = _unset(field) if field.default in (None, ()) else f"`{field.default}`"
            lines.append(f"| `{name}` | {flag} | {type_name(field)} | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def starter(chosen: Mapping[str, Mapping[str, Any]]) -> str:
    """A commented TOML file: every setting with its help line, the chosen ones set, the others as comments.

    A line of a setting is TOML as soon as its `# ` is gone.
    """
    lines = [
        "# Settings of classifine. `classifine train` with this file as its argument does the rest.",
        "# Take the `# ` away before a setting to give it.",
        "",
    ]
    for section, kind in SECTIONS.items():
        lines += [f"[{section}]"]
        for name, field in kind.model_fields.items():
            lines.append(f"# {field.description}")
            if name in chosen.get(section, {}):
                lines.append(f"{name} = {_toml(chosen[section][name])}")
            elif field.default in (None, ()):
                example = _toml((field.examples or [])[0])
                lines.append(f"# {name} = {example}  # an example ({type_name(field)}); else {_unset(field)}")
            else:
                lines.append(f"# {name} = {_toml(field.default)}")
        lines.append("")
    return "\n".join(lines)


def _unset(field: FieldInfo) -> str:
    return "off" if field.json_schema_extra == OFF else "found by itself"


def _toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        # A basic string of TOML is one of JSON but for what lies outside the Basic Multilingual Plane, kept as it is.
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _anchor_paths(data: dict[str, Any], folder: Path) -> None:
    for name in ("source", "validation", "test"):
        value = data.get(name)
        if isinstance(value, str) and (folder / value).exists():
            data[name] = str(folder / value)
