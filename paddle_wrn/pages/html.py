"""Values -> HTML: the one template environment, and pictures that lie inside a page."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image


def render(package: str, template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        package: whose folder `templates` holds it.
        template: name of the file there.
        values: what the template asks for; all text is escaped.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,  # class names and file names are a stranger's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(picture: NDArray[np.uint8], quality: int) -> str:
    """Return a picture as the address of an `<img>`.

    Args:
        picture: (H, W, 3) uint8.
        quality: of the JPEG file, up to 95.
    """
    content = BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
