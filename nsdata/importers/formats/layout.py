"""Names of files: which are pictures, which an operating system's litter, and how odd ones are shown."""

from __future__ import annotations

from nsdata.text import visible

MARK = ".nsdata-export"  # in a folder that an export wrote: what it says of itself
MAX_BYTES = 1 << 28  # a file beyond this is not read: no photograph is as large, and a few are in memory at once
IMAGE_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif",
    ".hif", ".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
_LITTER = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "__macosx"),  # Windows, macOS
        *("$recycle.bin", "recycler", "system volume information", "#recycle", "#snapshot", "lost+found"),
        *("@eadir", "@tmp", "@recycle", ".thumbnails", "nsdata.toml"),  # Synology, QNAP; our own settings
        *("@__thumb", "@recently-snapshot", "@synoresource", "~snapshot", "_gsdata_", "_thumbs"),
        *("network trash folder", "temporaryitems", "lost.dir", "recycled"),
    }
)


def ignored(name: str) -> bool:
    """Whether a file or folder of this name (without its path) is an operating system's litter, or hidden."""
    if name[:1] == "." or name in _LITTER:
        return True
    folded = name.casefold()
    return folded in _LITTER or folded.endswith(".lrdata") or (folded[:6] == "found." and folded[6:].isdigit())


def readable(name: str) -> str:
    """A name that can be stored: bytes that are no UTF-8 become the replacement character."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def quoted(name: str) -> str:
    """A name within a sentence: of one line, whatever its archive calls it."""
    return visible(readable(name))
