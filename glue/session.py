"""Spark as the jobs need it, on AWS Glue 5.1 or on this machine."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession


def session(name: str, runtime: str) -> SparkSession:
    """A session whose times are UTC. On a machine of one's own it takes the cores that there are, and opens no port.

    Args:
        name: what Spark shows.
        runtime: `glue`, where everything else is Glue's to say, or `local`.
    """
    os.environ["TZ"] = "UTC"
    time.tzset()
    builder = SparkSession.builder.appName(name).config("spark.sql.session.timeZone", "UTC")
    if runtime == "local":
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for setting, value in _LOCAL.items():
            builder = builder.config(setting, value)
    spark: SparkSession = builder.getOrCreate()
    if _ARCHIVE.is_file():  # Glue promises the zip of --extra-py-files on the driver's path, and workers import it too
        spark.sparkContext.addPyFile(str(_ARCHIVE))
    return spark


_ARCHIVE = Path(__file__).parents[1]  # on Glue a zip; in a checkout a folder
_LOCAL = {
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "16",
}
