"""One small Spark on this machine for all tests of this folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

import pytest

import attrib


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory):
    """Return a session with two cores and batches of a single row now and then."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip('pyspark is not installed: pip install ".[spark]"')
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none")
    folder = tmp_path_factory.mktemp("spark")
    options = {
        "spark.ui.enabled": False,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",  # times without a zone stay without one
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        engine = attrib.SparkEngine.start("local[2]", options)
        yield engine.session
        engine.close()


@pytest.fixture
def engine(spark):
    """Return an engine with more parts than many tests have customers."""
    return attrib.SparkEngine(spark, partitions=3)
