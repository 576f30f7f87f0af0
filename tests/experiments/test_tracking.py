"""What MLflow is told, read back from a store of files."""

import pytest

from attrib import experiment


@pytest.fixture
def mlflow():
    return pytest.importorskip("mlflow", reason="the extra attrib[mlflow] is not installed")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_run_for_the_experiment_and_one_for_each_model(mlflow, place, tmp_path):
    folder = place(("figure = false", "figure = true"))
    store = f"file://{tmp_path}/store"
    done = experiment.run(folder, workers=1, mlflow=store)
    client = mlflow.MlflowClient(store)
    found = client.search_runs([client.get_experiment_by_name("question").experiment_id])
    outer = client.get_run(done.record["mlflow_run"])
    assert outer.data.tags["question"] == "Which of two is closer?"
    assert outer.data.tags["spec_sha256"] == done.record["spec_sha256"]
    assert outer.data.params["seeds"] == "3"
    files = {file.path for file in client.list_artifacts(outer.info.run_id)}
    assert files == {*done.record["files"], "run.json"}
    inner = {run.data.params["model"]: run for run in found if run.info.run_id != outer.info.run_id}
    assert set(inner) == {"linear", "markov(order=1)", "last_touch", "random"}
    means = done.tables.summary.filter(model="linear", metric="share_error").row(0, named=True)
    linear = inner["linear"].data
    assert linear.metrics["share_error"] == pytest.approx(means["mean"])
    assert linear.metrics["share_error_se"] == pytest.approx(means["se"])
    assert linear.params == {"world": "default", "customers": "300", "model": "linear"}
    assert linear.tags["mlflow.parentRunId"] == outer.info.run_id
    assert {run.info.status for run in found} == {"FINISHED"}
