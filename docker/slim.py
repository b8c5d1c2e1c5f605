"""Removes from a folder of installed packages what no function uses, and prints how much that was.

usage: slim.py FOLDER
"""

import shutil
import sys
from pathlib import Path

# The services that our functions call; botocore contains the descriptions of some four hundred.
AWS_SERVICES = {
    "athena",
    "cloudwatch",
    "dynamodb",
    "events",
    "glue",
    "lambda",
    "s3",
    "sns",
    "sqs",
    "stepfunctions",
    "sts",
    "xray",
}
USELESS = [
    "bin",
    "**/tests",
    "**/test",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "pyarrow/include",
    "pyarrow/src",
    "pyarrow/includes",
    "pyarrow/libarrow_flight*",
    "pyarrow/_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/_substrait*",
    "pyarrow/*gandiva*",
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/lib",
    "boto3/examples",
]


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def main(folder: Path) -> None:
    """Remove what is not used, and print the sizes before and after."""
    before = size(folder)
    useless = [path for pattern in USELESS for path in folder.glob(pattern)]
    useless += [
        path for path in (folder / "botocore" / "data").iterdir() if path.is_dir() and path.name not in AWS_SERVICES
    ]
    for path in useless:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    print(f"{folder}: {before / 1e6:.0f} MB -> {size(folder) / 1e6:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]))
