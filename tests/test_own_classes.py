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


@pytest.mark.parametrize(
    ("names", "model"),
    [
        pytest.param(TWO, "mlp", id="two"),
        pytest.param(TWO, "cnn", id="two-cnn", marks=pytest.mark.nightly),
        pytest.param(FORTY, "cnn", id="forty-cnn", marks=pytest.mark.nightly),
    ],
)
def test_from_folder_to_page(tmp_path, capsys, names, model):
    write_pictures(tmp_path / "pictures", names)
    sizes = {"cnn.widths": (2, 3), "cnn.blocks": (1, 1)}
    config = tiny_config(dataset=str(tmp_path / "pictures"), epochs=1, model=model, **sizes)
    where = tmp_path / "run"
    run("train", config, where)
    named = ", ".join(f"{name} ({number})" for number, name in enumerate(names))
    out = capsys.readouterr().out
    assert f"pictures in folders by class: {4 * len(names)} training, {2 * len(names)} validation, " in out
    assert f"{len(names)} classes: {named}" in out

    run("eval", config, where)
    result = json.loads((where / "eval" / "metrics.json").read_text())
    assert list(result["per_class"]) == list(names)
    assert np.sum(result["confusion_matrix"], axis=1).tolist() == [2] * len(names)
    assert (where / "eval" / "confusion_matrix.png").exists()

    classifier = choose.load(where)
    output = tmp_path / "out.csv"
    images = read_picture(tmp_path / "pictures" / "val" / names[0] / "4.png")[None, ..., None]
    table = tmp_path / "faces.csv"
    table.write_text(f"id,pixels\nx,{' '.join(map(str, images.ravel()))}\n")
    run("predict", config, where, input=str(table), output=str(output), probabilities=True)
    rows = [line.split(",") for line in output.read_text().splitlines()]
    assert rows[0] == ["id", "label", *names]
    expected = classifier.predict(images)[0]
    np.testing.assert_allclose([float(p) for p in rows[1][2:]], expected, atol=1e-4)
    assert int(rows[1][1]) == expected.argmax()

    run("explain", config, where)
    assert {path.name for path in (where / "explain").iterdir()} >= {"saliency.png", "expressions.png"}

    run("export", config, where, output=str(tmp_path / "export"))
    content = json.loads((tmp_path / "export" / "model.json").read_text())
    assert content["labels"] == list(names)
    made = onnx.load(tmp_path / "export" / "model.onnx")
    np.testing.assert_allclose(onnx_predict(made.SerializeToString())(images)[0], expected, atol=1e-5)

    app = serve(dict(classifier.config), where)
    about = test_serve.call(app, "GET", "/about").json()
    assert about["labels"] == list(names)
    assert about["classes"].startswith(f"{len(names)} classes ({names[0]}, ")
    answer = test_serve.call(app, content=png(scene(1))).json()
    assert list(answer["faces"][0]["probabilities"]) == list(names)
    assert answer["faces"][0]["label"] in names
