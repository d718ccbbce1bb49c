"""Keras 3 on JAX or PyTorch, as its users write it: ``compile`` and ``fit``; and its ImageDataGenerator."""

import os

from stacks import (
    BATCH_SIZE,
    REFERENCE_HIDDEN,
    REFERENCE_POOL_AFTER,
    REFERENCE_WIDTHS,
    Work,
    cnn_sizes,
    random_faces,
    unit_faces,
)


def prepare(benchmark: str, network: str, stack: str) -> Work:
    os.environ["KERAS_BACKEND"] = stack.split("-")[1]
    import keras

    if benchmark == "augment":
        return _image_data_generator()
    model = _reference(keras) if network == "reference" else _resnet(keras, **cnn_sizes())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    images, labels = unit_faces()

    def train(calls):
        for start in range(0, calls, len(images) // BATCH_SIZE):
            steps = min(calls - start, len(images) // BATCH_SIZE)
            count = steps * BATCH_SIZE
            model.fit(images[:count], labels[:count], batch_size=BATCH_SIZE, epochs=1, verbose=0)

    def evaluate(calls):
        for _ in range(calls):
            model.evaluate(images, labels, batch_size=BATCH_SIZE, verbose=0)

    if benchmark == "evaluate":
        return Work(evaluate, len(images))
    return Work(train, BATCH_SIZE)


def _image_data_generator() -> Work:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from configs import default

    ranges = default.get_config().augmentation
    generator = ImageDataGenerator(
        rotation_range=ranges.rotation_range,
        width_shift_range=ranges.width_shift_range,
        height_shift_range=ranges.height_shift_range,
        zoom_range=ranges.zoom_range,
        horizontal_flip=ranges.horizontal_flip,
        fill_mode=ranges.fill_mode,
    )
    images, labels = random_faces()
    batches = generator.flow(images, labels, batch_size=BATCH_SIZE)

    def run(calls):
        for _ in range(calls):
            next(batches)

    return Work(run, BATCH_SIZE)


def _conv(keras, width, size=3, strides=1):
    return keras.layers.Conv2D(width, size, strides=strides, padding="same", use_bias=False)


def _reference(keras):
    layers = [keras.Input((48, 48, 1))]
    for index, width in enumerate(REFERENCE_WIDTHS):
        layers += [_conv(keras, width), keras.layers.BatchNormalization(), keras.layers.ReLU()]
        if index in REFERENCE_POOL_AFTER:
            layers.append(keras.layers.MaxPooling2D())
    dense = keras.layers.Dense
    layers += [keras.layers.Flatten(), dense(REFERENCE_HIDDEN, activation="relu"), dense(7)]
    return keras.Sequential(layers)


def _resnet(keras, widths, blocks, activation, dropout):
    """The network of fer_jax/models/cnn.py."""

    def normalized(x):
        return keras.layers.BatchNormalization()(x)

    def activate(x):
        return keras.layers.Activation(activation)(x)

    inputs = keras.Input((48, 48, 1))
    x = activate(normalized(_conv(keras, widths[0], strides=2)(inputs)))
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        if stage > 0:
            x = keras.layers.MaxPooling2D()(x)
        for _ in range(count):
            y = activate(normalized(_conv(keras, width)(x)))
            y = normalized(_conv(keras, width)(y))
            if x.shape[-1] != width:
                x = normalized(_conv(keras, width, 1)(x))
            x = activate(x + y)
    x = keras.layers.Dropout(dropout)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(7)(x))
