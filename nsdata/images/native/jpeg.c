/* nsdata.images._jpeg: the wanted part of each of many JPEGs, decoded, resized, turned upright and written into one
 * array (decode); or all of each decoded to be sure of it, and nothing kept (inspect).
 *
 * Of each picture only what its box needs is decoded, where allowed at 1/2, 1/4 or 1/8 of its size, and without the
 * interpreter lock. The pixels are those of nsdata.decode.sampled, which does the same with Pillow: the same
 * libjpeg-turbo and the same arithmetic, so they are equal to the bit. What is not a plain JPEG is left to that
 * function, picture by picture: other formats, CMYK, anything that libjpeg warns about.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "orientation.h"
#include "promise.h"
#include "resample.h"
#include "worker.h"

enum { FUNCTIONS = 12 }; /* of libjpeg */
/* Columns beside the box: upsampled colour looks at its neighbours, and where scans are missing, smoothing further. */
enum { MARGIN = 32, MARGIN_OF_SCANS = 96 };

typedef struct {
    int height, width; /* of the result */
    const filter *filter;
    int reduce;
} task;

typedef struct {
    const uint8_t *data;
    size_t size;
    double box[4]; /* left, top, right, bottom of the upright picture, in pixels */
    int mirror;
    uint8_t *to; /* (height, width, 3) */
} job;

static int is_same_size(const double box[4], const int out[2]) {
    return box[2] - box[0] == out[0] && box[3] - box[1] == out[1] && box[0] == floor(box[0]) && box[1] == floor(box[1]);
}

/* Coefficients of both axes (0 across, 1 down) for a decoded picture of these sides. */
static int prepare(worker *k, weights w[2], const int sides[2], const double box[4], const int out[2], const filter *f) {
    size_t pairs[2], most;
    for (int axis = 0; axis < 2; axis++)
        pairs[axis] = (size_t)pairs_for((float)box[axis], (float)box[axis + 2], out[axis], f);
    most = pairs[0] > pairs[1] ? pairs[0] : pairs[1];
    if (!room(&k->weight, (pairs[0] * (size_t)out[0] + pairs[1] * (size_t)out[1]) * sizeof(pair))) return 0;
    if (!room(&k->bounds, 2 * sizeof(int) * (size_t)(out[0] + out[1]))) return 0;
    if (!room(&k->scratch, 2 * most * sizeof(double))) return 0;
    int *bounds = k->bounds.at;
    pair *weight = k->weight.at;
    for (int axis = 0; axis < 2; axis++) {
        w[axis] = (weights){out[axis], (int)pairs[axis], bounds, bounds + out[axis], weight};
        weigh(&w[axis], sides[axis], (float)box[axis], (float)box[axis + 2], f, k->scratch.at);
        bounds += 2 * out[axis];
        weight += pairs[axis] * (size_t)out[axis];
        if (w[axis].count[0] < 1 || w[axis].count[out[axis] - 1] < 1) return 0;
    }
    return 1;
}

/* The decoder reads lines from..to of the columns from *left on; they come with some more at both sides. */
static void frame(jpeg_decompress *d, int *left, int right, int from) {
    int margin = jpeg.has_many_scans(d) ? MARGIN_OF_SCANS : MARGIN;
    unsigned int first = *left > margin ? (unsigned int)(*left - margin) : 0;
    unsigned int last = (unsigned int)(right + margin) < d->output_width ? (unsigned int)(right + margin) : d->output_width;
    unsigned int width = last - first;
    if (width < d->output_width) jpeg.crop_lines(d, &first, &width);
    else first = 0;
    *left = (int)first;
    if (from) jpeg.skip_lines(d, (unsigned int)from);
}

/* One line of RGBX pixels into line ``row`` of the stored result. */
static void put(const task *t, const job *j, int turn, int out_width, int row, const uint8_t *line) {
    long start, along, down_step;
    walk(turn, j->mirror, t->height, t->width, &start, &along, &down_step);
    uint8_t *to = j->to + 3 * (start + row * down_step);
    if (along == 1 || along == -1) pack(line, to, out_width, along < 0);
    else
        for (int i = 0; i < out_width; i++, line += 4, to += 3 * along) memcpy(to, line, 3);
}

/* A part of the picture in its own size. */
static int copied(worker *k, const task *t, const job *j, int turn, const double box[4], const int out[2]) {
    jpeg_decompress *d = &k->state.d;
    int left = (int)box[0], first = (int)box[1];
    if (!room(&k->lines, 4 * (size_t)d->output_width + 2 * OVERREAD)) return 0;
    frame(d, &left, (int)box[2], first);
    uint8_t *line = line_in(&k->lines, 0);
    for (int row = 0; row < out[1]; row++) {
        read_lines(d, &line, 1);
        put(t, j, turn, out[0], row, line + 4 * ((int)box[0] - left));
    }
    return 1;
}

static int resized(worker *k, const task *t, const job *j, int turn, const double box[4], const int out[2]) {
    jpeg_decompress *d = &k->state.d;
    const int sides[2] = {(int)d->output_width, (int)d->output_height};
    weights w[2];
    if (!prepare(k, w, sides, box, out, t->filter)) return 0;
    int left = w[0].first[0], right = w[0].first[out[0] - 1] + w[0].count[out[0] - 1];
    int first = w[1].first[0], last = w[1].first[out[1] - 1] + w[1].count[out[1] - 1];
    size_t stride = (4 * (size_t)out[0] + 31) / 32 * 32, pitch = (4 * (size_t)d->output_width + OVERREAD + 31) / 32 * 32;
    if (!room(&k->lines, 2 * pitch + 2 * OVERREAD) || !room(&k->rows, (size_t)(last - first + 1) * stride) || !room(&k->line, stride + OVERREAD))
        return 0;
    frame(d, &left, right, first);
    uint8_t *lines[2] = {line_in(&k->lines, 0), line_in(&k->lines, pitch)}, *rows = k->rows.at;
    for (int row = first; row < last; row += 2) { /* there is room for one row too many */
        read_lines(d, lines, row + 1 < last ? 2 : 1);
        uint8_t *to = rows + (size_t)(row - first) * stride;
        across(lines[0], lines[1], left, to, to + stride, &w[0]);
    }
    for (int row = 0; row < out[1]; row++) {
        const uint8_t *from = rows + (size_t)(w[1].first[row] - first) * stride;
        down(from, stride, w[1].count[row], w[1].weight + (size_t)row * (size_t)w[1].pairs, k->line.at);
        put(t, j, turn, out[0], row, k->line.at);
    }
    return 1;
}

/* Largest of 8, 4, 2, 1 by which the picture may be smaller, and the box still have as many pixels as the result. */
static int reduction(const double box[4], const int out[2]) {
    int by = 8;
    while (by > 1 && (box[2] - box[0] < (double)by * out[0] || box[3] - box[1] < (double)by * out[1])) by /= 2;
    return by;
}

/* A picture whose header was read; gives up on what has none. */
static jpeg_decompress *opened(worker *k, const job *j) {
    if (!k->alive) begin(k);
    jpeg_decompress *d = &k->state.d;
    jpeg.mem_src(d, j->data, (unsigned long)j->size);
    jpeg.read_header(d, 1);
    return d;
}

static int is_plain(const jpeg_decompress *d) {
    int colours = d->jpeg_color_space;
    return colours == JPEG_GREY || colours == JPEG_RGB || colours == JPEG_YCC;
}

/* Decode one picture; 0 leaves it to Pillow. */
static int decoded(worker *k, const task *t, const job *j) {
    if (j->size < 4 || j->data[0] != 0xFF || j->data[1] != 0xD8) return 0;
    if (setjmp(k->back)) {
        end(k);
        return 0;
    }
    jpeg_decompress *d = opened(k, j); /* may give up */
    int whole = 0;
    int turn = turn_of(j->data, j->size);
    double w = d->image_width, h = d->image_height, box[4];
    if (turn && (uint64_t)d->image_width * d->image_height <= MOST_PIXELS &&
        is_plain(d)) {
        const int swap = turn >= 5, out[2] = {swap ? t->height : t->width, swap ? t->width : t->height};
        stored_box(j->box, turn, w, h, box);
        if (box[0] >= 0 && box[1] >= 0 && box[2] <= w && box[3] <= h && box[0] < box[2] && box[1] < box[3]) {
            int by = t->reduce ? reduction(box, out) : 1;
            for (int i = 0; i < 4; i++) box[i] /= by;
            d->out_color_space = JPEG_RGBX;
            d->scale_num = 1;
            d->scale_denom = (unsigned int)by;
            jpeg.start(d);
            whole = is_same_size(box, out) ? copied(k, t, j, turn, box, out) : resized(k, t, j, turn, box, out);
        }
    }
    jpeg.abort(d);
    return whole;
}

/* Decode all that a picture's bytes hold and keep none of it; 0 leaves it to Pillow.
 *
 * Whatever can be wrong with a JPEG is found out while its bits are read, and all of them are; what follows is
 * arithmetic that cannot fail, and is asked for at an eighth of the size. A skipped line's bits are read all the same. */
static int inspected(worker *k, const job *j, promise *p) {
    if (!promised(j->data, j->size, p)) return 0;
    if (setjmp(k->back)) {
        end(k);
        return 0;
    }
    jpeg_decompress *d = opened(k, j); /* may give up */
    int good = 0;
    if (d->image_width == p->width && d->image_height == p->height &&
        is_plain(d)) {
        d->out_color_space = JPEG_RGBX;
        d->scale_num = 1;
        d->scale_denom = 8;
        d->do_block_smoothing = 0;
        jpeg.start(d);
        if (room(&k->lines, 4 * (size_t)d->output_width + 2 * OVERREAD)) {
            uint8_t *line = line_in(&k->lines, 0);
            if (d->output_height > 1) jpeg.skip_lines(d, d->output_height - 1);
            while (d->output_scanline < d->output_height) read_lines(d, &line, 1);
            good = jpeg.finish(d); /* up to the end marker */
        }
    }
    jpeg.abort(d);
    return good;
}

/* The bytes objects of a list, held until ``let_go``, as jobs; how many: fewer than all where one is none. */
static Py_ssize_t hold(PyObject *blobs, Py_ssize_t n, PyObject **keep, job *jobs) {
    Py_ssize_t held = 0;
    for (; held < n; held++) {
        PyObject *blob = PyList_GetItem(blobs, held);
        char *data;
        Py_ssize_t size;
        if (!blob || PyBytes_AsStringAndSize(blob, &data, &size)) break;
        keep[held] = Py_NewRef(blob);
        jobs[held] = (job){.data = (uint8_t *)data, .size = (size_t)size};
    }
    return held;
}

static void let_go(PyObject **keep, Py_ssize_t held, job *jobs, worker *k) {
    while (held) Py_DECREF(keep[--held]);
    if (k) {
        memory *all[] = {&k->lines, &k->rows, &k->line, &k->weight, &k->bounds, &k->scratch};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->at);
    }
    free(keep);
    free(jobs);
    free(k);
}

/* decode(blobs, boxes, mirrored, out, done, height, width, filter, reduce): see nsdata.decoding. */
static PyObject *decode(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *blobs, *result = NULL;
    Py_buffer boxes, mirrored, out, done;
    int height, width, which, reduce;
    if (!PyArg_ParseTuple(args, "O!y*y*w*w*iiip", &PyList_Type, &blobs, &boxes, &mirrored, &out, &done, &height, &width,
                          &which, &reduce))
        return NULL;
    Py_ssize_t n = PyList_Size(blobs), held = 0;
    const size_t each = (size_t)height * (size_t)width * 3;
    PyObject **keep = calloc((size_t)n + 1, sizeof *keep);
    job *jobs = calloc((size_t)n + 1, sizeof *jobs);
    worker *k = calloc(1, sizeof *k);
    if (!keep || !jobs || !k) {
        PyErr_NoMemory();
        goto out;
    }
    if (height < 1 || width < 1 || height > NEVER_WIDER || width > NEVER_WIDER || which < 0 || which >= FILTER_COUNT ||
        boxes.len != n * 32 || mirrored.len != n || done.len != n || (size_t)out.len != (size_t)n * each) {
        PyErr_SetString(PyExc_ValueError, "arrays of decode() do not belong together");
        goto out;
    }
    held = hold(blobs, n, keep, jobs);
    if (held < n) goto out;
    for (Py_ssize_t i = 0; i < n; i++) {
        memcpy(jobs[i].box, (double *)boxes.buf + 4 * i, sizeof jobs[i].box);
        jobs[i].mirror = ((uint8_t *)mirrored.buf)[i] != 0;
        jobs[i].to = (uint8_t *)out.buf + (size_t)i * each;
    }
    const task t = {height, width, &FILTERS[which], reduce};
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < n; i++) ((uint8_t *)done.buf)[i] = (uint8_t)decoded(k, &t, &jobs[i]);
    end(k);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
out:
    let_go(keep, held, jobs, k);
    PyBuffer_Release(&boxes);
    PyBuffer_Release(&mirrored);
    PyBuffer_Release(&out);
    PyBuffer_Release(&done);
    return result;
}

/* inspect(blobs, sizes): see nsdata.images.decoder. sizes (n, 2) int32 becomes width and height of the upright picture,
 * after decoding all of it; 0 and 0 for those that are left to Pillow. */
static PyObject *inspect(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *blobs, *result = NULL;
    Py_buffer sizes;
    if (!PyArg_ParseTuple(args, "O!w*", &PyList_Type, &blobs, &sizes)) return NULL;
    Py_ssize_t n = PyList_Size(blobs), held = 0;
    PyObject **keep = calloc((size_t)n + 1, sizeof *keep);
    job *jobs = calloc((size_t)n + 1, sizeof *jobs);
    worker *k = calloc(1, sizeof *k);
    if (!keep || !jobs || !k) {
        PyErr_NoMemory();
        goto out;
    }
    if (sizes.len != n * 8) {
        PyErr_SetString(PyExc_ValueError, "arrays of inspect() do not belong together");
        goto out;
    }
    held = hold(blobs, n, keep, jobs);
    if (held < n) goto out;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < n; i++) {
        promise p;
        int good = inspected(k, &jobs[i], &p), swap = good && p.turn >= 5;
        int32_t *size = (int32_t *)sizes.buf + 2 * i;
        size[swap] = good ? (int32_t)p.width : 0;
        size[!swap] = good ? (int32_t)p.height : 0;
    }
    end(k);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
out:
    let_go(keep, held, jobs, k);
    PyBuffer_Release(&sizes);
    return result;
}

/* The library's own version and size of its struct, as it tells them when asked for wrong ones. */
static int ask(worker *k, int version, size_t size, int *told) {
    jpeg.version = version;
    jpeg.size = size;
    if (!setjmp(k->back)) {
        begin(k);
        end(k);
        return 1;
    }
    *told = k->errors.msg_parm.i[0];
    return 0;
}

/* use(twelve addresses): decode with the libjpeg whose functions these are, in FUNCTIONS' order. True if it can be used.
 *
 * Python looks them up: a dlopen here would bind the wheel to the C library (glibc 2.34) of the machine that built it. */
static PyObject *use(PyObject *self, PyObject *args) {
    (void)self;
    unsigned long long at[FUNCTIONS];
    void **to[FUNCTIONS] = {
        (void **)&jpeg.std_error,   (void **)&jpeg.create, (void **)&jpeg.destroy,    (void **)&jpeg.abort,
        (void **)&jpeg.mem_src,     (void **)&jpeg.read_header, (void **)&jpeg.start, (void **)&jpeg.read_lines,
        (void **)&jpeg.has_many_scans, (void **)&jpeg.skip_lines, (void **)&jpeg.crop_lines,
        (void **)&jpeg.finish,
    };
    if (!PyArg_ParseTuple(args, "KKKKKKKKKKKK", at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7, at + 8, at + 9,
                          at + 10, at + 11))
        return NULL;
    for (int i = 0; i < FUNCTIONS; i++) {
        if (!at[i]) Py_RETURN_FALSE;
        *to[i] = (void *)(uintptr_t)at[i];
    }
    worker *k = calloc(1, sizeof *k);
    if (!k) return PyErr_NoMemory();
    int version = 0, size = 0;
    int known = !ask(k, 1, 1, &version) && version >= 62 && version <= 80 && !ask(k, version, 1, &size) &&
                size > (int)sizeof(jpeg_decompress) && size <= JPEG_STRUCT_ROOM &&
                ask(k, version, (size_t)size, &version);
    free(k);
    return PyBool_FromLong(known);
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Decode many JPEGs into one array; see nsdata.decoding."},
    {"inspect", inspect, METH_VARARGS, "Decode all of many JPEGs and tell their sizes; see nsdata.images.decoder."},
    {"use", use, METH_VARARGS, "Decode with the libjpeg whose functions lie at these addresses."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_jpeg", "The decoder in C; see nsdata.decoding.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__jpeg(void) {
    choose_instructions();
    return PyModule_Create(&module);
}
