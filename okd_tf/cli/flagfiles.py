"""Flagfiles as people write them: with the byte order mark of Windows' editors, and values in quotes.

absl takes both for a part of what is said. A file that has them is read from a copy without, which is where
the command line then points to.
"""

import codecs
import os
import re
import shutil
import tempfile

_FLAGFILE = re.compile(r"--?flagfile(=(?P<path>.*))?", re.DOTALL)
# A value that is all in quotes, as a shell would take off.
_QUOTED = re.compile(r"""(?P<flag>--?\w+=)(?P<quote>["'])(?P<value>.*)(?P=quote)""")
_MOST = 20  # files within files


class Readable:
    """A command line whose flagfiles absl reads as they are meant, as long as this is open."""

    def __init__(self, argv: list[str]):
        """Take the command line."""
        self._folder = ""
        self.argv = self._pointed(argv, 0)

    def close(self) -> None:
        """Remove the copies."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _pointed(self, words, depth):
        """Return these words, with a copy in the place of each flagfile that needs one."""
        found, after = [], False
        for word in words:
            match = _FLAGFILE.fullmatch(word)
            if after:
                found.append(self._copy(word, depth))
            elif match and match["path"]:
                found.append(f"{word[: match.start('path')]}{self._copy(match['path'], depth)}")
            else:
                found.append(word)
            after = bool(match) and match["path"] is None and not after
        return found

    def _copy(self, path, depth):
        """Return the path of a copy, or the path itself where absl reads the file as it is meant."""
        try:
            with open(os.path.expanduser(path), "rb") as file:
                content = file.read()
            text = content.removeprefix(codecs.BOM_UTF8).decode()
        except (OSError, UnicodeDecodeError, ValueError):
            return path  # which absl says
        lines = text.splitlines()
        meant = [_QUOTED.sub(r"\g<flag>\g<value>", line.strip()) for line in lines]
        if depth < _MOST:
            meant = self._pointed(meant, depth + 1)
        if [line.strip() for line in lines] == meant and not content.startswith(codecs.BOM_UTF8):
            return path
        self._folder = self._folder or tempfile.mkdtemp()
        copy = os.path.join(self._folder, f"{len(os.listdir(self._folder))}.cfg")
        with open(copy, "w", encoding="utf-8") as file:
            file.write("\n".join(meant) + "\n")
        return copy
