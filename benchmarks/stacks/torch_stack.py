"""PyTorch: channels-last, float32 or bfloat16 autocast, eager, compiled, or compiled to CUDA graphs.

With CUDA graphs float32 is multiplied in TF32, as JAX does on the same card.
"""

import torch
from torch import nn

from stacks import (
    BATCH_SIZE,
    REFERENCE_HIDDEN,
    REFERENCE_POOL_AFTER,
    REFERENCE_WIDTHS,
    Work,
    cnn_sizes,
    unit_faces,
)


def prepare(benchmark: str, network: str, stack: str) -> Work:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = (reference() if network == "reference" else ResNet(**cnn_sizes(network))).to(device)
    model = model.to(memory_format=torch.channels_last)
    forward = _compiled(model, stack)
    images, labels = unit_faces()
    images = torch.from_numpy(images).permute(0, 3, 1, 2).to(device, memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).long().to(device)
    batches = list(zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True))
    autocast = torch.autocast(device, torch.bfloat16, enabled="bfloat16" in stack)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def train(calls):
        model.train()
        for call in range(calls):
            x, y = batches[call % len(batches)]
            if stack.endswith("graphs"):
                torch.compiler.cudagraph_mark_step_begin()
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                loss = nn.functional.cross_entropy(forward(x), y, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
        _finish(device)

    @torch.inference_mode()
    def evaluate(calls):
        model.eval()
        for _ in range(calls):
            with autocast:
                for x, _ in batches:
                    forward(x).argmax(-1)
        _finish(device)

    if benchmark == "evaluate":
        return Work(evaluate, len(images))
    return Work(train, BATCH_SIZE)


def _compiled(model, stack):
    """The model as the stack runs it."""
    if stack.endswith("graphs"):
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
        return torch.compile(model, mode="reduce-overhead")
    return torch.compile(model) if stack.endswith("compiled") else model


def _finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


def reference() -> nn.Module:
    layers, inputs = [], 1
    for index, width in enumerate(REFERENCE_WIDTHS):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        if index in REFERENCE_POOL_AFTER:
            layers.append(nn.MaxPool2d(2))
        inputs = width
    flat = 6 * 6 * inputs
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(flat, REFERENCE_HIDDEN), nn.ReLU(), nn.Linear(REFERENCE_HIDDEN, 7)
    )


class ResNet(nn.Module):
    """The network of fer_jax/models/cnn.py."""

    def __init__(self, widths, blocks, activation, dropout):
        super().__init__()
        activate = {"relu": nn.ReLU, "silu": nn.SiLU}[activation]
        layers = [nn.Conv2d(1, widths[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(widths[0])]
        layers.append(activate())
        inputs = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers.append(Block(inputs, width, activate))
                inputs = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, 7))

    def forward(self, x):
        return self.head(self.layers(x).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, inputs, width, activate):
        super().__init__()
        self.activate = activate()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            activate(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Identity()
        if inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return self.activate(self.shortcut(x) + self.body(x))
