"""What the last linear layer of a network is given: similar photos lie close to one another there.

Features of a frozen backbone are computed once for each photo and kept on disk (`feature_store`).
"""

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.classifier import BATCH_SIZE, Classifier
from paddle_wrn.answering.explanations import features
from paddle_wrn.answering.feature_store import FeatureStore
from paddle_wrn.models.transfer import head_of
from paddle_wrn.models.weights import weights_of
from paddle_wrn.photos.lists import PhotoList
from paddle_wrn.photos.loading import load_photos, photo_digests, prepared_ahead

_VERSION = 1  # raise it whenever the same photo would give other features

Features = NDArray[np.float32]


def backbone_key(classifier: Classifier) -> str:
    """Return a fingerprint of what features depend on: the contract, and all weights but the head's."""
    model, contract = classifier.model, classifier.preprocessing
    head = head_of(model)
    seen = contract.model_dump_json(include={"size", "mean", "std", "mirror", "draft"})
    digest = hashlib.sha256(f"{_VERSION} {type(model).__qualname__} {seen}".encode())
    for name, array in sorted(weights_of(model).items()):
        if not name.startswith(f"{head}."):
            digest.update(f"{name} {array.shape}".encode())
            digest.update(array.data)
    return digest.hexdigest()


def features_of_list(
    classifier: Classifier,
    photo_list: PhotoList,
    store: FeatureStore | None,
    on_photos: Callable[[int], object] = lambda photos: None,
) -> Features:
    """Return the features of all photos of a list; those that are known already are not computed again.

    Args:
        classifier: the network.
        photo_list: which photos.
        store: where the features of this backbone are kept; None: nowhere.
        on_photos: called with the number of photos done after each batch.

    Returns:
        (N, F), the mean over a photo and its mirror image where the contract asks for that.

    Raises:
        UserError: a photo is missing or broken, there is no room for features, or the network has no linear
            layer at its end.
    """
    width = dict(classifier.model.named_sublayers())[head_of(classifier.model)].weight.shape[0]
    found = np.empty((len(photo_list), width), np.float32)
    digests = photo_digests(photo_list) if store is not None else [""] * len(photo_list)
    known = store.read(digests, width) if store is not None else {}
    missing = []
    for index, digest in enumerate(digests):
        if digest in known:
            found[index] = known[digest]
        else:
            missing.append(index)
    on_photos(len(photo_list) - len(missing))
    contract = classifier.preprocessing
    parts = [missing[start : start + BATCH_SIZE] for start in range(0, len(missing), BATCH_SIZE)]
    decoding = [
        partial(load_photos, photo_list.part(part), contract.size, draft=contract.draft) for part in parts
    ]
    for part, photos in zip(parts, prepared_ahead(decoding), strict=True):
        found[part] = features(classifier, photos.images)
        if store is not None:
            store.write({digests[index]: found[index] for index in part})
        on_photos(len(part))
    return found
