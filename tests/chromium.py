"""Headless Chromium for the tests of the web page, and how they look at it."""

import contextlib
import json
import shutil
from urllib.parse import urlsplit

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
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

# Drops or pastes a file onto the page: "drop" or "paste", its name, and its bytes in base64.
GIVE = """
const [type, name, data, done] = arguments;
const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
if (name) transfer.items.add(new File([bytes], name, { type: "image/png" }));
const event = type === "paste" ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
  : new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
document.getElementById("stage").dispatchEvent(event);
"""


@contextlib.contextmanager
def open_browser(profile, film):
    """Chromium with an empty ``profile`` folder and a camera that films ``film``, a file of Motion JPEG."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--use-file-for-fake-video-capture={film}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextlib.contextmanager
def opened(browser, url):
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


def texts(page, selector):
    return [element.text for element in find(page, selector)]
