"""One-line messages for memory that ran out, which each library reports differently."""

import signal

MEND = (
    "lower --batch_size, or --train_examples (all images are held in memory); with --views=0 all teachers "
    "are, too: more --views store on the disk what they say"
)


def line(error: BaseException) -> str:
    """Return a message with what to lower if an error is about memory that ran out; else "".

    Args:
        error: an exception of Python, NumPy or TensorFlow.
    """
    # By its name, so that nothing is imported for it. TensorFlow raises the same for a full disk.
    of_tensorflow = type(error).__name__ == "ResourceExhaustedError" and "No space left" not in str(error)
    if not isinstance(error, MemoryError) and not of_tensorflow:
        return ""
    said = [part.strip() for part in str(error).splitlines() if "OOM" in part or "allocate" in part]
    return f"out of memory{f' ({said[0][:200]})' if said else ''}; {MEND}"


def line_of_exit(code: int | None) -> str:
    """Return a message if a process's exit code is that of a kill for lack of memory; else ""."""
    if code != -signal.SIGKILL:
        return ""
    return f"was killed by the system, as it does when memory runs out; {MEND}"
