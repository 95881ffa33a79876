/* nsdata.arithmetic._native: what numpy needs many passes for, in one; see nsdata.arithmetic.compiled.
 *
 * Every function is compiled for several sets of instructions, of which the best that the processor has is called. All
 * add and multiply in the same order; where a product and a sum are rounded once and not twice, answers differ by that.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#include "divergence.h"
#include "hashes.h"

static double summed_anywhere(const pairs *all) { return summed(0, all); }
static double (*best_summed)(const pairs *) = summed_anywhere;

static void hashed_anywhere(const uint8_t *ids, uint64_t state, uint64_t *out, size_t m) { hashed(ids, state, out, m); }
static void (*best_hashed)(const uint8_t *, uint64_t, uint64_t *, size_t) = hashed_anywhere;

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,prefer-vector-width=512")))

AVX2 static double summed_avx2(const pairs *all) { return summed(1, all); }
AVX512 static double summed_avx512(const pairs *all) { return summed(1, all); }

AVX512 static void hashed_avx512(const uint8_t *ids, uint64_t state, uint64_t *out, size_t m) {
    hashed(ids, state, out, m);
}
#endif

static void choose_instructions(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best_summed = summed_avx2;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
        best_summed = summed_avx512;
        best_hashed = hashed_avx512;
    }
#endif
}

/* divergence(a, b, K) -> float: a and b are contiguous, of m rows of K float16 numbers. */
static PyObject *divergence(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer a, b;
    Py_ssize_t K;
    if (!PyArg_ParseTuple(args, "y*y*n", &a, &b, &K)) return NULL;
    PyObject *result = NULL;
    if (K < 1 || a.len != b.len || K > PY_SSIZE_T_MAX / 16 || a.len % (2 * K)) {
        PyErr_SetString(PyExc_ValueError, "arrays of divergence() do not belong together");
    } else {
        const size_t room = K < TILE ? TILE : (size_t)K;
        pairs all = {.a = a.buf, .b = b.buf, .m = (size_t)(a.len / (2 * K)), .K = (size_t)K};
        float *memory = malloc(2 * room * sizeof *memory);
        if (!memory) {
            PyErr_NoMemory();
        } else {
            all.p = memory;
            all.q = memory + room;
            double total;
            Py_BEGIN_ALLOW_THREADS
            total = best_summed(&all);
            Py_END_ALLOW_THREADS
            free(memory);
            result = PyFloat_FromDouble(total);
        }
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return result;
}

/* hashes(ids, state, out): ids are contiguous, m of 16 bytes; out holds m uint64. */
static PyObject *hashes(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer ids, out;
    unsigned long long state;
    if (!PyArg_ParseTuple(args, "y*Kw*", &ids, &state, &out)) return NULL;
    PyObject *result = NULL;
    if (ids.len % 16 || ids.len != 2 * out.len) {
        PyErr_SetString(PyExc_ValueError, "arrays of hashes() do not belong together");
    } else {
        Py_BEGIN_ALLOW_THREADS
        best_hashed(ids.buf, state, out.buf, (size_t)(ids.len / 16));
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&ids);
    PyBuffer_Release(&out);
    return result;
}

static PyMethodDef methods[] = {
    {"divergence", divergence, METH_VARARGS, "Sum of the divergences of rows; see nsdata.arithmetic.divergence."},
    {"hashes", hashes, METH_VARARGS, "Seeded hashes of ids; see nsdata.arithmetic.seeded."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "Arithmetic in C; see nsdata.arithmetic.compiled.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) {
    choose_instructions();
    return PyModule_Create(&module);
}
