"""Run one stage, in benchmarks/: ``python -m gpu_stages STAGE SETTING RESULTS``; SETTING is JSON."""

import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gpu_stages import Setting


def main(stage: str, setting: str, results: str) -> None:
    given, figures, path = json.loads(setting), {}, Path(results)
    paths = {name: Path(given[name]) for name in ("runs", "output")}

    def tell(**more) -> None:
        figures.update(more)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(figures, indent=1))
        temporary.replace(path)

    importlib.import_module(f"gpu_stages.{stage}").run(Setting(**(given | paths)), tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
