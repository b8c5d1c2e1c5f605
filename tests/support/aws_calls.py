"""Which AWS API calls a service's code can make, read from the code itself.

From the handler on, a function reaches every function and method whose name stands in it, and of a class that it names
the special methods: more than really runs, never less. A call of a botocore method in reached code is an API call.
Knows nothing of IAM.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session

from local.ministack import ROOT

_SESSION = botocore.session.get_session()


def _modules(entry: str) -> Iterator[ast.Module]:
    """The module and all modules of ours that it imports, directly or not."""
    seen: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        module = ROOT / Path(*name.split("."))
        path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if name in seen or not path.exists():
            continue
        seen.add(name)
        tree = ast.parse(path.read_text())
        yield tree
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("services"):
                waiting += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]


def names_in(node: ast.AST) -> set[str]:
    """Every name that stands in a piece of code, of a variable or behind a dot."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} | {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
    }


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Name -> function. A class's name stands for its special methods and for what its body names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if not isinstance(part, ast.FunctionDef) or part.name.startswith("__"):
                    yield node.name, part


def reached(service: str) -> list[ast.AST]:
    """The code that the service's handler can reach."""
    part, _, function = service.partition("-")  # such as `ingest`, or `ops-sweep`: one of several handlers of a part
    trees = list(_modules(f"services.{part}.app" + (f".{function}" if function else "")))
    functions: dict[str, list[ast.AST]] = {}
    for tree in trees:
        for name, node in _functions(tree):
            functions.setdefault(name, []).append(node)
    found: dict[int, ast.AST] = {}
    waiting = ["handler"]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in functions.get(name, []):
            found[id(node)] = node
            waiting += names_in(node)
    return list(found.values())


def _clients(code: list[ast.AST]) -> dict[str, dict[str, str]]:
    """The AWS services that the code makes clients of -> botocore method -> API operation."""
    names = {
        call.args[0].value
        for node in code
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and "aws_client" in names_in(call.func) and isinstance(call.args[0], ast.Constant)
    }
    return {
        str(name): _SESSION.create_client(str(name), region_name="us-east-1").meta.method_to_api_mapping
        for name in names
    }


def _called(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        yield call.func.attr
        if call.func.attr in {"get_paginator", "get_waiter"} and isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)


def api_calls(service: str) -> set[str]:
    """What the service can ask of AWS, such as `dynamodb:GetItem`; transactions with the writes that they hold."""
    code = reached(service)
    calls = set()
    for client, methods in _clients(code).items():
        for method in {method for node in code for method in _called(node)} & set(methods):
            if method == "transact_write_items":
                calls |= {f"dynamodb:TransactWriteItems/{kind}" for kind in _transaction_kinds(code)}
            else:
                calls.add(f"{client}:{methods[method]}")
    return calls


def _transaction_kinds(code: list[ast.AST]) -> set[str]:
    """The kinds of write that reached code builds, as `{"put": ..., "condition": ...}` (`LedgerTable.transact`)."""
    keys = {
        key.value
        for node in code
        for part in ast.walk(node)
        if isinstance(part, ast.Dict)
        and any(isinstance(key, ast.Constant) and key.value == "condition" for key in part.keys)
        for key in part.keys
        if isinstance(key, ast.Constant)
    }
    return {str(key).title() for key in keys & {"put", "update", "delete"}}
