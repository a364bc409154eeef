/* Decodes the Huffman codes of baseline JPEGs for libjpeg, which does the rest. In most JPEGs they take more time than all
 * else. Coefficients are the same, in less time:
 *
 * - one look into a table decodes a code with its value, and mostly the next one too;
 * - in blocks outside the window values are not computed, and a look passes over more symbols;
 * - stuffed zeros are removed in advance, so that eight bytes can be read at a time.
 *
 * A scan that is damaged in any way is left to libjpeg from its start, so that its outcome does not depend on this file.
 */
#include "huffman.h"

#include <string.h>

#define BLOCK 64 /* coefficients */
#define LONGEST 16 /* bits of a code */
#define AT_END 128 /* advance of the symbol that ends a block: more than any run */
#define SURE 16 /* advance after which the next symbol is surely of the same block, from NEAR on */
#define NEAR (BLOCK - SURE)
#define PLACES (BLOCK + AT_END) /* to which the end of a block or a run beyond it leads */

/* libjpeg's own structure, which its interface only names. These first fields are the same in version 6b and in all of its
 * descendants that can decode columns and skip rows, as `libjpeg.c` requires: libjpeg-turbo and mozjpeg. */
struct jpeg_entropy_decoder {
    void (*start_pass)(j_decompress_ptr jpeg);
    boolean (*decode_mcu)(j_decompress_ptr jpeg, JBLOCKROW *blocks);
};

#if JPEG_LIB_VERSION >= 70
#define SCALED DCT_h_scaled_size
#else
#define SCALED DCT_scaled_size
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_BMI2 1
#define BMI2 __attribute__((target("bmi2")))
#else
#define HAS_BMI2 0
#endif
#define INLINE static inline __attribute__((always_inline))

/* Places of coefficients in a block in order of their codes; behind them the last place, for all that is beyond a block. */
static const uint8_t ZIGZAG[PLACES] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    [BLOCK ... PLACES - 1] = 63 /* a range, as GCC and Clang have it */};

/* Returns what a table says of a symbol: bits, of them the code's, what to shift for its value, and its advance. `ac`: the
 * symbol also says how many zeros precede the value. 0 if the symbol is none. */
static uint32_t entry_of(int length, int symbol, int ac) {
    int size = ac ? symbol & 15 : symbol, zeros = ac ? symbol >> 4 : 0;
    uint32_t advance = (uint32_t)(ac && size == 0 && zeros != 15 ? AT_END : zeros + 1);
    if (size > 15) return 0;
    return (uint32_t)(length + size) | (uint32_t)length << 8 | (uint32_t)(63 - size) << 16 | advance << 24;
}

/* Makes one entry of as many symbols as fit. The block must have more than SURE coefficients left for all but the last. */
static uint16_t run_of(const Codes *codes, int peeked) {
    int bits = 0, advance = 0;
    do {
        uint32_t more = codes->steps[peeked << bits & ((1 << PEEKED) - 1)];
        if (!more || bits + (int)(more >> 8 & 255) > PEEKED) break; /* its code must be known, its value need not */
        bits += more & 255;
        advance += more >> 24;
    } while (bits < PEEKED && advance <= SURE);
    return (uint16_t)(bits | (advance < AT_END ? advance : AT_END) << 8);
}

/* Returns the value of a symbol from the bits that follow its code, which are the highest ones. */
INLINE int value_of(uint64_t from, uint32_t entry) {
    /* They are those of a positive number, or if the first is 0 the inverted ones of a negative number. */
    uint64_t negative = ~(uint64_t)((int64_t)from >> 63);
    uint64_t size = (from ^ negative) >> 1 >> (entry >> 16 & 63);
    return (int)((size ^ negative) - negative);
}

/* Makes one entry of one or two symbols whose values fit too; 0 if not even one does. */
static uint64_t pair_of(const Codes *codes, int peeked) {
    uint64_t window = (uint64_t)peeked << (64 - PEEKED);
    uint32_t one = codes->steps[peeked];
    int bits = one & 255, before = one >> 24, advance = before;
    if (!one || bits > PEEKED) return 0;
    int first = value_of(window << (one >> 8 & 63), one), last = first;
    uint32_t two = codes->steps[peeked << bits & ((1 << PEEKED) - 1)];
    if (before < AT_END && two && bits + (int)(two & 255) <= PEEKED) {
        last = value_of(window << bits << (two >> 8 & 63), two);
        bits += two & 255;
        advance += two >> 24;
        if (advance > AT_END) advance = AT_END;
    }
    return (uint64_t)bits | (uint64_t)before << 8 | (uint64_t)advance << 16 | (uint64_t)(first & 0xffff) << 32 |
           (uint64_t)(last & 0xffff) << 48;
}

/* Makes the tables, which libjpeg has checked, unless they are there already. */
static void codes_make(Codes *codes, const JHUFF_TBL *table, int ac) {
    if (codes->made && !memcmp(codes->counts, table->bits, sizeof codes->counts) &&
        !memcmp(codes->symbols, table->huffval, sizeof codes->symbols))
        return;
    memset(codes, 0, sizeof *codes);
    memcpy(codes->counts, table->bits, sizeof codes->counts);
    memcpy(codes->symbols, table->huffval, sizeof codes->symbols);
    for (int length = 1, code = 0, place = 0; length <= LONGEST; length++, code <<= 1) {
        codes->place[length] = place - code;
        for (int i = 0; i < codes->counts[length] && place < 256; i++, code++, place++) {
            if (length > PEEKED || code >= 1 << length) continue;
            uint32_t entry = entry_of(length, codes->symbols[place], ac);
            int room = PEEKED - length;
            for (int peeked = code << room; peeked < (code + 1) << room; peeked++) codes->steps[peeked] = entry;
        }
        codes->beyond[length] = code << (LONGEST - length);
    }
    for (int peeked = 0; ac && peeked < 1 << PEEKED; peeked++) {
        codes->runs[peeked] = run_of(codes, peeked);
        codes->pairs[peeked] = pair_of(codes, peeked);
    }
    codes->made = 1;
}

/* Returns the entry of a code that is too long for a table; 0 if there is no such code. */
static __attribute__((noinline)) uint32_t long_code(const Codes *codes, uint64_t window, int ac) {
    int32_t code = (int32_t)(window >> (64 - LONGEST));
    int length = PEEKED + 1;
    while (length <= LONGEST && code >= codes->beyond[length]) length++;
    int place = length > LONGEST ? -1 : codes->place[length] + (code >> (LONGEST - length));
    return place < 0 || place > 255 ? 0 : entry_of(length, codes->symbols[place], ac);
}

/* Moves what is left of the chunk to its start, and adds bytes without the zeros that are stuffed in after 255. Zeros follow
 * the end of the scan; who reads them all again is at something odd. Returns the new place of `next`. */
static __attribute__((noinline)) const uint8_t *more(Huffman *huffman, const uint8_t *next) {
    if (huffman->ended) {
        huffman->odd = 1;
        return huffman->filled;
    }
    size_t held = (size_t)(huffman->filled - next);
    memmove(huffman->chunk, next, held);
    uint8_t *place = huffman->chunk + held, *full = huffman->chunk + CHUNK;
    const uint8_t *source = huffman->source;
    while (place < full) {
        size_t most = (size_t)(full - place), left = (size_t)(huffman->end - source);
        const uint8_t *marker = memchr(source, 0xff, left < most ? left : most);
        size_t plain = marker ? (size_t)(marker - source) : left < most ? left : most;
        memcpy(place, source, plain);
        place += plain;
        source += plain;
        if (source == huffman->end || (marker && (left - plain < 2 || marker[1] != 0))) {
            huffman->odd |= left - plain < 2; /* no marker ends it: libjpeg, which reads ahead too, decides whether it misses one */
            huffman->ended = 1;
            break;
        }
        if (marker) {
            *place++ = 0xff;
            source += 2;
        }
    }
    memset(place, 0, PADDING);
    huffman->source = source;
    huffman->filled = place;
    huffman->limit = place + (huffman->ended ? PADDING / 2 : -8);
    return huffman->chunk;
}

/* What the decoding of an MCU changes, in a structure whose address stays inside it, so that a compiler keeps its fields in
 * registers. */
typedef struct {
    const uint8_t *next;
    uint64_t window;
    int bits;
    int value, advance; /* of the last symbol; an advance of 0: there is no such code */
} Reader;

/* Makes `window` hold 56 bits at least. Bits behind `bits` are those of the bytes from `next` on. */
INLINE void refill(Reader *reader, Huffman *huffman) {
    if (reader->next > huffman->limit) reader->next = more(huffman, reader->next);
    uint64_t eight;
    memcpy(&eight, reader->next, sizeof eight);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    eight = __builtin_bswap64(eight);
#endif
    reader->window |= eight >> reader->bits;
    reader->next += (63 - reader->bits) >> 3;
    reader->bits |= 56;
}

INLINE void drop(Reader *reader, uint32_t bits) {
    reader->window <<= bits & 63;
    reader->bits -= bits & 255;
}

/* Reads a symbol and its value: at most 31 bits. */
INLINE void step(Reader *reader, const Codes *codes, int ac) {
    uint32_t entry = codes->steps[reader->window >> (64 - PEEKED)];
    if (__builtin_expect(entry == 0, 0)) entry = long_code(codes, reader->window, ac);
    reader->value = value_of(reader->window << (entry >> 8 & 63), entry);
    reader->advance = (int)(entry >> 24);
    drop(reader, entry);
}

/* Reads the AC coefficients of a block into their places; returns where that ends. */
INLINE int coefficients(Reader *reader, const Codes *codes, Huffman *huffman, JCOEF *block) {
    int k = 1;
    while (k < NEAR) {
        refill(reader, huffman); /* enough for five looks, or one and a step */
        for (int look = 0; look < 3; look++) {
            uint64_t pair = codes->pairs[reader->window >> (64 - PEEKED)];
            if (__builtin_expect(pair == 0, 0)) {
                refill(reader, huffman);
                step(reader, codes, 1);
                k += reader->advance;
                block[ZIGZAG[k - 1]] = (JCOEF)reader->value;
                if (reader->advance == 0) return 0;
                break;
            }
            drop(reader, (uint32_t)pair);
            block[ZIGZAG[k + (pair >> 8 & 255) - 1]] = (JCOEF)(pair >> 32);
            k += pair >> 16 & 255;
            block[ZIGZAG[k - 1]] = (JCOEF)(pair >> 48);
            if (k >= NEAR) break;
        }
    }
    while (k < BLOCK) {
        refill(reader, huffman);
        step(reader, codes, 1);
        k += reader->advance;
        block[ZIGZAG[k - 1]] = (JCOEF)reader->value;
        if (reader->advance == 0) return 0;
    }
    return k;
}

/* Passes over the AC coefficients of a block; returns where that ends. */
INLINE int no_coefficients(Reader *reader, const Codes *codes, Huffman *huffman) {
    int k = 1;
    while (k < NEAR) {
        refill(reader, huffman); /* enough for two runs, or for one and a step */
        for (int look = 0; look < 2 && k < NEAR; look++) {
            uint32_t run = codes->runs[reader->window >> (64 - PEEKED)];
            if (__builtin_expect(run == 0, 0)) {
                step(reader, codes, 1);
                if (reader->advance == 0) return 0;
                k += reader->advance;
                break;
            }
            drop(reader, run);
            k += run >> 8;
        }
    }
    while (k < BLOCK) {
        refill(reader, huffman);
        step(reader, codes, 1);
        if (reader->advance == 0) return 0;
        k += reader->advance;
    }
    return k;
}

/* Reads an MCU; only the means of its blocks unless they are wanted, into `blocks`. */
INLINE void read_mcu(Huffman *huffman, JBLOCKROW *blocks) {
    Reader reader = {huffman->next, huffman->window, huffman->bits, 0, 0};
    int odd = 0;
    for (int i = 0; i < huffman->blocks && !odd; i++) {
        refill(&reader, huffman);
        step(&reader, huffman->means[i], 0);
        odd = reader.advance == 0;
        int32_t mean = huffman->mean[huffman->component[i]] += reader.value;
        odd |= mean != (JCOEF)mean;
        if (blocks) blocks[i][0][0] = (JCOEF)mean;
        int k = blocks && !huffman->only_mean[i] ? coefficients(&reader, huffman->others[i], huffman, *blocks[i])
                                                 : no_coefficients(&reader, huffman->others[i], huffman);
        odd |= k != BLOCK && k < AT_END;
    }
    huffman->next = reader.next;
    huffman->window = reader.window;
    huffman->bits = reader.bits;
    huffman->odd |= odd || 8 * (huffman->filled - reader.next) + reader.bits < 0;
}

static void empty(Huffman *huffman) {
    huffman->next = huffman->filled = huffman->chunk;
    huffman->limit = huffman->chunk - 1;
    huffman->window = 0;
    huffman->bits = huffman->ended = 0;
    huffman->until_restart = huffman->interval;
    memset(huffman->mean, 0, sizeof huffman->mean);
}

/* Begins a segment after a restart marker, which must be the one that follows. */
static void restart(Huffman *huffman) {
    if (!huffman->ended && huffman->next > huffman->limit) huffman->next = more(huffman, huffman->next);
    const uint8_t *marker = huffman->source;
    ptrdiff_t left = 8 * (huffman->filled - huffman->next) + huffman->bits;
    huffman->odd |= left > 7 || !huffman->ended || huffman->end - marker < 2 || marker[1] != 0xd0 + huffman->restart;
    if (huffman->odd) return;
    huffman->source += 2;
    huffman->restart = (huffman->restart + 1) & 7;
    empty(huffman);
}

INLINE boolean next_mcu(j_decompress_ptr jpeg, JBLOCKROW *blocks) {
    Huffman *huffman = huffman_of(jpeg);
    if (huffman->interval && huffman->until_restart-- == 0) {
        restart(huffman);
        huffman->until_restart--;
    }
    if (!huffman->odd) {
        int column = huffman->column;
        huffman->column = column + 1 < huffman->columns ? column + 1 : 0;
        read_mcu(huffman, column >= huffman->first && column <= huffman->last ? blocks : NULL);
    }
    if (huffman->odd) jpeg->err->error_exit((j_common_ptr)jpeg);
    return TRUE;
}

static boolean next_mcu_plain(j_decompress_ptr jpeg, JBLOCKROW *blocks) { return next_mcu(jpeg, blocks); }

#if HAS_BMI2
BMI2 static boolean next_mcu_bmi2(j_decompress_ptr jpeg, JBLOCKROW *blocks) { return next_mcu(jpeg, blocks); }
#endif

/* Returns whether the JPEG has one scan of Huffman codes with all that belongs to its components. */
static int decodes(j_decompress_ptr jpeg) {
    if (jpeg->progressive_mode || jpeg->arith_code || jpeg->data_precision != 8 || jpeg_has_multiple_scans(jpeg)) return 0;
    if (jpeg->comps_in_scan != jpeg->num_components || jpeg->blocks_in_MCU > D_MAX_BLOCKS_IN_MCU) return 0;
    return jpeg->Ss == 0 && jpeg->Se == BLOCK - 1 && jpeg->Ah == 0 && jpeg->Al == 0;
}

void huffman_install(Huffman *huffman, j_decompress_ptr jpeg, const uint8_t *end, int first, int last) {
    if (!decodes(jpeg)) return;
    for (int i = 0; i < jpeg->blocks_in_MCU; i++) {
        const jpeg_component_info *component = jpeg->cur_comp_info[jpeg->MCU_membership[i]];
        unsigned dc = (unsigned)component->dc_tbl_no, ac = (unsigned)component->ac_tbl_no;
        if (dc >= TABLES || ac >= TABLES || !jpeg->dc_huff_tbl_ptrs[dc] || !jpeg->ac_huff_tbl_ptrs[ac]) return;
        codes_make(&huffman->dc[dc], jpeg->dc_huff_tbl_ptrs[dc], 0);
        codes_make(&huffman->ac[ac], jpeg->ac_huff_tbl_ptrs[ac], 1);
        huffman->component[i] = jpeg->MCU_membership[i];
        huffman->only_mean[i] = component->SCALED == 1;
        huffman->means[i] = &huffman->dc[dc];
        huffman->others[i] = &huffman->ac[ac];
    }
    huffman->source = jpeg->src->next_input_byte;
    huffman->end = end;
    huffman->odd = huffman->column = huffman->restart = 0;
    huffman->blocks = jpeg->blocks_in_MCU;
    huffman->columns = (int)jpeg->MCUs_per_row;
    huffman->first = first;
    huffman->last = last;
    huffman->interval = (int)jpeg->restart_interval;
    empty(huffman);
    jpeg->entropy->decode_mcu = next_mcu_plain;
#if HAS_BMI2
    if (__builtin_cpu_supports("bmi2")) jpeg->entropy->decode_mcu = next_mcu_bmi2;
#endif
}
