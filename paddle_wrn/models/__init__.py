"""The networks by name, one family a file.

`create_model("wrn_28_10", num_classes=10, drop_rate=0.3)` builds one; `list_models()` names them;
`python -m paddle_wrn.models` prints what there is.
"""

from paddle_wrn.models.registry import create_model, list_models, register_model
from paddle_wrn.models.wide_resnet import BasicBlock, NetworkBlock, WideResNet

__all__ = ["BasicBlock", "NetworkBlock", "WideResNet", "create_model", "list_models", "register_model"]
