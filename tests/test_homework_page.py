"""The files that docs/homework.md draws have the columns that its commands, and README, say they have."""

import re
from pathlib import Path

from fer_jax.data import inputs

PAGE = Path(__file__).parents[1] / "docs" / "homework.md"


def test_drawn_files(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("2000", "21").replace("700", "14"), {})
    heads = {path.name: path.read_text().splitlines()[0] for path in tmp_path.iterdir()}
    assert heads == {"train.csv": "label,feature", "test.csv": "id,feature"}
    faces = inputs.load_unlabelled(tmp_path / "test.csv")
    assert len(faces) == 14
    assert faces.labels is None
