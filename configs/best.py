r"""The most accurate network here: 4.0 M parameters, an evening of training on 2 cores.

python main.py --config=configs/best.py --config.dataset=fer2013.csv --config.teacher=runs/third \
    --workdir=runs/wide
    1 h 34 min on 2 cores; 70.4 % on PublicTest. The teacher is the last of three runs of a smaller network,
    whose commands are in docs/accuracy.md.
python main.py --config=configs/best.py --config.dataset=fer2013.csv --config.teacher=runs/wide,runs/third \
    --config.initial_weights=runs/wide "--config.train_sides=(48,)" --config.epochs=12 \
    --config.learning_rate=0.01 --config.warmup_epochs=0.5
    continues from it at full size, with both as teachers: 41 minutes more; 71.2 %, and 72.0 % as the mean
    over a face, the face zoomed in and out, and their mirror images. The package includes these weights.
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
    config.cnn.activation = "silu"
    config.cnn.dropout = 0.4
    config.augment = True
    config.augmentation.erasing_probability = 0.25
    config.train_sides = (32, 32, 40, 48, 48)
    config.epochs = 40
    config.optimizer = "muon"
    config.learning_rate = 0.03
    config.momentum = 0.95
    config.views = "zoom"
    return config
