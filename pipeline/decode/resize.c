/* Resizes windows of images to squares with a triangle filter, flips them, and writes them as uint8 or normalised
 * floats: one pass over each image while it is in the CPU cache.
 *
 * The filter is Pillow's bilinear one (antialiased when a window is reduced) in fixed point, first along rows, then
 * along columns, each rounded to 8 bits: the same bits as with Pillow and torch. Weights have the most binary places with
 * which the largest fits 16 signed bits, because processors multiply and add pairs of these at once.
 */
#include "resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_AVX2 1
#else
#define HAS_AVX2 0
#endif

/* For each of `size` outputs along an axis: the first input, and weights in pairs, the last padded with zero. */
typedef struct {
    int size, max_pairs, places, most; /* taps of any output */
    int *first, *taps;
    int16_t *weights; /* [size][2 * max_pairs] */
} Axis;

static void axis_free(Axis *axis) {
    free(axis->first);
    free(axis->taps);
    free(axis->weights);
}

/* Computes the weights of a triangle whose half-width is the larger of one output pixel and one input pixel. The outputs
 * cover `extent` inputs from `start` on; there are `input` inputs. */
static int axis_make(Axis *axis, int input, double start, double extent, int size, int mirrored) {
    double scale = extent / size, support = scale > 1 ? scale : 1, inverse = scale > 1 ? 1 / scale : 1;
    int most = 2 * (int)ceil(support) + 1, max_pairs = (most + 1) / 2;
    double largest = 0, *exact = calloc((size_t)size * 2 * max_pairs, sizeof(double));
    *axis = (Axis){size, max_pairs, 0, 0, malloc(size * sizeof(int)), malloc(size * sizeof(int)),
                   calloc((size_t)size * 2 * max_pairs, sizeof(int16_t))};
    if (!exact || !axis->first || !axis->taps || !axis->weights) {
        free(exact);
        return -1;
    }
    for (int i = 0; i < size; i++) {
        double centre = start + scale * (i + 0.5), total = 0;
        int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);
        int first = low > 0 ? low : 0, taps = (high < input ? high : input) - first;
        int place = mirrored ? size - 1 - i : i;
        double *row = exact + (size_t)place * 2 * max_pairs;
        for (int j = 0; j < taps; j++) {
            double away = fabs((first + j - centre + 0.5) * inverse);
            row[j] = away < 1 ? 1 - away : 0;
            total += row[j];
        }
        for (int j = 0; j < taps; j++) {
            row[j] = total != 0 ? row[j] / total : row[j];
            largest = row[j] > largest ? row[j] : largest;
        }
        /* Skip weights of zero at the ends, which only cost time. */
        while (taps > 1 && row[taps - 1] == 0) taps--;
        axis->first[place] = first;
        axis->taps[place] = taps;
        axis->most = taps > axis->most ? taps : axis->most;
    }
    while (axis->places < 22 && (int)(0.5 + largest * (1 << (axis->places + 1))) < (1 << 15)) axis->places++;
    for (int i = 0; i < size * 2 * max_pairs; i++) axis->weights[i] = (int16_t)(0.5 + exact[i] * (1 << axis->places));
    free(exact);
    return 0;
}

static inline int rounded(int sum, int places) {
    int value = sum >> places;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static void across_plain(const uint8_t *row, uint8_t *out, const Axis *axis) {
    for (int x = 0; x < axis->size; x++) {
        const int16_t *weights = axis->weights + (size_t)x * 2 * axis->max_pairs;
        const uint8_t *from = row + CHANNELS * axis->first[x];
        for (int c = 0; c < CHANNELS; c++) {
            int sum = 1 << (axis->places - 1);
            for (int j = 0; j < axis->taps[x]; j++) sum += weights[j] * from[CHANNELS * j + c];
            out[CHANNELS * x + c] = (uint8_t)rounded(sum, axis->places);
        }
    }
}

static inline uint16_t as_bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16); /* to the nearest, ties to even; NaN does not occur */
}

/* Writes the values from `begin` to the end of one row. `rows` points to the row of the first tap; the next ones are
 * `stride` bytes apart. */
static void down_plain(const uint8_t *rows, size_t stride, const Axis *axis, int y, int begin, const Output *output, void *out) {
    const int16_t *weights = axis->weights + (size_t)y * 2 * axis->max_pairs;
    for (int i = begin; i < CHANNELS * output->size; i++) {
        int sum = 1 << (axis->places - 1);
        for (int j = 0; j < axis->taps[y]; j++) sum += weights[j] * rows[j * stride + i];
        int value = rounded(sum, axis->places);
        if (output->kind == AS_UINT8) {
            ((uint8_t *)out)[i] = (uint8_t)value;
            continue;
        }
        float scaled = (float)value * output->scales[i] + output->shifts[i];
        if (output->kind == AS_FLOAT32)
            ((float *)out)[i] = scaled;
        else
            ((uint16_t *)out)[i] = as_bfloat16(scaled);
    }
}

#if HAS_AVX2
#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline))

/* Loads the pixels of two rows from `from` on, one row in each half of a register, as pairs of 16 bits: r0 r1 g0 g1 b0 b1. */
AVX2 static inline __m256i pixel_pairs(const uint8_t *upper, const uint8_t *lower, size_t from) {
    const __m256i spread = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    __m128i above = _mm_loadl_epi64((const __m128i *)(upper + from)), below = _mm_loadl_epi64((const __m128i *)(lower + from));
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(above), below, 1), spread);
}

AVX2 INLINE __m256i weights_of(const int16_t *weights) {
    int32_t pair;
    memcpy(&pair, weights, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* Computes one pixel of four rows, as 32-bit sums: rows 0 and 1 in the halves of the first register, rows 2 and 3 of the second.
 * Of `pairs` taps those beyond the last one have weights of zero. */
AVX2 INLINE void pixel_of_four(const uint8_t *const rows[FOUR], const Axis *axis, int x, int pairs, __m256i half, __m256i sums[2]) {
    const int16_t *weights = axis->weights + (size_t)x * 2 * axis->max_pairs;
    size_t from = (size_t)CHANNELS * axis->first[x];
    sums[0] = sums[1] = half;
    for (int j = 0; j < pairs; j++, from += 2 * CHANNELS) {
        __m256i weight = weights_of(weights + 2 * j);
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(pixel_pairs(rows[0], rows[1], from), weight));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(pixel_pairs(rows[2], rows[3], from), weight));
    }
}

/* Resizes four rows together, two pixels at a time. Writes eight bytes for two pixels; the next write overwrites two. Each
 * pixel has `pairs` of taps, a constant where that is faster, or its own number if that is 0. */
AVX2 INLINE void pixels_of_four(const uint8_t *const rows[FOUR], uint8_t *out, size_t stride, const Axis *axis, int pairs) {
    const __m256i half = _mm256_set1_epi32(1 << (axis->places - 1));
    const __m256i six = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, -1, -1, 8, 9, 10, 12, 13, 14, -1, -1));
    const __m128i places = _mm_cvtsi32_si128(axis->places);
    for (int x = 0; x < axis->size; x += 2, out += 2 * CHANNELS) {
        __m256i left[2], right[2], words[2];
        int second = x + 1 < axis->size ? x + 1 : x;
        pixel_of_four(rows, axis, x, pairs ? pairs : (axis->taps[x] + 1) / 2, half, left);
        pixel_of_four(rows, axis, second, pairs ? pairs : (axis->taps[second] + 1) / 2, half, right);
        for (int k = 0; k < 2; k++)
            words[k] = _mm256_packs_epi32(_mm256_sra_epi32(left[k], places), _mm256_sra_epi32(right[k], places));
        /* Rows 0 and 2, and in the upper half rows 1 and 3. */
        __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(words[0], words[1]), six);
        __m128i even = _mm256_castsi256_si128(bytes), odd = _mm256_extracti128_si256(bytes, 1);
        _mm_storel_epi64((__m128i *)out, even);
        _mm_storel_epi64((__m128i *)(out + stride), odd);
        _mm_storel_epi64((__m128i *)(out + 2 * stride), _mm_unpackhi_epi64(even, even));
        _mm_storel_epi64((__m128i *)(out + 3 * stride), _mm_unpackhi_epi64(odd, odd));
    }
}

AVX2 static void across_avx2(const uint8_t *const rows[FOUR], uint8_t *out, size_t stride, const Axis *axis) {
    if (axis->most <= 2) {
        pixels_of_four(rows, out, stride, axis, 1);
    } else if (axis->most <= 4) {
        pixels_of_four(rows, out, stride, axis, 2);
    } else {
        pixels_of_four(rows, out, stride, axis, 0);
    }
}

/* Computes sixteen values of a row, as 32-bit integers of 0..255. `two`: the weights of two taps, if there are no more. */
AVX2 INLINE void sixteen(const uint8_t *rows, size_t stride, const int16_t *weights, int taps, const __m256i *two, __m256i half,
                         __m128i places, __m256i out[2]) {
    out[0] = out[1] = half;
    for (int j = 0; j < taps; j += 2) {
        __m128i upper = _mm_loadu_si128((const __m128i *)(rows + j * stride));
        __m128i lower = j + 1 < taps ? _mm_loadu_si128((const __m128i *)(rows + (j + 1) * stride)) : upper;
        __m256i weight = two ? *two : weights_of(weights + j);
        out[0] = _mm256_add_epi32(out[0], _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(upper, lower)), weight));
        out[1] = _mm256_add_epi32(out[1], _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpackhi_epi8(upper, lower)), weight));
    }
    const __m256i zero = _mm256_setzero_si256(), most = _mm256_set1_epi32(255);
    for (int k = 0; k < 2; k++) out[k] = _mm256_min_epi32(_mm256_max_epi32(_mm256_sra_epi32(out[k], places), zero), most);
}

AVX2 static inline __m256i bfloat16_bits(__m256 values) {
    __m256i bits = _mm256_castps_si256(values);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
}

AVX2 static inline __m256i narrowed(__m256i low, __m256i high) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
}

/* Writes the values of a row in groups of sixteen; returns how many. Aligned floats bypass the cache: a batch of them
 * is larger than the cache, whose content is still needed. `taps` and `kind` are constants where that is faster. */
AVX2 INLINE int groups(const uint8_t *rows, size_t stride, const Axis *axis, int y, int taps, enum kind kind,
                       const Output *output, void *out) {
    const int16_t *weights = axis->weights + (size_t)y * 2 * axis->max_pairs;
    const __m256i two = weights_of(weights);
    const float *scales = output->scales, *shifts = output->shifts;
    const __m256i half = _mm256_set1_epi32(1 << (axis->places - 1));
    const __m128i places = _mm_cvtsi32_si128(axis->places);
    const int aligned = ((uintptr_t)out & 31) == 0, count = CHANNELS * output->size;
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i values[2];
        sixteen(rows + i, stride, weights, taps, taps == 2 ? &two : NULL, half, places, values);
        if (kind == AS_UINT8) {
            __m256i words = narrowed(values[0], values[1]);
            __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
            _mm_storeu_si128((__m128i *)((uint8_t *)out + i), bytes);
            continue;
        }
        __m256 floats[2];
        for (int k = 0; k < 2; k++)
            floats[k] = _mm256_add_ps(
                _mm256_mul_ps(_mm256_cvtepi32_ps(values[k]), _mm256_loadu_ps(scales + i + 8 * k)),
                _mm256_loadu_ps(shifts + i + 8 * k));
        if (kind == AS_BFLOAT16) {
            __m256i words = narrowed(bfloat16_bits(floats[0]), bfloat16_bits(floats[1]));
            _mm256_storeu_si256((__m256i *)((uint16_t *)out + i), words);
        } else if (aligned) {
            _mm256_stream_ps((float *)out + i, floats[0]);
            _mm256_stream_ps((float *)out + i + 8, floats[1]);
        } else {
            _mm256_storeu_ps((float *)out + i, floats[0]);
            _mm256_storeu_ps((float *)out + i + 8, floats[1]);
        }
    }
    return i;
}

/* Rows of crops that are enlarged have two taps, and of those that are reduced a little three at most. */
AVX2 static int down_avx2(const uint8_t *rows, size_t stride, const Axis *axis, int y, const Output *output, void *out) {
    const int taps = axis->taps[y];
    if (output->kind == AS_FLOAT32 && taps == 2) return groups(rows, stride, axis, y, 2, AS_FLOAT32, output, out);
    if (output->kind == AS_FLOAT32 && taps == 3) return groups(rows, stride, axis, y, 3, AS_FLOAT32, output, out);
    if (output->kind == AS_UINT8 && taps == 2) return groups(rows, stride, axis, y, 2, AS_UINT8, output, out);
    if (output->kind == AS_UINT8 && taps == 3) return groups(rows, stride, axis, y, 3, AS_UINT8, output, out);
    return groups(rows, stride, axis, y, taps, output->kind, output, out);
}
#endif

static size_t value_size(enum kind kind) { return kind == AS_UINT8 ? 1 : kind == AS_FLOAT32 ? 4 : 2; }

size_t square_bytes(const Output *output) {
    return (size_t)output->size * output->size * CHANNELS * value_size(output->kind);
}

int output_make(Output *output, int kind, int size, int simd, const float scale[CHANNELS], const float shift[CHANNELS]) {
    size_t count = (size_t)CHANNELS * size;
#if HAS_AVX2
    simd = simd && __builtin_cpu_supports("avx2");
#endif
    *output = (Output){(enum kind)kind, size, simd, malloc((count + SLACK) * sizeof(float)), malloc((count + SLACK) * sizeof(float))};
    if (!output->scales || !output->shifts) return -1;
    for (size_t i = 0; i < count; i++) {
        output->scales[i] = scale[i % CHANNELS];
        output->shifts[i] = shift[i % CHANNELS];
    }
    return 0;
}

void output_free(Output *output) {
    free(output->scales);
    free(output->shifts);
}

int memory_grow(Memory *memory, size_t bytes) {
    if (bytes <= memory->bytes) return 0;
    free(memory->data);
    *memory = (Memory){malloc(bytes), bytes};
    if (memory->data) return 0;
    memory->bytes = 0;
    return -1;
}

/* Resizes the next rows of the source along the row. */
static int across_four(Source *source, const Axis *axis, const Output *output, uint8_t *out, size_t stride) {
    const uint8_t *four[FOUR];
    if (source->next(source, four)) return -1;
#if HAS_AVX2
    if (output->simd) {
        across_avx2(four, out, stride, axis);
        return 0;
    }
#endif
    (void)output;
    for (int k = 0; k < FOUR; k++) across_plain(four[k], out + k * stride, axis);
    return 0;
}

int resize(Source *source, int mirrored, const Output *output, Memory *memory, uint8_t *out) {
    Axis across = {0}, down = {0};
    size_t stride = (size_t)CHANNELS * output->size + SLACK;
    int status = -1, done = 0;
    if (axis_make(&across, source->width, source->left, source->across, output->size, mirrored)) goto end;
    if (axis_make(&down, source->height, source->top, source->down, output->size, 0)) goto end;
    if (memory_grow(memory, stride * (source->height + FOUR))) goto end;
    for (int y = 0; y < output->size; y++) {
        for (int needed = down.first[y] + down.taps[y]; done < needed; done += FOUR) /* those that are not done yet */
            if (across_four(source, &across, output, memory->data + done * stride, stride)) goto end;
        void *place = out + (size_t)y * CHANNELS * output->size * value_size(output->kind);
        const uint8_t *from = memory->data + down.first[y] * stride;
        int begin = 0;
#if HAS_AVX2
        if (output->simd) begin = down_avx2(from, stride, &down, y, output, place);
#endif
        down_plain(from, stride, &down, y, begin, output, place);
    }
    status = 0;
end:
#if HAS_AVX2
    if (output->simd) _mm_sfence(); /* makes streamed stores visible to other threads */
#endif
    axis_free(&across);
    axis_free(&down);
    return status;
}
