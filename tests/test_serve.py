"""The web page's server: what it answers, what it refuses, that it keeps nothing and goes on."""

import asyncio
import base64
import contextlib
import io
import signal
import socket
import sys
import tempfile
import threading
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import jax
import numpy as np
import pytest
from PIL import Image

import camera as camera_check
import serve as load_check
from configs import cnn
from fer_jax.check_config import check_config
from fer_jax.checkpoints import shipped
from fer_jax.checkpoints.same_run import check_same_run, config_for_evaluation
from fer_jax.checkpoints.weights import Record, Weights
from fer_jax.data import photos
from fer_jax.data.opencv import import_quiet_opencv
from fer_jax.errors import UserError
from fer_jax.explain.saliency import make_grad_cam
from fer_jax.labels import LABELS
from fer_jax.models import create_model, init_variables
from fer_jax.models.forward import make_forward
from fer_jax.runtime.command import plain
from fer_jax.runtime.marks import MARK
from fer_jax.serve import analyse as analysing
from fer_jax.serve import app as serving
from fer_jax.serve import run as run_serve
from fer_jax.serve.about import data_name, limits
from fer_jax.serve.app import make_app
from fer_jax.transforms.normalize import Normalization
from served import png, scene, start, url_of
from tiny_run import command, run

SIZES = {"cnn": {"widths": (4, 8), "blocks": (1, 1)}, "mlp": {"hidden": (8,)}}
HERE = "http://127.0.0.1:8000"


def call(app, method="POST", path="/analyse", *, url=HERE, **request):
    async def once():
        async with client_of(app, url) as client:
            return await client.request(method, path, **request)

    return asyncio.run(once())


def client_of(app, url=HERE):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=url)


def size_of(body):
    """Stands in for the network."""
    return {"faces": [], "width": len(body), "height": 1}


def frame_of(body, heat):
    """Stands in for the network before a camera."""
    return {"faces": [], "width": len(body), "height": 1 + heat}


def fake(analyse=size_of, **options):
    return make_app(analyse, {"name": "fake"}, **({"analyse_frame": frame_of} | options))


def write_weights(folder, model):
    config = cnn.get_config()
    config.update_from_flattened_dict({f"{model}.{name}": size for name, size in SIZES[model].items()})
    config.model = model
    config.train_sides = (48,)
    config.views = "zoom"
    given = plain(config)
    network = create_model(model, given[model])
    variables = init_variables(network, jax.random.key(1))
    weights = Weights(variables, Normalization(*np.full((2, 1, 1, 1), 100, np.float32)))
    row = {"epoch": 3, "step": 12, "val_accuracy": 0.5}
    record = Record(given | {"dataset": "/home/me/fer2013.csv"}, [row], list(LABELS), {"digest": "d"})
    shipped.write("cnn", weights, record, {}, folder)
    return given


def serve_tiny(folder, *, model="cnn", host="127.0.0.1"):
    """What ``--mode=serve`` would run on random weights -> the application, and what was printed."""
    given = write_weights(folder, model)
    given["serve"] = {"host": host, "port": 0}
    caught, printed = [], io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(shipped, "FOLDER", folder)
        patch.setattr(run_serve, "_run", lambda uvicorn, app, listener: caught.append(app))
        overrides = ["serve.host", "serve.port"]
        run("serve", given, folder / "cnn", overrides=overrides, shipped_name="cnn")
    return caught[0], printed.getvalue()


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def real(weights_folder):
    """The application with a tiny CNN."""
    return serve_tiny(weights_folder)[0]


def pixels(data_url):
    kind, _, data = data_url.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def expected(folder, faces):
    """Probabilities and heat of faces, one by one, not the server's way."""
    loaded = shipped.read("cnn", folder)
    weights, record = loaded.weights, loaded.record
    network = {
        "model": create_model("cnn", record.config["cnn"]),
        "normalize_kind": record.config["normalize"],
    }
    # Of pictures, not the zoom that the weights' config has.
    forward, grad_cam = (
        jax.jit(make_forward(**network, views="flip")),
        jax.jit(make_grad_cam(**network)),
    )
    inputs = (weights.variables, weights.normalization)
    for face in faces:
        chance = np.exp(forward(*inputs, face[None]))[0]
        yield chance, np.asarray(grad_cam(*inputs, face[None], np.array([chance.argmax()])))[0]


@pytest.mark.parametrize("count", [1, 6])
def test_answer(real, weights_folder, count):
    """Six faces are more than a batch."""
    picture = scene(count)
    response = call(real, content=png(picture))
    assert response.status_code == 200
    answer = response.json()
    assert (answer["width"], answer["height"], len(answer["faces"])) == (900, 720, count)
    boxes, faces = photos.faces_of(picture)
    chances, heats = map(np.stack, zip(*expected(weights_folder, faces), strict=True))
    assert count == 1 or chances.std(0).max() > 1e-3  # else faces could be mixed up unseen
    for face, box, seen, chance, heat in zip(answer["faces"], boxes, faces, chances, heats, strict=True):
        assert face["box"] == list(photos.whole_pixels(box, picture.size))
        np.testing.assert_allclose(face["seen"], box, atol=0.01)
        assert list(face["probabilities"]) == list(LABELS)
        np.testing.assert_allclose(list(face["probabilities"].values()), chance, atol=1e-5)
        assert face["label"] == LABELS[chance.argmax()]
        np.testing.assert_array_equal(pixels(face["face"]), seen[..., 0])
        red = pixels(face["heat"])[..., 0]
        np.testing.assert_allclose(np.interp(red, (0, 87, 165, 253), np.arange(4) / 3), heat, atol=0.01)


def test_pictures_as_they_come(real):
    """Turned by EXIF, grey, a JPEG, an animation's first frame, a face of 48 x 48: all are read."""
    one = call(real, content=png(scene())).json()["faces"][0]
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    scene().transpose(Image.Transpose.ROTATE_90).save(turned, format="png", exif=exif)
    assert call(real, content=turned.getvalue()).json()["faces"][0]["box"] == one["box"]
    gif = io.BytesIO()
    frames = [scene().convert("L"), Image.new("L", (900, 720))]
    frames[0].save(gif, format="gif", save_all=True, append_images=frames[1:])
    grey = call(real, content=png(scene().convert("L"))).json()["faces"][0]
    assert call(real, content=gif.getvalue()).json()["faces"][0]["box"] == grey["box"]
    face = Image.fromarray(np.arange(48 * 48).reshape(48, 48).astype(np.uint8))
    answer = call(real, content=png(face)).json()
    assert answer["faces"][0]["box"] == [0, 0, 48, 48]
    np.testing.assert_array_equal(pixels(answer["faces"][0]["face"]), np.asarray(face))


def test_pictures_that_are_odd(real):
    """8 bits of content in a file of 16, and a JPEG file without its end mark, are answered as plain ones."""
    plain = call(real, content=png(scene().convert("L"))).json()["faces"][0]
    deep = np.asarray(scene().convert("L")).astype(np.uint16)
    assert call(real, content=png(Image.fromarray(deep))).json()["faces"][0] == plain
    jpeg = io.BytesIO()
    scene().save(jpeg, format="jpeg")
    whole, cut = (call(real, content=body).json() for body in (jpeg.getvalue(), jpeg.getvalue()[:-2]))
    assert whole == cut


def test_faces_without_contrast_are_left_out_of_an_answer(real, monkeypatch):
    monkeypatch.setattr(analysing, "has_contrast", lambda faces: np.arange(len(faces)) != 1)
    whole = call(real, content=png(scene(3))).json()["faces"]
    monkeypatch.undo()
    every = call(real, content=png(scene(3))).json()["faces"]
    assert [face["box"] for face in whole] == [every[0]["box"], every[2]["box"]]


def test_heat_picture():
    """From dark blue to yellow, ever brighter, and the face stays in sight."""
    got = np.asarray(analysing.heat_picture(np.linspace(0, 1, 256)[None]))[0].astype(int)
    assert got[[0, -1], :3].tolist() == [[0, 34, 78], [253, 231, 55]]
    assert (np.diff(got[:, :3] @ (299, 587, 114)) > 0).all()
    assert set(got[:, 3]) == {140}


def png_header(side):
    """A PNG that says it is ``side`` pixels wide and high, and holds hardly any."""
    tiny = png(Image.new("1", (1, 1)))
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + tiny[24:29]
    return tiny[:12] + header + zlib.crc32(header).to_bytes(4, "big") + tiny[33:]


def marked():
    buffer = io.BytesIO()
    scene().save(buffer, format="jpeg", comment=MARK.encode())
    return buffer.getvalue()


def bad_uploads():
    jpeg = io.BytesIO()
    scene().save(jpeg, format="jpeg")
    big = png(Image.new("1", (8000, 8000)))
    return {
        "empty": (b"", 400, "empty"),
        "text": (b"id,label\n1,2\n", 415, "no picture"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "no picture"),
        # Pillow would hand PostScript to another program.
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", 415, "no picture"),
        "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", 415, "HEIC"),
        "cut": (jpeg.getvalue()[:5000], 415, "damaged"),
        "cut header": (png(scene())[:30], 415, "no picture"),
        "64 megapixels": (big, 413, "too large: 64 megapixels (8000 x 8000); at most 50"),
        "bomb": (png_header(60000), 413, "too large: more than 178 megapixels; at most 50"),
        "wall": (png(Image.new("L", (400, 300), 128)), 422, "No face found"),
        "one pixel": (png(Image.new("L", (1, 1))), 422, "No face found"),
        "black": (png(Image.new("L", (48, 48))), 422, "shows nothing"),
        "transparent": (png(Image.new("LA", (48, 48))), 422, "shows nothing"),
        "marked": (marked(), 422, "marked by fer_jax already"),
    }


@pytest.mark.parametrize("name", list(bad_uploads()))
def test_what_gives_no_answer(real, name, tmp_path, monkeypatch):
    """A friendly line, nothing written, and the next picture is answered."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    body, status, words = bad_uploads()[name]
    response = call(real, content=body)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    line = response.json()["error"]
    assert words in line
    assert "\n" not in line
    assert "Error" not in line
    assert call(real, content=png(scene())).status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_bytes_beyond_the_limit_are_not_read(monkeypatch):
    monkeypatch.setattr(serving, "MAX_BYTES", 1000)
    sent = []

    async def parts():
        for number in range(100):
            sent.append(number)
            yield bytes(100)

    app = fake()
    assert call(app, content=bytes(1000)).json()["width"] == 1000
    response = call(app, content=parts())  # does not tell its length
    assert response.status_code == 413
    assert "too large" in response.json()["error"]
    assert len(sent) == 11
    # One that tells it is refused before anything is read.
    sent.clear()
    response = call(app, content=parts(), headers={"content-length": "10000"})
    assert (response.status_code, len(sent)) == (413, 0)


@pytest.mark.parametrize("extra", [{}, {"data": {"comment": "a"}}])
def test_a_form(extra):
    """As ``curl -F`` and a browser's form send a picture: every byte of the file, and nothing besides."""
    got = []
    app = fake(lambda body: got.append(body) or size_of(body))
    body = bytes(range(256)) * 40 + b"\r\n--\r\n\r\n\n\r"
    response = call(app, files={"picture": ("a b.jpg", body, "image/jpeg")}, **extra)
    assert (response.status_code, got) == (200, [body])


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no form"),
        ("multipart/form-data; boundary=x", b"--x\r\nno headers\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nno file\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=x", b"\r\n--x" * 100_000),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; filename="' + bytes(10**6) + b'"\r\n\r\n.\r\n--x--',
        ),
    ],
)
def test_a_form_without_a_file(head, body):
    response = call(fake(), content=body, headers={"content-type": head})
    assert response.status_code == 400
    assert response.json()["error"] == "The form has no file. With curl: -F picture=@photo.jpg"


def test_slow_upload(monkeypatch):
    monkeypatch.setattr(serving, "SECONDS_TO_UPLOAD", 0.05)

    async def parts():
        yield b"a"
        await asyncio.sleep(5)

    response = call(fake(), content=parts())
    assert response.status_code == 408
    assert "longer than" in response.json()["error"]


def test_a_bug_is_no_end():
    """What nobody foresaw: a line for the visitor, no word of what was inside."""

    def broken(body):
        if body == b"bad":
            raise ZeroDivisionError("secret")
        return size_of(body)

    app = fake(broken)
    response = call(app, content=b"bad")
    assert response.status_code == 500
    assert "Something went wrong here" in response.json()["error"]
    assert "secret" not in response.text
    assert call(app, content=b"good").json()["width"] == 4


def test_stays_ready_while_it_computes(monkeypatch):
    """A page is served while a picture is looked at; too many pictures are told to wait."""
    monkeypatch.setattr(serving, "MAX_WAITING", 2)
    go_on, busy = threading.Event(), []

    def slow(body):
        busy.append(threading.get_ident())
        go_on.wait(20)
        return size_of(body)

    async def visit():
        async with client_of(fake(slow)) as client:
            posts = [asyncio.create_task(client.post("/analyse", content=b"x" * n)) for n in (1, 2)]
            while not busy:
                await asyncio.sleep(0.01)
            page, third = await client.get("/"), await client.post("/analyse", content=b"xxx")
            go_on.set()
            return page, third, await asyncio.gather(*posts)

    page, third, answers = asyncio.run(visit())
    assert page.status_code == 200
    assert third.status_code == 503
    assert [answer.json()["width"] for answer in answers] == [1, 2]
    assert len(set(busy)) == 1
    assert busy[0] != threading.get_ident()


def jpeg(picture):
    buffer = io.BytesIO()
    picture.save(buffer, format="jpeg", quality=80)
    return buffer.getvalue()


def test_a_frame_is_answered_as_a_photo(real):
    """The same boxes and probabilities; heat where it is asked for; no face is an answer, too."""
    body = jpeg(scene(3).resize((640, 512)))
    photo, frame, hot = (call(real, path=path, content=body).json() for path in FRAMES)
    assert hot == photo
    assert len(frame["faces"]) == 3
    for one, other in zip(frame["faces"], photo["faces"], strict=True):
        assert one.keys() == other.keys() - {"heat"}
        np.testing.assert_allclose(
            list(one["probabilities"].values()), list(other["probabilities"].values()), atol=1e-5
        )
        assert {name: one[name] for name in ("box", "seen", "label", "face")} == {
            name: other[name] for name in ("box", "seen", "label", "face")
        }
    wall = call(real, path="/frame", content=jpeg(Image.new("L", (640, 480), 128)))
    assert (wall.status_code, wall.json()) == (200, {"faces": [], "width": 640, "height": 480})


FRAMES = ("/analyse", "/frame", "/frame?heat=1")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"text", 415, "no picture"),
        (jpeg(Image.new("L", (1600, 1300))), 413, "3 megapixels (1600 x 1300); at most 2 megapixels"),
        (bytes(2**20 + 1), 413, "too large; at most 1 MB"),
    ],
)
def test_frames_that_give_no_answer(real, body, status, words):
    response = call(real, path="/frame", content=body)
    assert response.status_code == status
    assert words in response.json()["error"]


def test_a_frame_never_waits_and_holds_up_no_photo():
    """Busy at once while a photo or a frame is looked at; photos that come then are answered in turn."""
    go_on, at_work, order = threading.Event(), threading.Event(), []

    def slow(name):
        order.append(name)
        at_work.set()
        go_on.wait(20)
        return {"faces": [], "width": 1, "height": 1}

    app = fake(lambda body: slow(body), analyse_frame=lambda body, heat: slow((body, heat)))

    async def visit(first):
        async with client_of(app) as client:
            busy = asyncio.create_task(client.post(first, content=b"first"))
            while not at_work.is_set():
                await asyncio.sleep(0.01)
            frames = [await client.post("/frame", content=b"stale") for _ in range(3)]
            photo = asyncio.create_task(client.post("/analyse", content=b"photo"))
            await asyncio.sleep(0.05)
            go_on.set()
            return frames, [(await busy).status_code, (await photo).status_code]

    for first, expected in (("/frame?heat=1", (b"first", True)), ("/analyse", b"first")):
        for event in (go_on, at_work):
            event.clear()
        order.clear()
        frames, statuses = asyncio.run(visit(first))
        assert [frame.status_code for frame in frames] == [503] * 3
        assert frames[0].json()["error"] == "The server is busy with other pictures."
        assert statuses == [200, 200]
        assert order == [expected, b"photo"]
    # With nothing else to do, the next frame is answered.
    assert call(app, path="/frame", content=b"new").status_code == 200


def test_page_and_about(real):
    page = call(real, "GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    named = {path.name for path in serving.STATIC.iterdir()} - {"index.html"}
    for name in named:
        assert call(real, "GET", f"/static/{name}").status_code == 200
    assert {name for name in named if f'"/static/{name}"' in page.text} == {"style.css", "app.js", "icon.svg"}
    about = call(real, "GET", "/about").json()
    assert (about["name"], about["network"], about["epoch"], about["accuracy"]) == ("cnn", "cnn", 3, 0.5)
    assert about["trained_on"] == "FER2013"  # not the file's name, nor where it lies
    assert about["grad_cam"]
    titles = [limit["title"] for limit in about["limits"]]
    assert titles[0] == "Expressions are not feelings"
    assert "2013" in dict(limits("fer2013.csv", 0.5))["Who is missing"]
    assert "2013" not in dict(limits("own.csv", 0.5))["Who is missing"]
    assert "means nothing" in dict(limits("synthetic", 0.5))["A demonstration"]
    for path in ("/nothing", "/static/../app.py", "/static/%2e%2e/app.py", "/analyse"):
        assert call(real, "GET", path).status_code in (404, 405)


def test_nothing_of_the_page_comes_from_elsewhere():
    """No address in it names a host; the browser's test sees the same from outside."""
    for path in serving.STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("http://", "!//"), path


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("synthetic", "drawn faces"),
        ("/home/me/icml_face_data.csv.gz", "FER2013"),
        ("kaggle:someone/fer2013", "FER2013"),
        ("kaggle:someone/faces", "someone/faces from Kaggle"),
        ("/home/me/patients.csv", "a data set of its owner's"),
    ],
)
def test_names_for_visitors(dataset, name):
    """What it learnt from, without the names of the owner's files and folders."""
    assert data_name(dataset) == name
    assert "home" not in str(limits(dataset, 0.5))
    assert "patients" not in str(limits(dataset, 0.5))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/static/app.js"), ("POST", "/analyse"), ("POST", "/frame")],
)
def test_security_headers(method, path):
    headers = call(fake(), method, path, content=b"x").headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": HERE}, 200),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        # Behind a proxy that has the name and the certificate.
        ({"origin": "https://faces.example", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_other_pages_may_not_ask(headers, status):
    for path in ("/analyse", "/frame"):
        assert call(fake(), path=path, content=b"x", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:8000", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_only_names_of_this_computer(host, status):
    for method, path in (("GET", "/"), ("POST", "/analyse"), ("POST", "/frame")):
        assert call(fake(), method, path, headers={"host": host}, content=b"x").status_code == status
    if host:
        assert call(fake(local_only=False), headers={"host": host}, content=b"x").status_code == 200


def test_what_serve_prints(tmp_path):
    """Without Grad-CAM where the network is an MLP; a warning where others may come in."""
    app, printed = serve_tiny(tmp_path, model="mlp", host="0.0.0.0")
    first, warning, others, last, *_ = printed.splitlines()
    assert first.startswith("weights: fer_jax/weights/cnn.npz")
    assert warning.startswith("warning: anybody on the network")
    assert last.startswith("serving on http://127.0.0.1:")
    assert others.startswith(f"other computers open http://{socket.gethostname()}:")
    assert not call(app, "GET", "/about", url="http://any.example").json()["grad_cam"]
    answer = call(app, content=png(scene()), url="http://any.example").json()
    assert "heat" not in answer["faces"][0]


@pytest.mark.parametrize(
    ("missing", "words"), [("uvicorn", "requirements-serve.txt"), ("cv2", "requirements-photos.txt")]
)
def test_what_is_not_installed(missing, words, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=f"pip install -r {words}"):
        run("serve", cnn.get_config(), tmp_path)


def test_address_that_cannot_be_had():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1, port {port}: address already in use"):
            run_serve._bind("127.0.0.1", port)
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):  # of the documentation's, never ours
        run_serve._bind("192.0.2.1", 8000)
    with pytest.raises(UserError, match=r"serve\.host"):
        run_serve._bind("a" * 70, 8000)


def test_two_that_start_at_once():
    """Both may hold the address until one listens."""
    with run_serve._bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with run_serve._bind("127.0.0.1", port) as second:
            run_serve._listen(first)
            with pytest.raises(UserError, match=f"port {port}: address already in use"):
                run_serve._listen(second)


def test_the_address_is_no_part_of_a_run():
    saved = plain(cnn.get_config())
    given = saved | {"serve": {"host": "0.0.0.0", "port": 80}}
    older = {name: value for name, value in saved.items() if name != "serve"}
    check_config(given)
    for of_a_run in (saved, older):
        record = Record(of_a_run, [], list(LABELS), {})
        check_same_run(record, given, "runs/x")
        overrides = ["serve.host", "serve.port"]
        config_for_evaluation(record, command("serve", given, "runs/x", overrides=overrides), "runs/x")
    for wrong in ({"host": "", "port": 80}, {"host": "a", "port": 65536}, {"host": "a", "port": -1}):
        with pytest.raises(UserError, match=r"^config\.serve\."):
            check_config(saved | {"serve": wrong})


def test_load_check_finds_wrong_answers(monkeypatch):
    """Of ten answers under load the fourth is another client's."""
    asked = []

    def ask(address, body):
        asked.append(body)
        return 200, b"other" if len(asked) == 2 + 4 else body, 0.25

    monkeypatch.setattr(load_check, "ask", ask)
    latency, seconds, wrong = load_check.measure("", [b"one", b"two"], clients=1, requests=10)
    assert (len(latency), wrong) == (10, 1)
    assert "10 requests, 5.0 per second, p50 250 ms, p95 250 ms, p99 250 ms, 1 wrong" in load_check.report(
        "", latency, 2.0, wrong
    )
    assert seconds < 5


def test_camera_check_reports():
    times = {
        "draw": [1.0, 3.0, 1.0],
        "encode": [5.0] * 3,
        "request": [40.0, 50.0, 40.0, 30.0],
        "seconds": 0.25,
    }
    assert camera_check.report(times) == (
        "camera: 4 frames in 0.2 s, 16.0 frames/s; of a frame: "
        "draw 1.0 ms, encode 5.0 ms, request 40.0 ms, rest 16.5 ms"
    )
    assert "no frame was answered" in camera_check.report(times | {"request": []})


def test_camera_check_films_any_video(tmp_path):
    """What OpenCV can read becomes Motion JPEG, frame by frame."""
    cv2 = import_quiet_opencv()

    clip = camera_check.drawn_clip(tmp_path / "drawn.mjpeg", frames=6)
    assert clip.read_bytes().count(b"\xff\xd8\xff") == 6
    video = str(tmp_path / "video.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for level in (40, 90, 140):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    again = camera_check.to_clip(video, tmp_path / "again.mjpeg").read_bytes()
    frames = [Image.open(io.BytesIO(b"\xff\xd8\xff" + part)) for part in again.split(b"\xff\xd8\xff")[1:]]
    assert [np.asarray(frame).mean() for frame in frames] == pytest.approx([40, 90, 140], abs=3)


def post(url, body):
    with urllib.request.urlopen(urllib.request.Request(f"{url}/analyse", data=body), timeout=60) as response:
        return response.read()


def test_process(tmp_path):
    """Eight clients at once get what each gets alone; a second server has no port; Ctrl-C ends the first."""
    folder, other = tmp_path / "here", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    bodies = [png(scene(count=1 + n % 3, first=n)) for n in range(8)]
    with start(folder) as process:
        try:
            url = url_of(process)
            alone = [post(url, body) for body in bodies]
            assert len(set(alone)) == 8
            with ThreadPoolExecutor(8) as clients:
                for _ in range(2):
                    assert list(clients.map(lambda body: post(url, body), bodies)) == alone
            with start(other, port=int(url.rpartition(":")[2])) as second:
                printed, _ = second.communicate(timeout=120)
            assert second.returncode == 1
            assert "address already in use" in printed
            assert "Traceback" not in printed
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert printed.strip().startswith("stopped; to go on: python ")
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert Path(folder).exists()
