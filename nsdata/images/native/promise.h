/* What a JPEG says of its picture before a pixel is decoded: nsdata.images.headers, for what is wholly plain. */
#ifndef NSDATA_PROMISE_H
#define NSDATA_PROMISE_H

#include "orientation.h"

typedef struct {
    unsigned int width, height; /* as it is stored */
    int turn;                   /* EXIF's orientation, 1 to 8 */
} promise;

static const uint64_t MOST_PIXELS = 178956970; /* nsdata.images.limits.MAX_PIXELS */
enum { MOST_SCANS = 200 };

/* Walk the markers from the first to the end marker; 0 for whatever is not plain, which Python shall judge. */
static int promised(const uint8_t *data, size_t size, promise *p) {
    if (size < 4 || data[0] != 0xFF || data[1] != 0xD8 || data[2] != 0xFF) return 0;
    int scans = 0, frames = 0;
    *p = (promise){0, 0, 1};
    const uint8_t *at = data + 2, *end = data + size;
    while ((at = memchr(at, 0xFF, (size_t)(end - at))) && at + 1 < end) {
        uint8_t marker = at[1];
        if (marker <= 1 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD7)) {
            at += marker == 0xFF ? 1 : 2; /* a stuffed zero, a fill byte, a restart */
            continue;
        }
        if (marker == 0xD9) return scans > 0 && at[-1] != 0xFF; /* behind fill bytes headers.py ends within them */
        if (end - at < 4) return 0;
        size_t length = number(at + 2, 2, 0);
        if (length < 2 || length > (size_t)(end - at - 2)) return 0;
        if (marker == 0xDA) {
            if (!frames || ++scans > MOST_SCANS) return 0;
        } else if (marker == 0xC0 || marker == 0xC1 || marker == 0xC2) {
            if (frames++ || length < 8 || at[4] != 8 || (at[9] != 1 && at[9] != 3)) return 0;
            p->height = number(at + 5, 2, 0);
            p->width = number(at + 7, 2, 0);
            if (!p->height || !p->width || (uint64_t)p->height * p->width > MOST_PIXELS) return 0;
        } else if (marker >= 0xC3 && marker <= 0xCF && marker != 0xC4 && marker != 0xCC) {
            return 0; /* lossless, arithmetic, hierarchical */
        } else if (marker == 0xE1 && !scans && length >= 8 && !memcmp(at + 4, "Exif\0\0", 6)) {
            p->turn = turn_in(at + 10, length - 8);
        } else if (marker == 0xE1 && !scans && length < 8) {
            return 0;
        }
        at += 2 + length;
    }
    return 0;
}

#endif
