"""The live panel: a queue to break, somebody who watches it, and the two threads of that.

One thread looks five times a second and tells the browser; the other does what buttons ask for, one
after the other.  The kernel's main thread is needed for neither, so the panel lives while other
cells run.  Used by ``labapp.lab.surface``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from labapp.errors import LabError
from labapp.lab.panel.drawing import svg
from labapp.lab.panel.moment import Moment, plain
from labapp.lab.panel.shop import Shop
from labapp.lab.panel.watch import Watch
from labapp.lab.panel.words import words
from labapp.lab.publisher import Module
from labapp.lab.run import WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack
from labapp.world.rules import Point

EVERY = 0.2
"""Seconds between two looks."""
TEN = 10
CLOSE = "close"
TEXT = "live panel: in JupyterLab it moves; its picture attribute is what it shows now"
"""What the panel is as text: the same always, since a notebook's stored text is compared."""
ENDED = "this panel has ended: run its cell again"

Button = Callable[[Shop, str], str]
BUTTONS: Mapping[str, Button] = {
    "send one": lambda shop, _: shop.send(),
    "send ten": lambda shop, _: shop.send(TEN),
    "duplicate": lambda shop, _: shop.duplicate(),
    "answer": lambda shop, _: shop.answer(),
    "hold before effect": lambda shop, _: shop.hold(Point.BEFORE),
    "hold after effect": lambda shop, _: shop.hold(Point.AFTER),
    "time passes": lambda shop, _: shop.pass_time(),
    "restart broker": lambda shop, _: shop.restart_broker(),
    "new worker": lambda shop, _: shop.new_worker(),
    "kill child": Shop.kill_child,
    "kill worker": Shop.kill_worker,
    "pause": Shop.pause,
    "resume": Shop.resume,
}
"""Every button but the one that closes; the last four are of one worker."""


class Panel:
    """A live panel with a queue of its own; made by ``lab.panel()``.

    Args:
        stack: the running stack.
        module: the learner's module.
        task: name of the task that its buttons send; it takes an order's name.
        worker: how its workers are started.
        kernel: gives the session of the kernel's own runs, to show what their workers do.

    Raises:
        LabError: the module does not import, its worker does not start, or the stack is gone.
    """

    def __init__(
        self,
        stack: Stack,
        module: Module,
        task: str,
        worker: WorkerSettings,
        kernel: Callable[[], Session | None] = lambda: None,
    ) -> None:
        self.shop = Shop(stack, module, task, worker)
        try:
            self._watch = Watch(self.shop, kernel)
        except BaseException:
            self.shop.close()
            raise
        self._said = "a worker is ready: press Send one"
        self._over = ""
        self._closing = threading.Lock()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._moment = self._watch.look()
        self._widget: Any = None
        self._hands = ThreadPoolExecutor(1, "lab-panel-hands")
        self._eyes = threading.Thread(target=self._look_on, name="lab-panel-eyes", daemon=True)
        self._eyes.start()

    # Looking

    @property
    def moment(self) -> Moment:
        """What the panel shows now."""
        return replace(self._moment, said=self._said, over=self._over or self._moment.over)

    @property
    def picture(self) -> Picture:
        """What the panel shows now, as a picture and words that stand still."""
        return Picture(self.moment)

    def _look_on(self) -> None:
        """Look, tell, wait; until the panel is closed or the lab is stopped."""
        due = time.monotonic()
        while not self._stop.is_set() and not self._over:
            try:
                self._moment = self._watch.look()
                self._over = self._moment.over
            except Exception as error:  # a thread's traceback would be seen by nobody
                self._over = f"the panel cannot look any more ({type(error).__name__}: {error})"
            self._tell()
            due = max(due + EVERY, time.monotonic())
            self._stop.wait(due - time.monotonic())
        if self._over and not self._stop.is_set():
            self._end(self._over)

    def _tell(self) -> None:
        """Give the browser what there is to be seen, if there is a browser."""
        if self._widget is not None:
            self._widget.data = plain(self.moment)

    # Acting

    def press(self, button: str, worker: str = "") -> str:
        """Press a button and wait until it is done; what the status line says of it.

        Args:
            button: its name in small letters, e.g. ``kill worker``.
            worker: w1, w2, …; the first one if none is named.

        Raises:
            LabError: there is no such button, or it cannot be done now.
        """
        if known_button(button) == CLOSE:
            self.close()
            return self._over
        return self._ask(button, worker).result()

    def click(self, button: str, worker: str = "") -> None:
        """The same for who cannot wait: the status line says what came of it."""
        if known_button(button) == CLOSE:
            threading.Thread(target=self.close, name="lab-panel-close").start()
            return
        with contextlib.suppress(LabError):  # it has ended, and says so
            self._ask(button, worker)

    def _ask(self, button: str, worker: str) -> Future[str]:
        if self._over or self._stop.is_set():
            raise LabError(*(self._over or ENDED).split(": ", 1))
        try:
            return self._hands.submit(self._do, button, worker)
        except RuntimeError:  # closed between the two lines
            raise LabError(*ENDED.split(": ", 1)) from None

    def _do(self, button: str, worker: str) -> str:
        """In the thread of hands: one button; what it did, or why it could not, is said."""
        try:
            self._said = f"{button} …"
            self.shop.bury()
            self._said = BUTTONS[button](self.shop, worker)
            return self._said
        except Exception as error:  # nobody waits for a click: the status line is all there is
            foreseen = isinstance(error, LabError)
            self._said = str(error) if foreseen else f"{button}: {type(error).__name__}: {error}"
            raise
        finally:
            self._watch.look_at_nodes_soon()

    # Ending

    def close(self) -> None:
        """End the panel and all that is its own; what it showed last stays in its cell."""
        self._end(ENDED)

    def _end(self, why: str) -> None:
        """End it, and say so when nothing is left of it; who comes second waits for that, too."""
        with self._closing:
            first = not self._stop.is_set()
            self._stop.set()
        eyes = threading.current_thread() is self._eyes
        if not first:
            if not eyes:  # the first one waits for these
                self._ended.wait()
            return
        if not eyes:
            self._eyes.join()
        try:
            self._hands.shutdown(wait=True, cancel_futures=True)
            with contextlib.suppress(LabError):  # a node that is gone has taken all along
                self.shop.close()
            self._watch.close()
        finally:
            self._over = why
            self._ended.set()
            self._tell()

    # Showing

    def __repr__(self) -> str:
        return TEXT

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widget; for who has none, the picture of now."""
        from labapp.lab.panel.widget import widget_of

        if self._widget is None:
            self._widget = widget_of(self.click, plain(self.moment))
        still = {"text/plain": TEXT, "image/svg+xml": svg(self.moment)}
        return {**self._widget._repr_mimebundle_()[0], **still}


class Picture:
    """What a panel showed at one moment; the words are the same for the same state."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment

    def __repr__(self) -> str:
        return words(self.moment)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": svg(self.moment)}


def known_button(name: str) -> str:
    """The name.  Raises LabError where no button has it, with the nearest one that is."""
    from difflib import get_close_matches

    names = [*BUTTONS, CLOSE]
    if name in names:
        return name
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    raise LabError(f"the panel has no button {name!r}", hint=hint)


_open: list[Panel] = []
"""The panel of this kernel, if it has one."""


def open_panel(
    stack: Stack,
    module: Module,
    task: str,
    worker: WorkerSettings,
    kernel: Callable[[], Session | None],
) -> Panel:
    """A new panel; the one that this kernel has had ends.  Arguments and errors as `Panel`'s."""
    while _open:
        _open.pop().close()
    panel = Panel(stack, module, task, worker, kernel)
    _open.append(panel)
    return panel
