/* A decompressor that is used for picture after picture, and leaves whatever is not wholly right to Pillow. */
#ifndef NSDATA_WORKER_H
#define NSDATA_WORKER_H

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libjpeg.h"

static jpeg_library jpeg;

typedef struct {
    void *at;
    size_t size;
} memory;

/* What one call needs and keeps from picture to picture. */
typedef struct {
    jpeg_errors errors; /* first: libjpeg hands its address back */
    jmp_buf back;
    union {
        jpeg_decompress d;
        char room[JPEG_STRUCT_ROOM];
    } state;
    int alive; /* state is a decompressor */
    memory lines, rows, line, weight, bounds, scratch;
} worker;

static void give_up(jpeg_decompress *d) { longjmp(((worker *)d->err)->back, 1); }
static void be_silent(jpeg_decompress *d) { (void)d; }
static void warned(jpeg_decompress *d, int level) { /* Pillow shall judge it */
    if (level < 0) give_up(d);
}

static int room(memory *m, size_t need) {
    if (m->size >= need) return 1;
    void *more = realloc(m->at, need + need / 4);
    if (!more) return 0;
    m->at = more;
    m->size = need + need / 4;
    return 1;
}

static void end(worker *k) {
    if (k->alive) jpeg.destroy(&k->state.d);
    k->alive = 0;
}

static void begin(worker *k) { /* may give up */
    jpeg.std_error(&k->errors);
    k->errors.error_exit = give_up;
    k->errors.emit_message = warned;
    k->errors.output_message = be_silent;
    memset(&k->state, 0, sizeof k->state);
    k->state.d.err = &k->errors;
    jpeg.create(&k->state.d, jpeg.version, jpeg.size);
    k->alive = 1;
}

static void read_lines(jpeg_decompress *d, uint8_t **lines, unsigned int count) {
    for (unsigned int got = 0; got < count;) {
        unsigned int more = jpeg.read_lines(d, lines + got, count - got);
        if (!more) give_up(d);
        got += more;
    }
}

/* Where a line begins in its memory. Into aligned lines libjpeg-turbo writes past the caches, and they are read next. */
static uint8_t *line_in(memory *m, size_t offset) {
    uintptr_t at = ((uintptr_t)m->at + 31) / 32 * 32 + 4;
    return (uint8_t *)at + offset;
}

#endif
