"""What ``pip install .`` installs: the command, the configs, weights, the page."""

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CASE = "id,feature\n7," + " ".join(["9", "200"] * 1152) + "\n"


def test_every_folder_of_the_package_is_named():
    """Named one by one, since the configs are taken from beside the package."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "fer_jax").rglob("__init__.py")
    }
    assert set(settings["packages"]) == folders | {"fer_jax.configs"}
    assert settings["package-dir"]["fer_jax.configs"] == "configs"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with an sdist, and the wheel that is made of it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.nightly
def test_sdist_and_wheel(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True)
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("configs/best.py", "configs/default.py", "weights/tiny.npz", "serve/static/index.html"):
        assert f"fer_jax/{name}" in names
    assert all(name.startswith(("fer_jax/", "fer_jax-")) for name in names)  # nothing beside the package


@pytest.mark.nightly
def test_the_command_in_an_environment_of_its_own(built, tmp_path):
    """From another folder. Takes what it needs from this environment, but not fer_jax."""
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = built.glob("*.whl")
    install = [scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel]
    subprocess.run(install, check=True)
    (tmp_path / "faces.csv").write_text(CASE)
    libraries = os.pathsep.join(path for path in sys.path if "site-packages" in path)
    arguments = ["--config=best", "--mode=predict", "--input=faces.csv", "--output=out.csv"]
    done = subprocess.run(
        [scripts / "fer-jax", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": libraries, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"config: {tmp_path}" in done.stderr
    assert (tmp_path / "out.csv").read_text().startswith("id,label\n7,")
