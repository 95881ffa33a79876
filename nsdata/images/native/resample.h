/* Pillow's antialiased resampling, to the bit: coefficients in double, then 22-bit fixed point, rows first.
 *
 * A pixel is four bytes (RGBX), and two rows are done at once. Coefficients are kept as 11 high and 11 low bits, by
 * pairs of taps, since the instruction that multiplies and adds pairs takes 16 bits; the sum is the same to the bit.
 */
#ifndef NSDATA_RESAMPLE_H
#define NSDATA_RESAMPLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { FIXED = 22, LOW = 11 };
enum { NEVER_WIDER = 1 << 16 }; /* longest side of a result, in pixels */
enum { OVERREAD = 32 };         /* bytes behind a line that may be read (and count for nothing) or written */

typedef struct {
    int16_t high[2], low[2];
} pair;

typedef struct {
    int out, pairs; /* results, and pairs of coefficients kept for each of them; an odd last one has a 0 beside it */
    int *first, *count;
    pair *weight; /* (out, pairs) */
} weights;

static double box_filter(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear_filter(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic_filter(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x = x * M_PI;
    return sin(x) / x;
}

static double lanczos_filter(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

typedef struct {
    double (*at)(double);
    double support;
} filter;

static const filter FILTERS[] = {
    {box_filter, 0.5}, {bilinear_filter, 1.0}, {bicubic_filter, 2.0}, {lanczos_filter, 3.0}, /* crops.RESAMPLE */
};
enum { FILTER_COUNT = sizeof FILTERS / sizeof FILTERS[0] };

static int pairs_for(float from, float to, int out, const filter *f) {
    double scale = (double)(to - from) / out;
    return (int)ceil(f->support * (scale < 1.0 ? 1.0 : scale)) + 1;
}

/* Which inputs of 0..in-1 make each of w->out results that span from..to, and how much of each.
 * w's arrays must have room for pairs_for(...); scratch for twice as many doubles. */
static void weigh(weights *w, int in, float from, float to, const filter *f, double *scratch) {
    double scale = (double)(to - from) / w->out, stretch = scale < 1.0 ? 1.0 : scale;
    double support = f->support * stretch, shrink = 1.0 / stretch;
    memset(w->weight, 0, sizeof(pair) * (size_t)w->pairs * (size_t)w->out);
    for (int i = 0; i < w->out; i++) {
        double centre = from + (i + 0.5) * scale, sum = 0.0;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (end > in) end = in;
        int count = end > first ? end - first : 0;
        for (int k = 0; k < count; k++) sum += scratch[k] = f->at((k + first - centre + 0.5) * shrink);
        pair *weight = w->weight + (size_t)i * (size_t)w->pairs;
        for (int k = 0; k < count; k++) {
            double share = sum != 0.0 ? scratch[k] / sum : scratch[k];
            int32_t fixed = (int32_t)((share < 0 ? -0.5 : 0.5) + share * (1 << FIXED));
            weight[k / 2].high[k % 2] = (int16_t)(fixed >> LOW);
            weight[k / 2].low[k % 2] = (int16_t)(fixed & ((1 << LOW) - 1));
        }
        w->first[i] = first;
        w->count[i] = count;
    }
}

#define INLINE static inline __attribute__((always_inline))

INLINE int32_t coefficient(const pair *weight, int k) {
    return weight[k / 2].high[k % 2] * (1 << LOW) + weight[k / 2].low[k % 2];
}

INLINE uint8_t clipped(int32_t sum) {
    sum >>= FIXED;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One line of pixels to w->out pixels; ``left`` is the number of its first pixel. */
static void across_plain(
    const uint8_t *a, const uint8_t *b, int left, uint8_t *to_a, uint8_t *to_b, const weights *w) {
    for (int i = 0; i < w->out; i++) {
        const pair *weight = w->weight + (size_t)i * (size_t)w->pairs;
        size_t at = 4 * (size_t)(w->first[i] - left);
        int32_t sum[8] = {[0 ... 7] = 1 << (FIXED - 1)};
        for (int k = 0; k < w->count[i]; k++, at += 4) {
            int32_t c = coefficient(weight, k);
            for (int n = 0; n < 4; n++) sum[n] += a[at + n] * c;
            for (int n = 0; n < 4; n++) sum[4 + n] += b[at + n] * c;
        }
        for (int n = 0; n < 4; n++) to_a[4 * i + n] = clipped(sum[n]);
        for (int n = 0; n < 4; n++) to_b[4 * i + n] = clipped(sum[4 + n]);
    }
}

/* One line of ``stride`` bytes (a multiple of 32) from ``count`` lines. */
static void down_plain(const uint8_t *lines, size_t stride, int count, const pair *weight, uint8_t *to) {
    for (size_t at = 0; at < stride; at += 32) {
        int32_t sum[32];
        for (int n = 0; n < 32; n++) sum[n] = 1 << (FIXED - 1);
        for (int k = 0; k < count; k++) {
            int32_t c = coefficient(weight, k);
            const uint8_t *from = lines + (size_t)k * stride + at;
            for (int n = 0; n < 32; n++) sum[n] += from[n] * c;
        }
        for (int n = 0; n < 32; n++) to[at + n] = clipped(sum[n]);
    }
}

/* RGBX pixels to RGB, from left to right or from right to left; ``to`` is where the first one goes. */
static void pack_plain(const uint8_t *from, uint8_t *to, int pixels, int mirror) {
    for (int i = 0; i < pixels; i++, from += 4, to += mirror ? -3 : 3) memcpy(to, from, 3);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline int32_t both(const int16_t two[2]) {
    int32_t value;
    memcpy(&value, two, 4);
    return value;
}

AVX2 static inline __m256i finished(__m256i high, __m256i low) {
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, LOW), low);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << (FIXED - 1))), FIXED);
}

AVX2 static void across_avx2(
    const uint8_t *a, const uint8_t *b, int left, uint8_t *to_a, uint8_t *to_b, const weights *w) {
    /* of two pixels side by side, each colour's two bytes become two neighbouring 16-bit numbers */
    const __m256i beside = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1,
                                            0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
    for (int i = 0; i < w->out; i++) {
        const pair *weight = w->weight + (size_t)i * (size_t)w->pairs;
        size_t at = 4 * (size_t)(w->first[i] - left);
        __m256i high = _mm256_setzero_si256(), low = high;
        for (int k = 0; k < w->count[i]; k += 2, at += 8, weight++) {
            __m256i of_a = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(a + at)));
            __m256i px = _mm256_inserti128_si256(of_a, _mm_loadu_si128((const __m128i *)(b + at)), 1);
            px = _mm256_shuffle_epi8(px, beside);
            high = _mm256_add_epi32(high, _mm256_madd_epi16(px, _mm256_set1_epi32(both(weight->high))));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(px, _mm256_set1_epi32(both(weight->low))));
        }
        __m256i sum = finished(high, low);
        sum = _mm256_packus_epi16(_mm256_packs_epi32(sum, sum), sum);
        int32_t one = _mm_cvtsi128_si32(_mm256_castsi256_si128(sum));
        int32_t two = _mm_cvtsi128_si32(_mm256_extracti128_si256(sum, 1));
        memcpy(to_a + 4 * (size_t)i, &one, 4);
        memcpy(to_b + 4 * (size_t)i, &two, 4);
    }
}

AVX2 static void down_avx2(const uint8_t *lines, size_t stride, int count, const pair *weights_of, uint8_t *to) {
    const __m256i zero = _mm256_setzero_si256();
    for (size_t at = 0; at < stride; at += 32) {
        __m256i high[4] = {zero, zero, zero, zero}, low[4] = {zero, zero, zero, zero};
        const uint8_t *from = lines + at;
        const pair *weight = weights_of;
        for (int k = 0; k < count; k += 2, from += 2 * stride, weight++) {
            __m256i one = _mm256_loadu_si256((const __m256i *)from), two = zero;
            if (k + 1 < count) two = _mm256_loadu_si256((const __m256i *)(from + stride));
            __m256i mixed[2] = {_mm256_unpacklo_epi8(one, two), _mm256_unpackhi_epi8(one, two)};
            __m256i upper = _mm256_set1_epi32(both(weight->high)), lower = _mm256_set1_epi32(both(weight->low));
            for (int n = 0; n < 4; n++) {
                __m256i px = n % 2 ? _mm256_unpackhi_epi8(mixed[n / 2], zero) : _mm256_unpacklo_epi8(mixed[n / 2], zero);
                high[n] = _mm256_add_epi32(high[n], _mm256_madd_epi16(px, upper));
                low[n] = _mm256_add_epi32(low[n], _mm256_madd_epi16(px, lower));
            }
        }
        __m256i first = _mm256_packs_epi32(finished(high[0], low[0]), finished(high[1], low[1]));
        __m256i second = _mm256_packs_epi32(finished(high[2], low[2]), finished(high[3], low[3]));
        _mm256_storeu_si256((__m256i *)(to + at), _mm256_packus_epi16(first, second));
    }
}

/* Writes 16 bytes for 12 that count; what is too much lies where the next pixels go. */
AVX2 static void pack_avx2(const uint8_t *from, uint8_t *to, int pixels, int mirror) {
    const __m128i right = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i left = _mm_setr_epi8(-1, -1, -1, -1, 12, 13, 14, 8, 9, 10, 4, 5, 6, 0, 1, 2);
    int i = 0;
    for (; i + 6 <= pixels; i += 4, from += 16, to += mirror ? -12 : 12) {
        __m128i four = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)from), mirror ? left : right);
        _mm_storeu_si128((__m128i *)(mirror ? to - 13 : to), four);
    }
    pack_plain(from, to, pixels - i, mirror);
}
#endif

static void (*across)(const uint8_t *, const uint8_t *, int, uint8_t *, uint8_t *, const weights *) = across_plain;
static void (*down)(const uint8_t *, size_t, int, const pair *, uint8_t *) = down_plain;
static void (*pack)(const uint8_t *, uint8_t *, int, int) = pack_plain;

static void choose_instructions(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        across = across_avx2;
        down = down_avx2;
        pack = pack_avx2;
    }
#endif
}

#endif
