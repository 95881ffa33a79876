/* Which way up a JPEG lies, and where a box of the upright picture is in the stored one. */
#ifndef NSDATA_ORIENTATION_H
#define NSDATA_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t number(const uint8_t *at, int bytes, int little) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint32_t)at[little ? i : bytes - 1 - i] << (8 * i);
    return value;
}

/* The orientation 1..8 in a TIFF header's first directory, 1 if there is none: nsdata.containers.orientation. */
static int turn_in(const uint8_t *exif, size_t size) {
    if (size >= 6 && !memcmp(exif, "Exif\0\0", 6)) exif += 6, size -= 6; /* some programs write it twice */
    if (size < 8) return 1;
    int little = exif[0] == 'I' && exif[1] == 'I';
    size_t at = number(exif + 4, 4, little);
    if (at + 2 > size) return 1;
    size_t entries = number(exif + at, 2, little);
    for (at += 2; entries-- && at + 8 <= size; at += 12) {
        if (number(exif + at, 2, little) != 274 || number(exif + at + 2, 2, little) != 3) continue;
        if (number(exif + at + 4, 4, little) != 1) continue;
        if (at + 10 > size) return 1;
        int turn = (int)number(exif + at + 8, 2, little);
        return turn >= 1 && turn <= 8 ? turn : 1;
    }
    return 1;
}

/* The EXIF orientation of a JPEG, from the markers before its picture; 0 if it is lossless, which nothing can reduce. */
static int turn_of(const uint8_t *data, size_t size) {
    int turn = 1;
    size_t at = 2;
    while (at + 4 <= size) {
        uint8_t marker = data[at + 1];
        if (data[at] != 0xFF || marker == 0xFF || marker <= 1 || (marker >= 0xD0 && marker <= 0xD7)) {
            at++; /* not a marker with a length: fill bytes and the like */
            continue;
        }
        size_t length = number(data + at + 2, 2, 0);
        if (marker == 0xDA || marker == 0xD9 || length < 2 || at + 2 + length > size) break;
        if (marker == 0xC3) return 0;
        if (marker == 0xE1 && length >= 8 && !memcmp(data + at + 4, "Exif\0\0", 6))
            turn = turn_in(data + at + 10, length - 8);
        at += 2 + length;
    }
    return turn;
}

/* From (left, top, right, bottom) in the upright picture to the same in the stored one, whose sides are w and h. */
static void stored_box(const double upright[4], int turn, double w, double h, double box[4]) {
    int swap = turn >= 5;
    double left = upright[swap], top = upright[!swap], right = upright[2 + swap], bottom = upright[2 + !swap];
    int from_right = turn == 2 || turn == 3 || turn == 7 || turn == 8;
    int from_bottom = turn == 3 || turn == 4 || turn == 6 || turn == 7;
    box[0] = from_right ? w - right : left;
    box[1] = from_bottom ? h - bottom : top;
    box[2] = from_right ? w - left : right;
    box[3] = from_bottom ? h - top : bottom;
}

/* Where the result's stored pixel (0, 0) goes, and how far one step along a stored row and column leads, in pixels of
 * an upright result of that height and width, mirrored left to right where asked. */
static void walk(int turn, int mirror, int height, int width, long *start, long *along, long *down) {
    static const int8_t STEPS[9][3] = {/* starts at the right; at the bottom; rows and columns change places */
                                       {0, 0, 0}, {0, 0, 0}, {1, 0, 0}, {1, 1, 0}, {0, 1, 0},
                                       {0, 0, 1}, {1, 0, 1}, {1, 1, 1}, {0, 1, 1}};
    int right = STEPS[turn][0] != mirror, bottom = STEPS[turn][1];
    long x = right ? -1 : 1, y = bottom ? -(long)width : width;
    *start = (right ? width - 1 : 0) + (bottom ? (long)(height - 1) * width : 0);
    *along = STEPS[turn][2] ? y : x;
    *down = STEPS[turn][2] ? x : y;
}

#endif
