/* nsdata.arithmetic._divergence: the sum of the Jensen-Shannon divergences of many pairs of float16 soft labels.
 *
 * The arithmetic is that of nsdata.arithmetic.divergence, which does the same with numpy: float32, rows brought to one
 * sum, exactly 0 for rows that are equal. numpy passes over a block some twenty times; here it stays in the processor's
 * nearest cache. Logarithms are Cephes' logf, right to the last bit or nearly, so the two ways agree to 1e-6 a row.
 * Every processor adds in the same order, so the answer does not hang on which instructions it has.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 2048, LANES = 8 };
static const float LEAST = 1e-30f; /* for 0, whose logarithm would be infinite: it adds nothing */

/* Soft labels of m rows and K classes, and room for the numbers of some of them. */
typedef struct {
    const uint16_t *a, *b;
    size_t m, K;
    float *p, *q;
} pairs;

#define INLINE static inline __attribute__((always_inline))

INLINE float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* A float16 from 0 up as float32, and next to nothing for 0; see _above_nothing in divergence.py. */
INLINE float whole(uint16_t half) {
    float x = as_float((((uint32_t)half & 0x7FFF) << 13) + (112u << 23));
    float small = x + x - 0x1p-14f;
    return (small < x ? small : x) + LEAST;
}

/* a * b + c, rounded once where the processor can: half of what follows is such steps. */
INLINE float step(int fused, float a, float b, float c) { return fused ? __builtin_fmaf(a, b, c) : a * b + c; }

/* The natural logarithm of a float32 above 0; exactly 0 for 1. */
INLINE float ln(int fused, float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    int32_t exponent = (int32_t)(bits - 0x3F3504F3) >> 23; /* of 2: the rest is from sqrt(1/2) to sqrt(2) */
    float x = as_float(bits - ((uint32_t)exponent << 23)) - 1.0f, z = x * x, e = (float)exponent;
    float y = step(fused, 7.0376836292e-2f, x, -1.1514610310e-1f);
    y = step(fused, y, x, 1.1676998740e-1f);
    y = step(fused, y, x, -1.2420140846e-1f);
    y = step(fused, y, x, 1.4249322787e-1f);
    y = step(fused, y, x, -1.6668057665e-1f);
    y = step(fused, y, x, 2.0000714765e-1f);
    y = step(fused, y, x, -2.4999993993e-1f);
    y = step(fused, y, x, 3.3333331174e-1f);
    y = step(fused, -0.5f, z, step(fused, -2.12194440e-4f, e, y * x * z));
    return step(fused, 0.693359375f, e, x + y);
}

INLINE float sum(const float *values, size_t n) {
    float lanes[LANES] = {0}, rest = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += values[i + l];
    for (; i < n; i++) rest += values[i];
    for (int width = LANES / 2; width; width /= 2)
        for (int l = 0; l < width; l++) lanes[l] += lanes[l + width];
    return lanes[0] + rest;
}

/* 2 JS = Σ (p+q) (r ln 2r + t ln 2t) of each row, where r = p / (p+q) and t = q / (p+q), in proportion to the sum of p. */
INLINE double summed(int fused, const pairs *all) {
    const size_t K = all->K, most = K < TILE ? TILE / K : 1;
    float *restrict p = all->p, *restrict q = all->q;
    float sums[TILE];
    double total = 0;
    for (size_t start = 0; start < all->m; start += most) {
        const size_t rows = all->m - start < most ? all->m - start : most, n = rows * K;
        const uint16_t *a = all->a + start * K, *b = all->b + start * K;
        if (!memcmp(a, b, 2 * n)) continue;
        for (size_t i = 0; i < n; i++) p[i] = whole(a[i]);
        for (size_t i = 0; i < n; i++) q[i] = whole(b[i]);
        for (size_t r = 0; r < rows; r++) {
            float *row = q + r * K;
            sums[r] = sum(p + r * K, K);
            const float scale = sums[r] / sum(row, K);
            for (size_t j = 0; j < K; j++) row[j] *= scale;
        }
        for (size_t i = 0; i < n; i++) {
            const float both = p[i] + q[i], r = p[i] / both, t = q[i] / both;
            p[i] = both * step(fused, r, ln(fused, r + r), t * ln(fused, t + t));
        }
        for (size_t r = 0; r < rows; r++) {
            const float found = sum(p + r * K, K);
            total += (double)((found > 0 ? found : 0) / sums[r]);
        }
    }
    return total / 2;
}

static double summed_anywhere(const pairs *all) { return summed(0, all); }
static double (*best)(const pairs *) = summed_anywhere;

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static double summed_avx2(const pairs *all) { return summed(1, all); }
__attribute__((target("avx512f,prefer-vector-width=512"))) static double summed_avx512(const pairs *all) { return summed(1, all); }
#endif

static void choose_instructions(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = summed_avx2;
    if (__builtin_cpu_supports("avx512f")) best = summed_avx512;
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
            total = best(&all);
            Py_END_ALLOW_THREADS
            free(memory);
            result = PyFloat_FromDouble(total);
        }
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return result;
}

static PyMethodDef methods[] = {
    {"divergence", divergence, METH_VARARGS, "Sum of the divergences of rows; see nsdata.arithmetic.divergence."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_divergence", "Divergences in C; see nsdata.arithmetic.divergence.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__divergence(void) {
    choose_instructions();
    return PyModule_Create(&module);
}
