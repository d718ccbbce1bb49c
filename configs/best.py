r"""The most accurate network here: 4.0 M parameters, which sees faces enlarged to 80 pixels.

python main.py --config=configs/best.py --config.dataset=fer2013.csv \
    --config.initial_weights=runs/large,runs/large-6 "--config.train_sides=(80,)" --config.epochs=1 \
    --config.learning_rate=0
    ends a chain of runs that teach each other, or go on from each other: docs/accuracy.md has the commands of
    all, and what each takes. 72.7 % on PublicTest, and 73.1 % as the mean over a face and its mirror
    image. The package includes these weights.
python main.py --config=configs/best.py --config.dataset=fer2013.csv --config.teacher=best
    begins from random weights, taught by the network in the package. This was not measured.
python main.py --config=configs/best.py --mode=predict --input=test.csv --output=out.csv
    uses these weights if there is no runs/best.

For a larger network or a longer run on a GPU, set cnn.widths, cnn.blocks and epochs. Leave cnn.dtype as it
is: an NVIDIA GPU multiplies float32 in TF32, and bfloat16 takes minutes to compile (docs/scaling.md).
docs/accuracy.md says on what the figures were measured.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.model = "cnn"
    config.cnn.widths = (32, 160, 320)
    config.cnn.side = 80
    config.cnn.activation = "silu"
    config.cnn.dropout = 0.4
    config.augment = True
    config.augmentation.erasing_probability = 0.25
    config.train_sides = (32, 32, 40, 64, 80)
    config.epochs = 40
    config.optimizer = "muon"
    config.learning_rate = 0.03
    config.momentum = 0.95
    config.views = "flip"
    return config
