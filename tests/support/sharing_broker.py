"""What a broker sees of a store that it shares with others."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from broker.store.interface import Batch, Snapshot
from broker.store.sharing import Broker, SharedStore, View
from tsudoi.protocol.errors import StoreError

PATIENCE_S = 60.0


class SharingBroker:
    """A registered broker; it takes shards when the test says so."""

    def __init__(self, store: SharedStore, endpoint: str = "tcp://a:1") -> None:
        self.store = store
        self.views: list[View] = []
        """Of the present registration."""
        self.looks = 0
        self.losses: list[str] = []
        self.on_view: Callable[[View], None] = lambda view: None
        """Called in the store's thread."""
        self._changed = threading.Condition()
        store.register(Broker("", endpoint, "", False), self._note_view, self._note_loss)

    def _note_view(self, view: View) -> None:
        with self._changed:
            self.views.append(view)
            self.looks += 1
            self._changed.notify_all()
        self.on_view(view)

    def _note_loss(self, reason: str) -> None:
        with self._changed:
            self.views.clear()
            self.losses.append(reason)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[View], bool], what: str) -> View:
        """Return the first new view of which something is true."""

        def found() -> View | None:
            return next((view for view in reversed(self.views[-1:]) if condition(view)), None)

        with self._changed:
            view = self._changed.wait_for(found, PATIENCE_S)
            assert view is not None, f"{what}: {self.views[-1:]}, {self.losses}"
            return view

    def view(self) -> View:
        """Return the newest view."""
        return self.wait_for(lambda view: True, "no view")

    def owner(self, shard: int) -> str:
        return self.view().owners[shard][1]

    def wait_for_loss(self) -> str:
        """Return why the lease was lost."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.losses, PATIENCE_S), "the lease is not lost"
            return self.losses[-1]

    def serve(self, *shards: int) -> list[Snapshot]:
        """Take shards and load them."""
        taken = self.store.take(shards)
        assert sorted(taken) == sorted(shards)
        return [self.store.load(shard) for shard in shards]

    def serve_when_free(self, *shards: int) -> list[Snapshot]:
        """Take shards as soon as no living broker has them, and load them."""
        missing, looks = set(shards), 0

        def are_free(view: View) -> bool:
            return self.looks > looks and not any(view.owners[each][1] for each in missing)

        while missing:
            self.wait_for(are_free, "the shards stay another's")
            looks = self.looks
            missing -= self.store.take(missing).keys()  # the view may be of before another took them
        return [self.store.load(shard) for shard in shards]

    def freeze(self) -> threading.Event:
        """Stop the store's thread, and so the lease, at the next look, until the event is set."""
        stands, goes_on = threading.Event(), threading.Event()

        def stand(view: View) -> None:
            stands.set()
            goes_on.wait(PATIENCE_S)

        self.on_view = stand
        assert stands.wait(PATIENCE_S)
        return goes_on

    @contextmanager
    def committing(self, *batches: Batch) -> Iterator[list[BaseException | None]]:
        """Commit in a thread; the list has the result once it is there."""
        results: list[BaseException | None] = []

        def commit() -> None:
            try:
                self.store.commit(*batches)
            except StoreError as exc:
                results.append(exc)
            else:
                results.append(None)

        thread = threading.Thread(target=commit)
        thread.start()
        try:
            yield results
        finally:
            thread.join(PATIENCE_S)

    def is_registered(self) -> bool:
        with self._changed:
            return bool(self.views)


def shards_of(view: View, broker: str) -> Iterable[int]:
    """Return the shards that a broker owns."""
    return [shard for shard, (_, owner) in enumerate(view.owners) if owner == broker]
