"""A contract file's YAML as plain values, stricter than YAML: a key that appears more than once is an error."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml

from services.shared.contract.model import ContractError


def read_document(file: Path | str) -> Any:
    """A contract file's YAML as plain values. Stricter than YAML: a key that appears more than once is an error.

    Raises:
        ContractError: the file cannot be read, is not UTF-8 or is not YAML.
    """
    path = Path(file)
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):  # reading a pipe may never end
            raise ContractError(f"{path}: is not a regular file; put the contract's YAML there, or remove it")
        return yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 (it is a safe loader)
    except RecursionError as error:
        raise ContractError(f"{path}: is nested too deep") from error
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:  # a date such as 2000-13-01; a list as a key
        mark = getattr(error, "problem_mark", None)
        raise ContractError(f"{path}: is not YAML: {error}", line=mark.line + 1 if mark else None) from error


_MOST_VALUES = 100_000  # of a contract, each alias counted as what it stands for
_MOST_LEVELS = 100


def _check_size(root: Any) -> None:
    """Refuse a text that is nested too deep, or whose aliases (`*name`) stand for more than can be gone through.

    Raises:
        yaml.MarkedYAMLError: it is so, or contains itself.
    """
    sizes: dict[int, int] = {}

    def size(node: Any, level: int) -> int:
        if level > _MOST_LEVELS:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested more than {_MOST_LEVELS} levels deep", problem_mark=node.start_mark
            )
        if id(node) not in sizes:
            inner = node.value if isinstance(node, yaml.CollectionNode) else ()
            parts = (part for one in inner for part in (one if isinstance(one, tuple) else (one,)))
            sizes[id(node)] = 1 + sum(size(part, level + 1) for part in parts)
        return sizes[id(node)]

    if size(root, 0) > _MOST_VALUES:
        raise yaml.MarkedYAMLError(
            problem=f"it has more than {_MOST_VALUES:,} values, its aliases written out", problem_mark=root.start_mark
        )


_SafeLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # C's loader where there is one
    """YAML's safe loader, which would silently take the last of two equal keys; here they are an error."""

    def construct_document(self, node: Any) -> Any:
        _check_size(node)
        return super().construct_document(node)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for key in keys:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} appears more than once", problem_mark=key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
