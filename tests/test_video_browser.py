"""The videos that predict writes are played by a real browser: headless Chromium."""

import pytest

import clips
from chromium import needs_chromium, open_browser, wait
from fer_jax.data.video_writer import VideoWriter

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    with open_browser(folder / "profile", folder / "film.mjpeg") as driver:
        yield driver


@pytest.mark.parametrize("codec", [pytest.param("VP80", marks=pytest.mark.nightly), "VP90"])
def test_a_copy_plays_to_its_end(browser, tmp_path, monkeypatch, codec):
    monkeypatch.setattr("fer_jax.data.video_writer._CODECS", (codec,))
    faces = clips.people()
    writer = VideoWriter(tmp_path / "a.webm", size=clips.SIZE, rate=10.0)
    for at in (0.0, 0.1, 0.2, 0.7, 1.0, 1.4):
        writer.write(clips.picture_at(2 * at, faces), at)
    writer.finish()
    page = tmp_path / "page.html"
    page.write_text('<video id="video" src="a.webm" muted></video>')
    browser.get(page.as_uri())
    state = "const v = document.getElementById('video'); return "
    wait(browser, lambda: browser.execute_script(f"{state}v.readyState >= 3 || v.error !== null"))
    assert browser.execute_script(f"{state}v.error && v.error.message") is None
    assert browser.execute_script(f"{state}[v.videoWidth, v.videoHeight]") == list(clips.SIZE)
    assert browser.execute_script(f"{state}v.duration") == pytest.approx(1.5, abs=0.11)
    browser.execute_script(f"{state}v.play()")
    wait(browser, lambda: browser.execute_script(f"{state}v.ended || v.error !== null"))
    assert browser.execute_script(f"{state}v.error && v.error.message") is None
    assert browser.execute_script(f"{state}v.currentTime") == pytest.approx(1.5, abs=0.11)
    # What is on the screen in the end is the last picture.
    shown = browser.execute_script(
        f"{state.removesuffix('return ')}const c = document.createElement('canvas');"
        "c.width = v.videoWidth; c.height = v.videoHeight; const d = c.getContext('2d');"
        "d.drawImage(v, 0, 0);"
        "try { return [...d.getImageData(100, 80, 1, 1).data] } catch (e) { return null }"
    )
    if shown is not None:  # some browsers let no page read what a file shows
        expected = clips.picture_at(2.8, faces).getpixel((100, 80))
        assert max(abs(a - b) for a, b in zip(shown, expected, strict=False)) < 25
