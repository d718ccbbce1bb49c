"""(e) The best run of the chain as weights to copy, in half precision: OUTPUT/best.npz and best.json."""

from gpu_stages import Setting


def run(setting: Setting, tell) -> None:
    name = setting.plan.get("chain", {}).get("best")
    if name is None:
        print("pack: nothing to pack", flush=True)
        return
    from fer_jax.runtime.startup import configure_process

    configure_process()
    from fer_jax.checkpoints import shipped
    from fer_jax.checkpoints.restore import load_best
    from fer_jax.pack_weights import pack

    workdir = setting.runs / name
    best = load_best(workdir)
    record = best.record._replace(rows=[best.row])
    # Something to copy, in case that measuring takes too long.
    shipped.write("best", best.weights, record, {"measured": False}, setting.output)
    tell(name=name, packed=True, measured=False)
    figures = pack(workdir, "best", setting.output)
    accuracies = {views: found["accuracy"] for views, found in figures["validation"].items()}
    tell(measured=True, parameters=figures["parameters"], accuracy=accuracies)
