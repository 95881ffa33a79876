"""What a store is told of a trained model."""

from __future__ import annotations

from nsdata import View
from nsdata.storage.address import relative
from training.models import LoadedModel
from training.starting import recorded


def publish(people: View, pseudo: View | None, trained: LoadedModel, plan: int | None) -> None:
    """Tell the store: this is the model of its generation. Once: a run may be killed between this and its end.

    plan: the event of the plan that it was trained for; None where a person trained it.
    """
    store, path = people.store.head(), trained.path.resolve()
    known = store.models.get(trained.generation)
    if known is not None and (known.sha256, known.path) == (trained.sha256, relative(store.url, path)):
        return
    store.publish_model(
        gen=trained.generation,
        path=path,
        sha256=trained.sha256,
        name=trained.name,
        parameters=trained.parameters,
        val_accuracy=trained.val_accuracy,
        val_images=trained.val_images,
        config=recorded(trained.config, trained.path.parent),
        views=[view.recipe for view in (people, pseudo) if view is not None],
        **({} if plan is None else {"plan": plan}),
    )
