"""Tolerant flagfiles: common spellings that absl would misread.

They are: the byte order mark or UTF-16 of Windows editors, quoted values, spaces around "=" or in its place,
comments after two spaces, and the dashes and quotes of word processors. Such a file is read from a cleaned
copy, and the command line then points to the copy.
"""

import codecs
import os
import re
import shutil
import tempfile

_FLAGFILE = re.compile(r"--?flagfile(=(?P<path>.*))?", re.DOTALL)
# A value that is all in quotes, as a shell would take off.
_QUOTED = re.compile(
    r"""(?P<flag>--?\w+=)(?:"(?P<double>.*)"|'(?P<single>.*)'|[“”„](?P<set>.*)[“”]|[‘’‚](?P<small>.*)[‘’])"""
)
_COMMENT = re.compile(r"(\s{2,}|\t)#.*$")  # one space may be in a path: "run # 2"
_SPACED = re.compile(r"(?P<flag>--?\w+)(\s*=\s*|\s+)(?P<value>[^\s=].*)")
_LONG_DASH = re.compile(r"^[\u2013\u2014]{1,2}(?=\w)")
_MOST = 20  # files within files


class Readable:
    """Command line whose flagfiles absl can read, until `close` removes the copies."""

    def __init__(self, argv: list[str]):
        """Create the readable form of a command line."""
        self._folder = ""
        self.argv = self._pointed(argv, 0)

    def close(self) -> None:
        """Remove the copies."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _pointed(self, words, depth):
        """Return the command line with each flagfile that needs it replaced by a copy."""
        found, after = [], False
        for word in words:
            word = _LONG_DASH.sub("--", word)
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
        """Return the path of a cleaned copy, or the path itself if absl reads the file correctly."""
        try:
            with open(os.path.expanduser(path), "rb") as file:
                content = file.read()
            wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            text = content.decode("utf-16") if wide else content.removeprefix(codecs.BOM_UTF8).decode()
        except (OSError, UnicodeDecodeError, ValueError):
            return path  # which absl says
        lines = text.splitlines()
        meant = list(map(_meant, lines))
        if depth < _MOST:
            meant = self._pointed(meant, depth + 1)
        if [line.strip() for line in lines] == meant and content == text.encode():
            return path
        self._folder = self._folder or tempfile.mkdtemp()
        copy = os.path.join(self._folder, f"{len(os.listdir(self._folder))}.cfg")
        with open(copy, "w", encoding="utf-8") as file:
            file.write("\n".join(meant) + "\n")
        return copy


def _meant(line):
    """Return a flagfile's line in the form that absl reads correctly."""
    line = _LONG_DASH.sub("--", line.strip())
    if not line.startswith("-"):
        return line
    line = _COMMENT.sub("", line)
    if spaced := _SPACED.fullmatch(line):
        line = f"{spaced['flag']}={spaced['value']}"
    quoted = _QUOTED.fullmatch(line)
    if not quoted:
        return line
    value = next(text for text in quoted.group("double", "single", "set", "small") if text is not None)
    return f"{quoted['flag']}{value}"
