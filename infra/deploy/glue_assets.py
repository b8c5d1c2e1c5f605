"""What the Glue jobs run, made and uploaded: scripts and the package that they import, by revision; wheels, by content.

Nothing is fetched when a job runs. The same sources give the same bytes on every machine: entries are sorted, stored
and dated alike. It prints nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.terraform import ROOT, complaint, terraform
from services.ops.errors import OperatorError

REQUIREMENTS = ROOT / "requirements/glue.txt"
BROUGHT_BY_GLUE = ROOT / "requirements/glue51.constraints.txt"
SCRIPTS = ("compact_silver", "validate_silver")
SOURCES = ("glue", "services/shared", "services/__init__.py", "requirements/glue.txt")
NEWEST = "glue/scripts"
# AWS Glue 5.1: Python 3.11 on Amazon Linux 2023. The guide's "Appendix B: AWS Glue environment details".
PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_EPOCH = (1980, 1, 1, 0, 0, 0)


class AssetsFailed(OperatorError):
    """What the jobs run cannot be made or uploaded; the message says what to fix."""


@dataclass(frozen=True, slots=True)
class Assets:
    """Keys of the artifacts bucket, as Terraform's variable `glue_assets` has them, and what is under each key."""

    files: Mapping[str, bytes]
    core: str
    wheels: str
    scripts: Mapping[str, str]

    @property
    def variable(self) -> dict[str, str]:
        return {"core": self.core, "wheels": self.wheels, **self.scripts}


def core_zip(root: Path = ROOT) -> bytes:
    """The package that the jobs import: the core and its rim, and the jobs' own modules."""
    files = [root / "services/__init__.py", *(root / "services/shared").rglob("*.py"), *(root / "glue").rglob("*.py")]
    return zipped((str(file.relative_to(root)), file.read_bytes()) for file in files if "__pycache__" not in file.parts)


def zipped(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip whose bytes depend on names and contents alone. Nothing is compressed: zlib's versions differ."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
    return sink.getvalue()


def wheels_zip(wheels: Path) -> bytes:
    """Glue's "zip of wheels": the folder `wheels/` with the wheels, and requirements.txt, which names them."""
    found = sorted(wheels.glob("*.whl"))
    pinned = "".join(f"{name}=={version}\n" for name, version in map(_of_wheel, found))
    entries = [(f"wheels/{wheel.name}", wheel.read_bytes()) for wheel in found]
    return zipped([*entries, ("wheels/requirements.txt", pinned.encode())])


def missing_requirements(lock: str, brought: str) -> str:
    """The part of a lock that Glue does not bring already in the same version; with its hashes.

    Pins for another Python or system are left out here: pip would ask the Python that it runs on.
    """
    known = {_normal(match[1]): match[2] for line in brought.splitlines() if (match := _PIN.match(line))}
    kept = []
    for pin in re.split(r"\n(?=[A-Za-z])", lock.strip()):
        match = _PIN.match(pin)
        marker = pin.splitlines()[0].partition(";")[2]
        if ">= '3.12'" in marker or "'win32'" in marker:
            continue
        pin = pin.replace(f" ;{marker}", " \\", 1) if marker else pin
        if match and known.get(_normal(match[1])) != match[2]:
            kept.append(pin)
    return "\n".join(kept) + "\n"


def fetch_wheels(folder: Path) -> None:
    """Download the wheels that the jobs need, each checked against its hash, for Glue's platform.

    Raises:
        AssetsFailed: pip failed, for example because a package has no wheel for it.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(missing_requirements(REQUIREMENTS.read_text(), BROUGHT_BY_GLUE.read_text()))
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command += ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", *platforms]
    done = subprocess.run(
        [*command, "--dest", str(folder), "--requirement", str(wanted)], capture_output=True, text=True
    )
    if done.returncode:
        raise AssetsFailed(f"The wheels cannot be had: {done.stderr.strip()[-2000:]}")


def make_assets(revision: str, wheels: bytes) -> Assets:
    """What is uploaded for a revision: its folder, and the scripts once more under `NEWEST`."""
    folder = f"glue/{revision[:12]}"
    core, wheel_key = f"{folder}/core.zip", f"glue/wheels/{hashlib.sha256(wheels).hexdigest()[:16]}.gluewheels.zip"
    scripts = {name: f"{folder}/{name}.py" for name in SCRIPTS}
    files = {core: core_zip(), wheel_key: wheels}
    for name, key in scripts.items():
        files[key] = files[f"{NEWEST}/{name}.py"] = (ROOT / f"glue/{name}.py").read_bytes()
    return Assets(files, core, wheel_key, scripts)


def upload(s3: Any, bucket: str, assets: Assets) -> list[str]:
    """Upload what is not there yet with the same content; the keys that were written.

    Raises:
        ClientError, BotoCoreError: S3 refuses, or does not answer.
    """
    written = []
    for key, data in assets.files.items():
        digest = hashlib.sha256(data).hexdigest()
        if _digest(s3, bucket, key) != digest:
            s3.put_object(Bucket=bucket, Key=key, Body=data, Metadata={"smelt-sha256": digest})
            written.append(key)
    return written


def write_variable(environment: str, assets: Assets) -> Path:
    """Write the keys where Terraform reads them."""
    path = ROOT / "infra/terraform/envs" / environment / "glue.auto.tfvars.json"
    path.write_text(json.dumps({"glue_assets": assets.variable}, indent=2) + "\n")
    return path


def committed_revision() -> str:
    """The revision of this checkout.

    Raises:
        AssetsFailed: what is uploaded is not committed, so that no revision would name it.
    """
    changed = _git("status", "--porcelain", "--", *SOURCES)
    if changed:
        raise AssetsFailed(f"These files are uploaded and are not committed:\n{changed}\nCommit them first.")
    return _git("rev-parse", "HEAD")


def made_wheels() -> bytes:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fetch_wheels(folder)
        return wheels_zip(folder)


def artifacts_bucket(environment: str) -> tuple[str, str] | None:
    """The artifacts bucket that Terraform has created, and its region; None where it has created none.

    Raises:
        AssetsFailed: Terraform gives no outputs.
    """
    done = terraform(Path("infra/terraform/envs") / environment, "output", "-no-color", "-json")
    if done.returncode:
        raise AssetsFailed(f"Terraform gives no outputs for {environment}: {complaint(done, 'make tf-init')}")
    created = {name: output["value"] for name, output in json.loads(done.stdout).items()}
    if not created.get("artifacts_bucket"):
        return None
    return created["artifacts_bucket"], created["region"]


def _digest(s3: Any, bucket: str, key: str) -> str | None:
    try:
        return str(s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("smelt-sha256"))
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return None
        raise


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise AssetsFailed(f"`git {arguments[0]}` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _of_wheel(wheel: Path) -> tuple[str, str]:
    name, version = wheel.name.split("-")[:2]
    return name, version


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
