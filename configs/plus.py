r"""``best``'s network taught by FER+: what ten people said of each face, eight classes with contempt.

python main.py --config=configs/plus.py --config.dataset=fer2013.csv --config.votes=fer2013new.csv \
    --config.initial_weights=best --config.epochs=8 --config.learning_rate=0.02 --workdir=runs/plus1
    starts from the weights of best, whose seven outputs it keeps. With what best was until 2026-11-29:
    57 minutes on 2 cores beside other work.
    Of the 3,197 faces of PublicTest that have a majority of votes it names 87.9 % as people do,
    by six views.
python main.py --config=configs/plus.py --config.dataset=fer2013.csv --config.votes=fer2013new.csv \
    --config.initial_weights=runs/plus1 --config.teacher=runs/plus1 --config.teacher_share=0.5 \
    --workdir=runs/plus2
    goes on from it, with it as teacher: 42 minutes more beside other work; 88.3 %.
python main.py --config=configs/plus.py --config.dataset=fer2013.csv --config.votes=fer2013new.csv \
    --config.initial_weights=runs/plus2 --config.teacher=runs/plus2 --config.teacher_share=0.5 \
    --config.epochs=12 --workdir=runs/plus3
    once more: 27 minutes on a faster machine; 88.7 %. The package includes these weights.
python main.py --config=configs/plus.py --mode=predict --input=photo.jpg --output=out.csv
    uses these weights if there is no runs/plus.

fer2013new.csv is in the repository of FER+ (Barsoum et al., 2016). docs/accuracy.md says on what these were
measured.
"""

from configs import best


def get_config():
    config = best.get_config()
    config.cnn.side = 48
    config.views = "zoom"
    config.vote_target = "probability"
    config.label_smoothing = 0.0
    config.train_sides = (48,)
    config.epochs = 6
    config.learning_rate = 0.015
    config.warmup_epochs = 0.5
    return config
