/* The sum of the Jensen-Shannon divergences of many pairs of float16 soft labels.
 *
 * The arithmetic is that of nsdata.arithmetic.divergence, which does the same with numpy: float32, rows brought to one
 * sum, exactly 0 for rows that are equal. numpy passes over a block some twenty times; here it stays in the processor's
 * nearest cache. Logarithms are Cephes' logf, right to the last bit or nearly, so the two ways agree to 1e-6 a row.
 */
enum { TILE = 2048, LANES = 8 };
static const float LEAST = 1e-30f; /* for 0, whose logarithm would be infinite: it adds nothing */

/* Soft labels of m rows and K classes, and room for the numbers of some of them. */
typedef struct {
    const uint16_t *a, *b;
    size_t m, K;
    float *p, *q;
} pairs;

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
