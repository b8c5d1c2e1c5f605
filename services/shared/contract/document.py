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
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:  # a date such as 2000-13-01; a list as a key
        mark = getattr(error, "problem_mark", None)
        raise ContractError(f"{path}: is not YAML: {error}", line=mark.line + 1 if mark else None) from error


_SafeLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # C's loader where there is one
    """YAML's safe loader, which would silently take the last of two equal keys; here they are an error."""

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
