"""A network and a data set so small that a whole run takes seconds."""

import json

from configs import mlp

TINY = {
    "synthetic.num_train": 70,
    "synthetic.num_validation": 21,
    "synthetic.num_test": 14,
    "mlp.hidden": (8,),
    "batch_size": 16,
    "epochs": 2,
}


def tiny_config(**changes):
    config = mlp.get_config()
    config.update_from_flattened_dict(TINY | changes)
    return config


def read_rows(where):
    return [json.loads(line) for line in (where / "metrics.jsonl").read_text().splitlines()]
