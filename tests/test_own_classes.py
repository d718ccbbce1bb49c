"""Networks of two and of forty classes, from a folder of pictures through every mode to the web page."""

import json

import numpy as np
import onnx
import pytest
from PIL import Image

import test_serve
from fer_jax.checkpoints import choose
from fer_jax.data.read_pictures import read_picture
from fer_jax.export.files import onnx_predict
from fer_jax.serve import run as run_serve
from served import png, scene
from tiny_run import run, tiny_config

TWO = ("cat", "dog")
FORTY = tuple(f"person {number:02}" for number in range(40))


def write_pictures(folder, names):
    """Noise around a level that says the class; six pictures of each, two of them for validation."""
    draw = np.random.default_rng(0)
    for number, name in enumerate(names):
        for picture in range(6):
            level = 40 + 170 * number / len(names)
            face = np.clip(draw.normal(level, 40, (48, 48)), 0, 255).astype(np.uint8)
            path = folder / ("train" if picture < 4 else "val") / name / f"{picture}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(face).save(path)


def serve(config, where):
    """The application that ``--mode=serve`` would run."""
    caught = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_serve, "_run", lambda uvicorn, app, listener: caught.append(app))
        config["serve"] = {"host": "127.0.0.1", "port": 0}
        run("serve", config, where, overrides=["serve.host", "serve.port"])
    return caught[0]


def train_and_predict(folder, names, capsys, **changes):
    """Train, score and predict a face -> the config, the run's folder, the face, and its probabilities."""
    write_pictures(folder / "pictures", names)
    config = tiny_config(dataset=str(folder / "pictures"), epochs=1, **changes)
    where = folder / "run"
    run("train", config, where)
    named = ", ".join(f"{name} ({number})" for number, name in enumerate(names))
    out = capsys.readouterr().out
    assert f"pictures in folders by class: {4 * len(names)} training, {2 * len(names)} validation, " in out
    assert f"{len(names)} classes: {named}" in out

    run("eval", config, where)
    result = json.loads((where / "eval" / "metrics.json").read_text())
    assert list(result["per_class"]) == list(names)
    assert np.sum(result["confusion_matrix"], axis=1).tolist() == [2] * len(names)
    assert max(map(len, (where / "eval" / "report.txt").read_text().splitlines())) < 130

    image = read_picture(folder / "pictures" / "val" / names[0] / "4.png")[None, ..., None]
    (folder / "faces.csv").write_text(f"id,pixels\nx,{' '.join(map(str, image.ravel()))}\n")
    output = folder / "out.csv"
    run("predict", config, where, input=str(folder / "faces.csv"), output=str(output), probabilities=True)
    header, row = (line.split(",") for line in output.read_text().splitlines())
    expected = choose.load(where).predict(image)[0]
    assert header == ["id", "label", *names]
    np.testing.assert_allclose([float(p) for p in row[2:]], expected, atol=1e-4)
    assert int(row[1]) == expected.argmax()
    return config, where, image, expected


@pytest.mark.nightly
@pytest.mark.parametrize("names", [TWO, FORTY], ids=["two", "forty"])
def test_from_folder_to_page(tmp_path, capsys, names):
    sizes = {"model": "cnn", "cnn.widths": (2, 3), "cnn.blocks": (1, 1)}
    config, where, image, expected = train_and_predict(tmp_path, names, capsys, **sizes)
    assert (where / "eval" / "confusion_matrix.png").exists()

    run("explain", config, where)
    assert {path.name for path in (where / "explain").iterdir()} >= {"saliency.png", "expressions.png"}

    run("export", config, where, output=str(tmp_path / "export"))
    content = json.loads((tmp_path / "export" / "model.json").read_text())
    assert content["labels"] == list(names)
    made = onnx.load(tmp_path / "export" / "model.onnx").SerializeToString()
    np.testing.assert_allclose(onnx_predict(made)(image)[0], expected, atol=1e-5)

    app = serve(dict(choose.load(where).config), where)
    about = test_serve.call(app, "GET", "/about").json()
    assert about["labels"] == list(names)
    assert about["classes"].startswith(f"{len(names)} classes ({names[0]}, ")
    answer = test_serve.call(app, content=png(scene(1))).json()
    assert list(answer["faces"][0]["probabilities"]) == list(names)
    assert answer["faces"][0]["label"] in names


# From here on no pictures are drawn, as the fixture wants it for the rest of a module.


@pytest.mark.parametrize("names", [TWO, pytest.param(FORTY, marks=pytest.mark.nightly)], ids=["two", "forty"])
def test_from_folder_to_predictions(tmp_path, capsys, no_plots, names):
    train_and_predict(tmp_path, names, capsys)
