"""The web page in a real browser: headless Chromium against a server in a process of its own."""

import base64
import io

import pytest

from chromium import GIVE, find, needs_chromium, one, open_browser, opened, texts, wait
from fer_jax.labels import LABELS
from served import png, scene

pytestmark = needs_chromium


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
def browser(folder, tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile"), folder / "film.mjpeg") as driver:
        yield driver


@pytest.fixture
def page(browser, url):
    with opened(browser, url) as page:
        yield page


def choose(page, path):
    one(page, "#file").send_keys(str(path))


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


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_drop_and_paste(page, way):
    page.execute_script(GIVE, way, "a.png", base64.b64encode(png(scene(2))).decode())
    wait(page, lambda: len(find(page, ".card")) == 2)
    page.execute_script(GIVE, way, "", "")
    wait(page, lambda: one(page, "#error").is_displayed())


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
