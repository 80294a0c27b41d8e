"""Name what photos show, without paddle_wrn: python example.py PHOTO...

Needs NumPy, Pillow and what runs the network, onnxruntime or paddlepaddle. contract.json says all else.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

FOLDER = Path(__file__).resolve().parent
CONTRACT = json.loads((FOLDER / "contract.json").read_text(encoding="utf-8"))
INPUT, CALIBRATION, MODEL = (CONTRACT[part] for part in ("preprocessing", "calibration", "model"))
FILES = [str(FOLDER / name) for name in CONTRACT["files"]]

if CONTRACT["format"] == "onnx":
    import onnxruntime

    session = onnxruntime.InferenceSession(*FILES, providers=["CPUExecutionProvider"])
elif CONTRACT["format"] == "paddle":
    import paddle

    config = paddle.inference.Config(*FILES)
    config.disable_glog_info()
    config.disable_mkldnn()  # oneDNN's fused programs crash on some networks
    predictor = paddle.inference.create_predictor(config)
else:  # weights alone: the layers are in paddle_wrn
    import paddle

    from paddle_wrn.models import create_model

    model = create_model(MODEL["name"], len(INPUT["classes"]), **MODEL["options"])
    model.set_state_dict(paddle.load(*FILES))
    model.eval()


def logits_of(images: Any) -> Any:
    """Run the network. Shape: (N, 3, size, size) float32 -> (N, classes)."""
    if CONTRACT["format"] == "onnx":
        return session.run(None, {session.get_inputs()[0].name: images})[0]
    if CONTRACT["format"] == "paddle":
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(images)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
    return model(paddle.to_tensor(images)).numpy()


def to_rgb(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB; what is transparent becomes black, the colour of the padding."""
    if image.mode.startswith("I"):  # 16-bit grey
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode.upper().endswith("A") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("RGB")


def read_square(photo: str) -> Image.Image:
    """Return a photo, upright, fitted into a black square."""
    size, bicubic = INPUT["size"], Image.Resampling.BICUBIC
    with Image.open(photo) as image:
        width, height = (max(1, int(side * (size / max(image.size)))) for side in image.size)
        draft = image.draft(None, (2 * width, 2 * height)) if INPUT["draft"] else None
        if draft:  # a JPEG photo, decoded at a half, a quarter or an eighth of its size
            small = ImageOps.exif_transpose(to_rgb(image).resize((width, height), bicubic, draft[1]))
        else:
            upright = to_rgb(ImageOps.exif_transpose(image))
            turned = upright.size != image.size
            small = upright.resize((height, width) if turned else (width, height), bicubic)
    square = Image.new("RGB", (size, size))
    square.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return square


def classify(photo: str) -> Any:
    """Return calibrated probabilities, one a class."""
    mean, std = (np.array(INPUT[name], np.float32).reshape(3, 1, 1) for name in ("mean", "std"))
    pixels = np.asarray(read_square(photo), np.float32).transpose(2, 0, 1)
    images = np.ascontiguousarray(pixels * (1 / (255 * std)) - mean / std)[None]
    logits = logits_of(images)
    if INPUT["mirror"]:
        logits = (logits + logits_of(np.ascontiguousarray(images[:, :, :, ::-1]))) / 2
    scaled = logits[0].astype(np.float64) / CALIBRATION["temperature"]
    exponentials = np.exp(scaled - scaled.max())
    return exponentials / exponentials.sum()


for photo in sys.argv[1:]:
    probabilities = classify(photo)
    best = probabilities.argmax()
    doubt = "not sure, perhaps " if probabilities[best] < CALIBRATION["threshold"] else ""
    print(f"{photo}: {doubt}{INPUT['display_names'][best]} {probabilities[best]:.1%}")
