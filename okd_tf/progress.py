"""Progress on screen: what is running, its figures, and the remaining time."""

import sys
import time

from okd_tf import quiet


class _State:
    """State of the process: whether messages are muted."""

    muted = False


def mute():
    """Print nothing from now on: of several workers only the chief prints progress."""
    _State.muted = True


def say(message, end="\n"):
    """Print one line immediately."""
    if not _State.muted:
        quiet.say(f"{message}{end}")


def duration(seconds):
    """Return seconds in words: 42 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


class Progress:
    """Progress lines of a training: one per epoch, and further ones within long epochs."""

    def __init__(self, title, steps, steps_per_epoch, batch_size, interval=15.0):
        """Create the progress of a training.

        Args:
            title: name of the training on screen.
            steps: its number of steps.
            steps_per_epoch: steps in an epoch.
            batch_size: images in a step.
            interval: least seconds between lines within an epoch.
        """
        self._title = title
        self._steps = steps
        self._steps_per_epoch = steps_per_epoch
        self._batch_size = batch_size
        self._interval = interval
        self._first_step = 0
        self._started = self._printed = time.monotonic()

    def start(self, step):
        """Set the step at which this process starts; the remaining time follows from its own speed alone."""
        self._first_step = step
        self._started = self._printed = time.monotonic()
        if step:
            say(f"{self._title}: going on from step {step} of {self._steps}")

    def step(self, step):
        """Print a line if the last is `interval` seconds old; on a terminal the next line overwrites it."""
        now = time.monotonic()
        if now - self._printed < self._interval:
            return
        self._printed = now
        line = f"{self._title}: {self._place(step)}, {self._speed(step)}"
        say(line, end="\r" if sys.stdout.isatty() else "\n")

    def epoch(self, step, logs):
        """Print the line of a finished epoch; logs whose name has a "/" are for TensorBoard alone."""
        self._printed = time.monotonic()
        shown = "  ".join(f"{name} {value:.4g}" for name, value in logs.items() if "/" not in name)
        say(f"{self._title}: {self._place(step)}, {self._speed(step)}  {shown}")

    def _place(self, step):
        epochs = -(-self._steps // self._steps_per_epoch)
        epoch = min(epochs, -(-step // self._steps_per_epoch))
        within = step - (epoch - 1) * self._steps_per_epoch
        part = "" if within == self._steps_per_epoch else f" step {within}/{self._steps_per_epoch}"
        return f"epoch {epoch}/{epochs}{part}"

    def _speed(self, step):
        rate = (step - self._first_step) / max(1e-9, time.monotonic() - self._started)
        left = (self._steps - step) / max(1e-9, rate)
        return f"{rate * self._batch_size:.0f} images/s, {duration(left)} left"


class Count:
    """Progress lines of a count: from time to time, how many things are done and the remaining time."""

    def __init__(self, title, total, things, interval=5.0):
        """Create the counter.

        Args:
            title: name of the work on screen.
            total: number of things.
            things: their name, in the plural.
            interval: least seconds between lines.
        """
        self._title = title
        self._total = total
        self._things = things
        self._interval = interval
        self._done = 0
        self._started = self._printed = 0.0

    def add(self, number=1):
        """Count `number` more things as done; the first call starts the clock."""
        now = time.monotonic()
        if not self._done:
            self._started = self._printed = now
        self._done += number
        if now - self._printed < self._interval:
            return
        self._printed = now
        rate = self._done / max(1e-9, now - self._started)
        say(
            f"{self._title}: {self._done:,} of {self._total:,} {self._things}, {rate:,.0f} a second, "
            f"{duration((self._total - self._done) / rate)} left"
        )
