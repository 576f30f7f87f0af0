"""Saved models: the same to the bit, whole or not at all, and harmless whatever stands in their files."""

import hashlib
import io
import json
import os
import random
import shutil
import zipfile

import numpy as np
import polars as pl
import pytest

from attrib.errors import AttribError, AttribWarning, DataError, SpecError
from attrib.io.manifest import canonical, sha256
from attrib.lifecycle import (
    BetaGeoNBD,
    ChurnClassifier,
    GammaGamma,
    ModifiedBetaGeoNBD,
    ParetoNBD,
    ReferralLikelihood,
    SurvivalChurn,
    drift,
    load,
    open_model,
    save,
)
from attrib.lifecycle.saving import storage, trees

N = 400
RNG = np.random.default_rng(5)
X = pl.DataFrame(
    {
        "plan": RNG.choice(["month", "year", "two"], N),
        "calls": RNG.poisson(2, N),
        "charge": np.where(RNG.random(N) < 0.1, None, RNG.gamma(2, 20, N)).astype(float),
    }
).with_columns(pl.col("charge").fill_nan(None))
Y = RNG.random(N) < 0.2 + 0.1 * (X["plan"] == "month").to_numpy()
DURATION, LEFT = RNG.gamma(2, 10, N), RNG.random(N) < 0.6
COUNT = np.where(Y, RNG.poisson(1, N) + 1, 0)
ASKED = np.random.default_rng(3).random(N) < 0.5
FREQUENCY, RECENCY, T = (
    [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    [30.4, 1.7, 0, 0, 36.4, 5, 0, 14.1, 31, 0] * 20,
    [39.0] * 200,
)
GONE = [False, False, False, False, False, True, False, True, False, True] * 20
MONEY = np.random.default_rng(1).gamma(6, np.random.default_rng(2).gamma(4, 2, 200))


def classifier(model, calibration="sigmoid", **more):
    fitted = ChurnClassifier(model, calibration, check_leaks=False, max_iter=12, min_samples_leaf=10, **more)
    return fitted.fit(X, Y), lambda m: m.predict_proba(X)


def referral(model):
    fitted = ReferralLikelihood(model, check_leaks=False).fit(
        X, Y, count=COUNT, value=COUNT * 20.0, asked=ASKED, propensity=0.5
    )
    return fitted, lambda m: np.column_stack(
        [m.predict_proba(X), m.expected_referrals(X), m.expected_value(X, asked=True), m.uplift(X)["uplift"]]
    )


def survival(model, **more):
    fitted = SurvivalChurn(model, penalizer=0.01, **more).fit(X, DURATION, LEFT)
    return fitted, lambda m: np.column_stack(
        [m.predict_survival(X, [1.0, 5.0, 15.0]), m.predict_churn(X, 3.0, np.full(N, 2.0))]
    )


def causes():
    why = np.where(LEFT, np.random.default_rng(3).choice(["price", "moved"], N), "")
    fitted = SurvivalChurn("competing_risks", horizon=3).fit(None, DURATION, why)
    return fitted, lambda m: np.column_stack([m.predict_proba(X), m.predict_causes(X, 3.0, np.full(N, 2.0)).to_numpy()])


def purchases(_):
    return BetaGeoNBD().fit(FREQUENCY, RECENCY, T), lambda m: np.column_stack(
        [m.p_alive(FREQUENCY, RECENCY, T), m.expected_purchases(5, FREQUENCY, RECENCY, T), m.draws(200)[:, 0]]
    )


def geometric():
    model = ModifiedBetaGeoNBD().fit(FREQUENCY, RECENCY, T, GONE)
    return model, lambda m: np.column_stack(
        [m.p_alive(FREQUENCY, RECENCY, T, GONE), m.expected_purchases(5, FREQUENCY, RECENCY, T), m.draws(200)[:, 4]]
    )


def pareto():
    return ParetoNBD().fit(FREQUENCY, RECENCY, T), lambda m: np.column_stack(
        [m.p_alive(FREQUENCY, RECENCY, T), m.expected_purchases(5, FREQUENCY, RECENCY, T), m.draws(200)[:, 3]]
    )


def capped_orders():
    model = GammaGamma(no_mean="median", cap=60.0).fit(FREQUENCY, MONEY)
    return model, lambda m: m.expected_value(FREQUENCY, MONEY)


def orders(_):
    return GammaGamma().fit(FREQUENCY, MONEY), lambda m: m.expected_value(FREQUENCY, MONEY)


KINDS = {
    "logistic": lambda: classifier("logistic"),
    "isotonic": lambda: classifier("logistic", "isotonic"),
    "weighted": lambda: classifier("logistic", class_weight={False: 1, True: 3.0}),
    "boosting": lambda: classifier("boosting"),
    "referral": lambda: referral("logistic"),
    "referral-trees": lambda: referral("boosting"),
    "cox": lambda: survival("cox"),
    "cox-as-fitted": lambda: survival("cox", calibration=None),
    "weibull": lambda: survival("weibull"),
    "lognormal": lambda: survival("lognormal"),
    "kaplan-meier": lambda: survival("kaplan_meier"),
    "competing-risks": causes,
    "purchases": lambda: purchases(""),
    "purchases-cancelled": geometric,
    "purchases-pareto": pareto,
    "orders": lambda: orders(""),
    "orders-capped": capped_orders,
}
_made: dict = {}


@pytest.fixture
def made(tmp_path):
    """Return a function: a kind → its model, its predictions, a fresh copy of its folder."""

    def make(kind):
        if kind not in _made:
            model, predict = KINDS[kind]()
            folder = tmp_path.parent / f"saved-{kind}"
            save(model, folder, training_data=X, snapshot={"gap": "7d"})
            _made[kind] = model, predict, {file.name: file.read_bytes() for file in folder.iterdir()}
        model, predict, files = _made[kind]
        folder = tmp_path / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return model, predict, folder

    return make


def reseal(folder, change=None):
    """What an attacker would do: change the model, and make all hashes right again."""
    about = json.loads((folder / "model.json").read_text())
    if change is not None:
        about = change(about) or about
    for name, facts in about.get("files", {}).items() if isinstance(about.get("files"), dict) else ():
        if (folder / name).is_file():
            content = (folder / name).read_bytes()
            facts |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    about["sha256"] = sha256(canonical({key: value for key, value in about.items() if key != "sha256"}))
    (folder / "model.json").write_text(json.dumps(about))


def the_file(folder, suffix):
    (file,) = folder.glob(f"*{suffix}")
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_after_a_reload_are_the_same_to_the_bit(made, kind):
    model, predict, folder = made(kind)
    again = load(folder)
    assert type(again) is type(model)
    assert repr(again.get_params()) == repr(model.get_params())
    assert np.array_equal(predict(again), predict(model), equal_nan=True)
    assert save(again, folder.parent / "twice")
    assert np.array_equal(predict(load(folder.parent / "twice")), predict(model), equal_nan=True)


def test_what_stands_beside_the_model(made, tmp_path):
    model, _, _ = made("logistic")
    metrics = pl.DataFrame({"metric": ["auc"], "value": [0.8], "low": [float("nan")]})
    fingerprint = save(
        model,
        tmp_path / "mine",
        name="mine",
        description="it",
        metrics=metrics,
        training_data=X,
        snapshot={"gap": "7d"},
    )
    found = open_model(tmp_path / "mine", fingerprint=fingerprint)
    assert (found.name, found.description, found.fingerprint) == ("mine", "it", fingerprint)
    assert found.features == {"plan": "String", "calls": "Int64", "charge": "Float64"}
    assert found.metrics == [{"metric": "auc", "value": 0.8, "low": None}]
    assert found.snapshot == {"gap": "7d"}
    assert found.training["rows"] == N
    assert {"attrib", "numpy", "scikit-learn"} <= set(found.versions)
    assert drift(found.profile, X).select("feature", "psi").equals(drift(X, X).select("feature", "psi"))
    backwards = save(model, tmp_path / "c", training_data=X.reverse())
    assert save(model, tmp_path / "b", training_data=X) != backwards


def test_a_pandas_frame_has_the_fingerprint_of_its_polars_twin(made, tmp_path):
    model, _, _ = made("logistic")
    prints = [save(model, tmp_path / name, training_data=frame) for name, frame in (("a", X), ("b", X.to_pandas()))]
    assert prints[0] == prints[1]


def test_saving_again_leaves_one_model_and_no_other_file(made):
    _, _, folder = made("boosting")
    (folder / "mine.txt").write_text("kept")
    save(classifier("boosting", seed=3)[0], folder, overwrite=True)
    save(classifier("logistic")[0], folder, overwrite=True)
    assert sorted(file.name.split("-")[0] for file in folder.iterdir()) == ["arrays", "mine.txt", "model.json"]


def test_nothing_is_replaced_unasked_and_no_other_file_ever(made, tmp_path):
    model, _, folder = made("logistic")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(SpecError, match="holds the model 'ChurnClassifier'; choose another folder, or pass overwrite"):
        save(model, folder, training_data=X.reverse())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    for number, theirs in enumerate(("", "[]", '{"format": 1}', "\xff")):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "model.json").write_text(theirs)
        with pytest.raises(SpecError, match="is not of a saved model, and is not replaced"):
            save(model, place, overwrite=True)
        assert [file.name for file in place.iterdir()] == ["model.json"]


def test_a_save_that_fails_leaves_the_old_model(made, monkeypatch):
    model, predict, folder = made("logistic")
    other = classifier("logistic", C=0.001)[0]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AttribError, match="No space left"):
        save(other, folder, overwrite=True)
    monkeypatch.undo()
    assert np.array_equal(predict(load(folder)), predict(model))
    assert [file.name for file in folder.glob(".*")] == []


def test_what_can_be_saved(tmp_path):
    class Mine(ChurnClassifier):
        pass

    with pytest.raises(SpecError, match="a Mine cannot be saved"):
        save(Mine(), tmp_path)
    with pytest.raises(SpecError, match="not fitted"):
        save(ChurnClassifier(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def refused(folder, key, match=".", **options):
    with pytest.raises(DataError, match=match) as error:
        load(folder, **options)
    assert error.value.key == key


def test_files_that_are_missing_or_no_files(made, tmp_path):
    _, _, folder = made("boosting")
    refused(tmp_path / "nowhere", "bad_model_file", "No such file")
    the_file(folder, ".skops").unlink()
    refused(folder, "bad_model_file", "No such file")
    (folder / "model.json").unlink()
    os.mkfifo(folder / "model.json")
    refused(folder, "bad_model_file", "it is no file")


def test_a_changed_file_is_noticed_before_it_is_parsed(made, monkeypatch):
    _, _, folder = made("boosting")
    monkeypatch.setattr(storage, "load_trees", lambda _: pytest.fail("parsed"))
    monkeypatch.setattr(storage, "members", lambda *_: pytest.fail("parsed"))
    for suffix in (".npz", ".skops"):
        file = the_file(folder, suffix)
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        about = json.loads((folder / "model.json").read_text())
        about["files"] = {file.name: about["files"][file.name]}
        about["sha256"] = sha256(canonical({key: value for key, value in about.items() if key != "sha256"}))
        (folder / "model.json").write_text(json.dumps(about))
        refused(folder, "model_tampered", "its hash differs")
        _, _, folder = made("boosting")


def test_changed_words_and_a_wrong_fingerprint(made):
    _, _, folder = made("logistic")
    refused(folder, "model_tampered", fingerprint="0" * 64)
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"7d"', '"8d"'))
    refused(folder, "model_tampered", "model.json")


def test_a_model_of_a_newer_attrib(made):
    _, _, folder = made("logistic")
    reseal(folder, lambda about: about.update(format=2))
    refused(folder, "model_version", "format 2; this attrib reads up to 1")
    reseal(folder, lambda about: about.update(format=0))
    refused(folder, "bad_model_file")


def test_sizes(made, monkeypatch):
    _, _, folder = made("logistic")

    def claim(about):
        (facts,) = about["files"].values()
        facts["bytes"] = 10**15

    about = json.loads((folder / "model.json").read_text())
    claim(about)
    about["sha256"] = sha256(canonical({key: value for key, value in about.items() if key != "sha256"}))
    (folder / "model.json").write_text(json.dumps(about))
    refused(folder, "model_too_large", "a model has at most")
    _, _, folder = made("logistic")
    with (folder / "model.json").open("r+b") as file:
        file.truncate(65 * 2**20)
    refused(folder, "model_too_large")
    _, _, folder = made("logistic")
    with the_file(folder, ".npz").open("r+b") as file:
        file.truncate(257 * 2**20)
    refused(folder, "model_too_large")


def npz(folder, content):
    """Put bytes in the place of the arrays, sealed."""
    file = the_file(folder, ".npz")
    file.write_bytes(content)
    reseal(folder)


def zipped(members, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def npy(array, **options):
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_bombs_or_hold_objects(made):
    _, _, folder = made("logistic")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (118 - 1 - len(header)) + b"\n"
    bomb = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8
    cases = {
        "no archive": b"nothing",
        "compressed": zipped([("knots.npy", npy(np.zeros(10**6)))], zipfile.ZIP_DEFLATED),
        "twice": zipped([("knots.npy", npy(np.zeros(2)))] * 2),
        "another size": zipped([("knots.npy", bomb)]),
        "no array": zipped([("knots.npy", npy(np.array([{}], dtype=object), allow_pickle=True))]),
        "float64": zipped([("knots.npy", npy(np.zeros(2, np.float32)))]),
        "no array of float64": zipped([("../knots.txt", npy(np.zeros(2)))]),
    }
    for why, content in cases.items():
        npz(folder, content)
        refused(folder, "bad_model_file", f"{why}|another size")


def test_json_that_is_none_or_too_deep_or_no_numbers(made):
    _, _, folder = made("logistic")
    file = folder / "model.json"
    text = file.read_text()
    for content in (
        "", "[]", "{}", "[" * 10**5, '{"a":' * 10**5, "\xff", text[:100], text.replace("0.", "NaN", 1),
        text.replace('"format": 1', '"format": 1e999'), text.replace('"format": 1', f'"format": {"9" * 5000}'),
        '{"format": 1, "state": ' + "[" * 40 + "]" * 40 + "}",
    ):  # fmt: skip
        file.write_bytes(content.encode("latin-1", "replace"))
        with pytest.raises(DataError) as error:
            load(folder)
        assert error.value.key in ("bad_model_file", "model_tampered")


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.update({"class": "os.system"}),
        lambda about: about.update({"class": "Estimator"}),
        lambda about: about.update(files={"../../etc/passwd": {"bytes": 1, "sha256": ""}}),
        lambda about: about.update(files={"arrays-000000000000.npz\n": {"bytes": 1, "sha256": ""}}),
        lambda about: about.update(more=1),
        lambda about: about.update(metrics=[1]),
        lambda about: about.update(versions={"numpy": 1}),
        lambda about: about.pop("state"),
    ],
)
def test_a_sealed_model_with_foreign_parts(made, change):
    _, _, folder = made("logistic")
    reseal(folder, lambda about: change(about) and None)
    refused(folder, "bad_model_file")


def test_a_model_of_another_class_is_not_taken(made):
    for kind, other in (("logistic", "SurvivalChurn"), ("cox", "BetaGeoNBD"), ("boosting", "GammaGamma")):
        _, _, folder = made(kind)
        reseal(folder, lambda about, other=other: about.update({"class": other}))
        refused(folder, "bad_model")


def skops_of(folder, change):
    """Put other trees in place, with right hashes."""
    from skops.io import dumps, loads

    file = the_file(folder, ".skops")
    content = loads(file.read_bytes(), trusted=[".".join(trees._TREE)])
    file.write_bytes(dumps(change(content)))
    reseal(folder)


def with_nodes(field, row, value):
    def change(content):
        content[0]["trees"][0].nodes[field][row] = value
        return content

    return change


@pytest.mark.parametrize(
    ("field", "row", "value"),
    [
        ("left", 0, 0),  # would never end
        ("right", 0, 10**6),  # would read foreign memory
        ("feature_idx", 0, 10**9),
        ("feature_idx", 0, -1),
        ("value", -1, np.nan),
        ("is_categorical", 0, 1),
        ("num_threshold", 0, np.nan),
        ("is_leaf", -1, 0),
    ],
)
def test_trees_that_would_read_foreign_memory(made, field, row, value):
    _, _, folder = made("boosting")
    skops_of(folder, with_nodes(field, row, value))
    refused(folder, "bad_model_file", "do not fit each other")


def test_trees_of_foreign_types(made):
    from sklearn.linear_model import LogisticRegression

    for content in (
        [LogisticRegression()], {"a": 1}, [], [{"columns": 5}],
        [{"columns": 5, "start": np.zeros((1, 1)), "trees": [1]}],
        [{"columns": 5, "start": np.array([[np.inf]]), "trees": []}], np.sum, [np.array([None, {}], dtype=object)],
        [{"columns": 10**9, "start": np.zeros((1, 1)), "trees": []}],
    ):  # fmt: skip
        _, _, folder = made("boosting")
        skops_of(folder, lambda _, content=content: content)
        with pytest.raises(DataError) as error:
            load(folder)
        assert error.value.key in ("bad_model_file", "bad_model")


def test_trees_that_name_code_are_never_built(made, monkeypatch):
    _, _, folder = made("boosting")
    file = the_file(folder, ".skops")
    with zipfile.ZipFile(file) as archive:
        schema = json.loads(archive.read("schema.json"))
        rest = [(name, archive.read(name)) for name in archive.namelist() if name != "schema.json"]
    schema["content"][0] |= {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
    file.write_bytes(zipped([("schema.json", json.dumps(schema)), *rest]))
    reseal(folder)
    refused(folder, "bad_model_file", "a part of type")


def test_other_versions_of_the_library_of_trees_are_told(made):
    _, _, folder = made("boosting")
    reseal(folder, lambda about: about["versions"].update({"scikit-learn": "0.1"}))
    with pytest.warns(AttribWarning, match=r"grown with scikit-learn 0\.1"):
        load(folder)


def survives(folder, predict):
    """Load and predict: a model, or an error of ours."""
    try:
        predict(load(folder))
    except AttribError:
        return False
    return True


def same_content(one, other):
    """Compare bytes; of JSON what it says: a blank may become a line feed."""
    try:
        return one == other or json.loads(one) == json.loads(other)
    except ValueError:
        return False


@pytest.mark.parametrize("kind", ["logistic", "boosting", "referral-trees", "cox", "weibull", "purchases", "orders"])
def test_flipped_and_cut_bytes_end_in_errors_of_ours(made, kind):
    chance = random.Random(kind)
    for number in range(30):
        _, predict, folder = made(kind)
        file = chance.choice(sorted(folder.iterdir()))
        content = bytearray(file.read_bytes())
        if number % 3 == 0:
            del content[chance.randrange(len(content)) :]
        else:
            for _ in range(chance.choice([1, 5, 50])):
                content[chance.randrange(len(content))] = chance.randrange(256)
        file.write_bytes(bytes(content))
        if not same_content(bytes(content), _made[kind][2][file.name]):
            assert not survives(folder, predict)
        if file.suffix != ".json":  # and with the hashes made right
            reseal(folder)
            survives(folder, predict)


def places(part, path=()):
    """List all places in a document."""
    if isinstance(part, (dict, list)):
        for key, entry in part.items() if isinstance(part, dict) else enumerate(part):
            yield (*path, key)
            yield from places(entry, (*path, key))


ODD = [None, True, 0, -1, 1.5, 1e308, 2**63, "", "x", "logistic", "boosting", [], [1], {}, {"a": 1}, [[0.5]], "\ud800"]


@pytest.mark.parametrize("kind", ["logistic", "isotonic", "referral-trees", "cox", "weibull", "purchases", "orders"])
def test_random_edits_of_a_sealed_document_end_in_errors_of_ours(made, kind):
    chance = random.Random(kind)
    for _ in range(20 if kind == "referral-trees" else 60):  # trees take a quarter of a second each
        _, predict, folder = made(kind)

        def edit(about):
            for _ in range(chance.choice([1, 1, 2])):
                path = chance.choice(list(places(about)))
                table = about
                for step in path[:-1]:
                    table = table[step]
                if chance.random() < 0.2:
                    del table[path[-1]]
                else:
                    table[path[-1]] = chance.choice(ODD)

        try:
            reseal(folder, edit)
        except (UnicodeEncodeError, AttributeError, TypeError):
            continue
        survives(folder, predict)


@pytest.mark.parametrize("kind", ["logistic", "isotonic", "referral", "cox", "lognormal", "kaplan-meier", "purchases"])
def test_arrays_of_other_shapes_and_numbers_end_in_errors_of_ours(made, kind):
    _, _, folder = made(kind)
    with np.load(the_file(folder, ".npz")) as stored:
        arrays = dict(stored)
    for name, array in arrays.items():
        for other in (
            array[..., :-1], array[None], array.ravel()[:0], array * np.nan, -array, array + np.inf,
            array.astype(np.float32), array.astype(str), np.zeros((0, 3)),
        ):  # fmt: skip
            _, predict, folder = made(kind)
            out = io.BytesIO()
            np.savez(out, **(arrays | {name: other}))
            npz(folder, out.getvalue())
            if survives(folder, predict):
                assert other.dtype == np.float64
                assert other.shape == array.shape or kind == "isotonic"  # of which any number of steps is a curve
        _, predict, folder = made(kind)
        out = io.BytesIO()
        np.savez(out, **{key: value for key, value in arrays.items() if key != name})
        npz(folder, out.getvalue())
        assert not survives(folder, predict)
