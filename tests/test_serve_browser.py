"""The web page in a real browser: headless Chromium against a server in a process of its own."""

import base64
import io
import json
import shutil
from urllib.parse import urlsplit

import pytest

from fer_jax.labels import LABELS
from served import png, scene, server

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)
# Nothing that the browser does of its own accord, and a camera that shows what a file holds.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures to choose."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "two.png").write_bytes(png(scene(2)))
    (folder / "one.png").write_bytes(png(scene(1, first=2)))
    (folder / "text.png").write_text("no picture")
    tiff = io.BytesIO()
    scene().save(tiff, format="tiff")
    (folder / "one.tiff").write_bytes(tiff.getvalue())
    film = io.BytesIO()
    scene(1).resize((640, 480)).save(film, format="jpeg", quality=95)
    (folder / "film.mjpeg").write_bytes(film.getvalue())  # of one picture, shown again and again
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The server's own folder."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def url(own):
    with server(own) as address:
        yield address


@pytest.fixture(scope="module")
def browser(folder, tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    film = folder / "film.mjpeg"
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--use-file-for-fake-video-capture={film}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, url):
    """The page, freshly opened. Afterwards: it asked its own server alone, and kept to its policy."""
    browser.get(url)
    wait(browser, lambda: find(browser, "#limits dt"))
    yield browser
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    hosts = {urlsplit(address).netloc for address in asked if urlsplit(address).scheme in ("http", "https")}
    assert hosts == {urlsplit(url).netloc}
    # A refused picture's status is the one thing that the browser reports by itself.
    assert [e for e in browser.get_log("browser") if "status of 4" not in e["message"]] == []


def find(page, selector):
    return page.find_elements("css selector", selector)


def one(page, selector):
    (element,) = find(page, selector)
    return element


def wait(page, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 30, poll_frequency=0.05).until(lambda _: condition())


def choose(page, path):
    one(page, "#file").send_keys(str(path))


def texts(page, selector):
    return [element.text for element in find(page, selector)]


def shares(page):
    """Percent of the bars, a list for each card."""
    cards = find(page, ".card")
    return [
        [int(v.text.rstrip(" %")) for v in card.find_elements("css selector", ".value")] for card in cards
    ]


def test_a_chosen_picture(page, folder):
    assert one(page, "#model").text.startswith(
        "Seven expressions, named by a neural network of 96,223 parameters that learnt from FER2013. "
    )
    assert "Expressions are not feelings" in texts(page, "#limits dt")
    choose(page, folder / "two.png")
    wait(page, lambda: len(find(page, ".card")) == 2)
    for card, percents in zip(find(page, ".card"), shares(page), strict=True):
        labels = [label.text for label in card.find_elements("css selector", ".label")]
        assert labels == list(LABELS)
        assert sum(percents) == pytest.approx(100, abs=4)
        top = labels[percents.index(max(percents))]
        assert card.find_element("css selector", "h2").text.endswith(f": {top}")
        assert card.find_element("css selector", ".top .label").text == top
        fills = card.find_elements("css selector", ".fill")
        tracks = card.find_elements("css selector", "li .track")
        for fill, track, percent in zip(fills, tracks, percents, strict=True):
            wide = 100 * fill.size["width"] / track.size["width"]
            assert wide == pytest.approx(percent, abs=1.5)
    assert one(page, "#status").text.startswith("2 faces: ")
    assert not one(page, "#error").is_displayed()
    # The boxes lie where scene() put the faces, 200 wide, on 900 x 720.
    photo = one(page, "#photo").rect
    scale = photo["width"] / 900
    for box, (x, y) in zip(find(page, ".box"), ((160, 190), (460, 280)), strict=True):
        middle = (box.rect["x"] + box.rect["width"] / 2, box.rect["y"] + box.rect["height"] / 2)
        assert middle[0] - photo["x"] == pytest.approx(x * scale, abs=20 * scale)
        assert middle[1] - photo["y"] == pytest.approx(y * scale, abs=20 * scale)
        assert 0.6 < box.rect["width"] / (200 * scale) < 1.2


def test_heat_by_the_keyboard(page, folder):
    choose(page, folder / "one.png")
    wait(page, lambda: find(page, ".card"))
    heat, switch = one(page, ".crop .heat"), one(page, "#heat")
    assert not heat.is_displayed()
    switch.send_keys(" ")
    wait(page, lambda: heat.is_displayed())
    assert one(page, ".on-picture").is_displayed()
    assert one(page, "#heat-note").is_displayed()
    assert heat.get_property("naturalWidth") == 48
    switch.send_keys(" ")
    wait(page, lambda: not heat.is_displayed())


def test_names_for_screen_readers(page, folder):
    assert one(page, "#file").accessible_name == "Choose a picture"
    choose(page, folder / "one.png")
    wait(page, lambda: find(page, ".card"))
    switch = one(page, "#heat")
    assert (switch.aria_role, switch.accessible_name) == ("switch", "Grad-CAM")
    assert one(page, ".card ul").accessible_name == "Face: probability of each expression"
    assert one(page, ".card .face").accessible_name == "Face, 48 by 48 grey pixels"


def test_an_error_and_on(page, folder):
    choose(page, folder / "text.png")
    wait(page, lambda: one(page, "#error").is_displayed())
    assert "no picture that can be read" in one(page, "#error").text
    assert not find(page, ".card")
    choose(page, folder / "one.png")
    wait(page, lambda: find(page, ".card"))
    assert not one(page, "#error").is_displayed()
    # The browser cannot show it, the server can read it.
    choose(page, folder / "one.tiff")
    wait(page, lambda: find(page, ".card") and not one(page, "#photo").is_displayed())


GIVE = """
const [type, name, data, done] = arguments;
const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
if (name) transfer.items.add(new File([bytes], name, { type: "image/png" }));
const event = type === "paste" ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
  : new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
document.getElementById("stage").dispatchEvent(event);
"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_drop_and_paste(page, way):
    page.execute_script(GIVE, way, "a.png", base64.b64encode(png(scene(2))).decode())
    wait(page, lambda: len(find(page, ".card")) == 2)
    page.execute_script(GIVE, way, "", "")
    wait(page, lambda: one(page, "#error").is_displayed())


def test_camera(page):
    one(page, "#camera").click()
    wait(page, lambda: find(page, ".card"))
    assert one(page, "#video").is_displayed()
    assert one(page, "#status").text.startswith("1 face: ")
    one(page, "#snap").click()
    wait(page, lambda: one(page, "#photo").is_displayed() and find(page, ".card"))
    assert not one(page, "#video").is_displayed()
    assert one(page, "#camera").text == "Use the camera"


# The browser asks whether the camera is allowed until ``allow`` is called; ``opened`` are the films.
ASK = """
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.opened = [];
const asked = new Promise((resolve) => (window.allow = resolve));
navigator.mediaDevices.getUserMedia = async (what) => {
  await asked;
  const film = await real(what);
  window.opened.push(film);
  return film;
};
"""
FILMING = "return opened.map((film) => film.getTracks().some((track) => track.readyState === 'live'))"


def test_camera_stopped_while_the_browser_asks(page):
    page.execute_script(ASK)
    for expected in ("Stop the camera", "Use the camera", "Stop the camera"):
        one(page, "#camera").click()
        assert one(page, "#camera").text == expected
    page.execute_script("allow()")
    wait(page, lambda: find(page, ".card"))
    assert sorted(page.execute_script(FILMING)) == [False, True]
    one(page, "#camera").click()
    assert page.execute_script(FILMING) == [False, False]


def test_a_picture_while_the_browser_asks(page):
    """The picture stays, the camera ends as soon as it begins."""
    page.execute_script(ASK)
    one(page, "#camera").click()
    page.execute_script(GIVE, "drop", "a.png", base64.b64encode(png(scene(2))).decode())
    page.execute_script("allow()")
    wait(page, lambda: len(find(page, ".card")) == 2)
    wait(page, lambda: page.execute_script(FILMING) == [False])
    assert one(page, "#photo").is_displayed()
    assert one(page, "#camera").text == "Use the camera"
    assert not one(page, "#error").is_displayed()


# What the browser does when the camera is unplugged: the track ends, and says so.
UNPLUG = """
const [track] = document.getElementById("video").srcObject.getTracks();
track.stop();
track.dispatchEvent(new Event("ended"));
"""


def test_camera_unplugged(page):
    """It says so, at once, and works again once it is back."""
    one(page, "#camera").click()
    wait(page, lambda: find(page, ".card"))
    page.execute_script(UNPLUG)
    wait(page, lambda: one(page, "#error").is_displayed())
    assert one(page, "#error").text.startswith("The camera has gone: it was unplugged")
    assert one(page, "#status").text == ""
    assert one(page, "#camera").text == "Use the camera"
    assert not one(page, "#video").is_displayed()
    assert not find(page, ".card")
    one(page, "#camera").click()
    wait(page, lambda: find(page, ".card"))
    assert not one(page, "#error").is_displayed()
    one(page, "#camera").click()


REFUSE = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', arguments[0]))"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("NotAllowedError", "The camera was refused. Allow it"),
        ("NotReadableError", "The camera is busy: another program uses it"),
        ("NotFoundError", "No camera was found. Plug one in"),
    ],
)
def test_camera_that_cannot_start(page, name, line):
    page.execute_script(REFUSE, name)
    one(page, "#camera").click()
    wait(page, lambda: one(page, "#error").is_displayed())
    assert one(page, "#error").text.startswith(line)
    assert one(page, "#camera").text == "Use the camera"


@pytest.mark.parametrize("width", [390, 1200])
def test_fits_its_window(page, folder, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    choose(page, folder / "two.png")
    wait(page, lambda: len(find(page, ".card")) == 2)
    root = "document.documentElement"
    assert page.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
    beside = find(page, ".card")[0].rect["x"] > one(page, "#stage").rect["x"]
    assert beside == (width > 860)
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_was_kept(page, folder, own):
    choose(page, folder / "one.png")
    wait(page, lambda: find(page, ".card"))
    assert [path for path in own.rglob("*") if path.is_file()] == []
