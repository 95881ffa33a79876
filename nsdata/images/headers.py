"""What an image file promises, read from its bytes before a single pixel is decoded.

Each reader walks its format's blocks from first to last, returns a Header and raises BadImage for a file that is cut
short, damaged or absurd. Pillow alone would not do: it warns, fills what is missing with grey when somebody set
LOAD_TRUNCATED_IMAGES, ignores PNG checksums and a missing end.
After these walks a file that lost bytes of its end is found out. Only bytes behind the picture may be missing unseen:
behind a JPEG's EOI marker (an MPO's further pictures), a PNG's IEND, a GIF's trailer, a WebP's RIFF size, a JPEG 2000's
EOC, the first picture of a PPM, and whatever in a BMP, TIFF, AVIF or HEIC no pixel or tag refers to.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from nsdata.errors import BadImage
from nsdata.images import heif, jpeg2000, pnm
from nsdata.images.limits import PILLOW_WARNS, Header, checked

_MAX_SCANS = 200  # a progressive JPEG has about ten; thousands of empty ones keep a core busy for minutes


def header(data: bytes) -> Header:
    """The header of an encoded image. Raises BadImage(reason) if it is none, damaged, cut or too large."""
    if not data:
        raise BadImage("empty file")
    reader = next((read for magic, read in _READERS if magic.match(data)), None)
    if reader is None:
        if name := _unread(data):
            raise BadImage(f"{name}, which nsdata does not read")
        raise BadImage("truncated" if len(data) < 16 and data[:2] in _STARTS else "not an image")
    try:
        return reader(data)
    except (struct.error, IndexError) as e:
        raise BadImage("truncated") from e


def recognised(data: bytes) -> bool:
    """Whether a file that begins with data (4 KiB are enough) is of any kind named here, readable or not."""
    return any(magic.match(data) for magic, _ in _READERS) or _unread(data) is not None


def _unread(data: bytes) -> str | None:
    start = data[:4096]
    return next((name for magic, name in _UNREAD if magic.match(start)), None)


# JPEG: markers that have a length, and EOI; not stuffed zeros, restarts or fill bytes
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def _jpeg(data: bytes) -> Header:
    width = height = channels = scans = 0
    turned, lossless = 1, False
    at, total = 2, len(data)
    search = _MARKER.search
    while found := search(data, at):
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            if not scans:
                raise BadImage("JPEG without a picture")
            return Header("JPEG", width, height, data, turned, channels, at - 2, lossless)
        length = (data[at] << 8) | data[at + 1]
        if length < 2:
            raise BadImage("damaged JPEG")
        if marker in _FRAMES and not scans:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 2)
            if bits != 8 or channels not in (1, 3, 4):
                raise BadImage(f"unsupported JPEG of {channels} × {bits} bits")
            checked("JPEG", width, height)
            lossless = marker == 0xC3
        elif marker == 0xE1 and not scans and data.startswith(b"Exif\0\0", at + 2):
            turned = orientation(data[at + 8 : at + length])
        elif marker == 0xDA:
            scans += 1
            if not width or scans > _MAX_SCANS:
                raise BadImage("damaged JPEG")
        at += length
        if at > total:
            break
    raise BadImage("truncated")


_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_NEEDED = _CRITICAL | {b"tRNS", b"eXIf"}
_HARMLESS = _NEEDED | {b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"tIME", b"sBIT", b"hIST"}


def _png(data: bytes) -> Header:
    view = memoryview(data)
    at, plain, pixels = 8, True, False
    width = height = 0
    keep = [data[:8]]
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise BadImage("truncated")
        if name in _CRITICAL and zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise BadImage(f"damaged PNG: wrong checksum of {name.decode()}")
        if at == 8:
            if name != b"IHDR" or length != 13:
                raise BadImage("damaged PNG")
            width, height = struct.unpack_from(">II", data, 16)
            checked("PNG", width, height)
        if name in _NEEDED:
            keep.append(data[at:end])
            pixels |= name == b"IDAT"
        plain &= name in _HARMLESS
        at = end
        if name == b"IEND":
            break
    if not pixels:
        raise BadImage("PNG without a picture")
    # Texts that unpack to megabytes, animation, private chunks: they fail or warn, and hold no pixels.
    return Header("PNG", width, height, data if plain else b"".join(keep))


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    frames = 0
    while (kind := data[at]) != 0x3B:
        if kind == 0x21:
            at += 2
        elif kind == 0x2C:
            x, y, w, h, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if not frames:
                width, height = max(width, x + w), max(height, y + h)
            frames += 1
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif frames:
            break  # rubbish behind the last frame: Pillow, like browsers, shows what came before
        else:
            raise BadImage("damaged GIF")
        while step := data[at]:
            at += step + 1
        at += 1
    if not frames:
        raise BadImage("GIF without a picture")
    checked("GIF", width, height, PILLOW_WARNS)
    return Header("GIF", width, height, data)


def _webp(data: bytes) -> Header:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise BadImage("truncated")
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise BadImage("damaged WEBP")
    checked("WEBP", width, height)
    return Header("WEBP", width, height, data)


def _bmp(data: bytes) -> Header:
    start, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative: rows from the top
    checked("BMP", width, height)
    if packing in (0, 3) and start + (width * bits + 31) // 32 * 4 * height > len(data):
        raise BadImage("truncated")
    return Header("BMP", width, height, data)


_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


def _entries(data: bytes) -> Iterator[tuple[int, str, int, int]]:
    """(tag, struct format of an integer or "", count, position of the values) of a TIFF's first directory."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    if at > len(data):
        raise BadImage("truncated")
    number = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0]
    at += 8 if big else 2
    for _ in range(number):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
        size = _TIFF_BYTES.get(kind, 0) * count
        value = at + (12 if big else 8)
        at += 20 if big else 12
        if size > (8 if big else 4):
            value = struct.unpack_from(order + ("Q" if big else "I"), data, value)[0]
        if value + size > len(data):
            raise BadImage("truncated")
        yield tag, _INTEGERS.get(kind, ""), count, value


def orientation(exif: bytes) -> int:
    """The orientation 1..8 in EXIF bytes; 1 where it is absent or invalid, or the EXIF is broken."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif[:2] == b"II" else ">"
    try:
        at = struct.unpack_from(order + "I", exif, 4)[0]
        number = struct.unpack_from(order + "H", exif, at)[0] if at < len(exif) else 0
        for entry in range(at + 2, at + 2 + 12 * number, 12):
            if struct.unpack_from(order + "HHI", exif, entry) == (274, 3, 1):
                turned: int = struct.unpack_from(order + "H", exif, entry + 8)[0]
                return turned if 1 <= turned <= 8 else 1
    except struct.error:
        pass
    return 1


_ONE = frozenset({256, 257, 259, 262, 266, 274, 277, 278, 284, 317, 322, 323})  # tags that hold one integer
_RAW = frozenset({254, 330, 50706})  # "this is a preview", further pictures, the version of a DNG
_WHERE = {273: 279, 324: 325}  # offsets of strips or tiles -> their lengths


def _tiff(data: bytes) -> Header:
    order = "<" if data[:2] == b"II" else ">"
    value: dict[int, tuple[int, ...]] = {}
    spent = 0
    for tag, kind, count, at in _entries(data):
        if tag in value or (tag in _ONE and (count != 1 or not kind)):
            raise BadImage("damaged TIFF")
        if kind and (tag in _ONE or tag in _RAW or tag in _WHERE or tag in _WHERE.values()):
            value[tag] = struct.unpack_from(f"{order}{count}{kind}", data, at)
        spent += count
        if spent > len(data):
            raise BadImage("damaged TIFF")
    if data[8:10] == b"CR" or 50706 in value or (330 in value and value.get(254, (0,))[0] & 1):
        raise BadImage("camera RAW, which nsdata does not read")  # what TIFF readers find in it is a small preview
    width, height = (value.get(tag, (0,))[0] for tag in (256, 257))
    checked("TIFF", width, height)
    checked("TIFF", value.get(322, (1,))[0], value.get(323, (1,))[0], PILLOW_WARNS)
    for where, lengths in _WHERE.items():
        if any(at + n > len(data) for at, n in zip(value.get(where, ()), value.get(lengths, ()), strict=False)):
            raise BadImage("truncated")
    turned = value.get(274, (1,))[0]
    return Header("TIFF", width, height, data, turned if 1 <= turned <= 8 else 1)


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Header]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    (re.compile(rb"GIF8[79]a"), _gif),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _webp),
    (re.compile(rb"BM"), _bmp),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), _tiff),
    (pnm.MAGIC, pnm.header),
    (jpeg2000.MAGIC, jpeg2000.header),
    *((magic, partial(heif.header, name)) for magic, name in heif.KINDS),
)
_STARTS = frozenset({b"\xff\xd8", b"\xff", b"\x89P", b"\x89", b"GI", b"G", b"RI", b"R"})

_UNREAD: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(magic, re.DOTALL), name)
    for magic, name in (
        (rb"....ftypcrx |FUJIFILMCCD-RAW|II(?:RO|RS|U\0)|MMOR", "camera RAW"),
        (rb"....(?:ftypqt  |moov)", "MOV"),
        (rb"....ftyp", "MP4"),
        (rb"\0\0\0\x0cJXL |\xff\x0a", "JPEG XL"),
        (rb"\0\0\x01\0[^\0]\0", "ICO"),
        (rb"\x1a\x45\xdf\xa3", "MKV"),
        (rb"RIFF....AVI ", "AVI"),
        (rb"P7\s+[#A-Z]", "PAM"),
        (rb"P[Ff]\s+\d", "PFM"),
        (rb"8BPS\0[\x01\x02]", "PSD"),
        (rb"%PDF-", "PDF"),
        (rb"(?:\xef\xbb\xbf)?\s*(?:<(?:\?xml[^>]*|!--(?:(?!-->).)*--)>\s*)*<(?:svg[\s/>]|!DOCTYPE svg)", "SVG"),
    )
)
