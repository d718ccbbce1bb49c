"""Makes docs/serve.png: the web page as headless Chromium shows it, with three portraits that we drew.

python main.py --config=configs/best.py --mode=serve
python docs/make_serve_picture.py http://127.0.0.1:8000
"""

import argparse
import base64
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image, ImageDraw
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from fer_jax.data.synthetic.faces import draw_faces

# Number of the face, left, top and side in pixels. Cropped as FER2013 does, ``best`` names them rightly.
PORTRAITS = ((32, 90, 190, 330), (9, 520, 120, 300), (38, 930, 230, 300))
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
WIDTH, HEIGHT = 1200, 870


def wall() -> Image.Image:
    """Three framed portraits on a wall."""
    faces = draw_faces(40, seed=0).images[..., 0]
    picture = Image.new("RGB", (1320, 760), (190, 202, 198))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 660, 1320, 760), fill=(148, 122, 98))
    for number, left, top, side in PORTRAITS:
        box = (left - 22, top - 22, left + side + 21, top + side + 21)
        draw.rectangle([value + 8 for value in box], fill=(160, 172, 168))
        draw.rectangle(box, fill=(94, 72, 52))
        draw.rectangle([box[0] + 12, box[1] + 12, box[2] - 12, box[3] - 12], fill=(236, 232, 222))
        face = Image.fromarray(faces[number]).resize((side, side), Image.Resampling.BICUBIC)
        picture.paste(face.convert("RGB"), (left, top))
    return picture


def start(options: webdriver.ChromeOptions) -> webdriver.Chrome:
    # With a driver named, Selenium does not look for one on the network.
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def main(url: str) -> None:
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as folder, start(options) as browser:
        wall().save(f"{folder}/wall.png")
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(url)
        browser.find_element("id", "file").send_keys(f"{folder}/wall.png")
        wait = WebDriverWait(browser, 30)
        wait.until(lambda page: len(page.find_elements("css selector", ".card")) == len(PORTRAITS))
        browser.find_element("id", "heat").click()
        wait.until(lambda page: page.find_element("css selector", ".crop .heat").is_displayed())
        time.sleep(0.3)  # the switch glides
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    (Path(__file__).parent / "serve.png").write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url", help="the address of the page")
    main(parser.parse_args().url)
