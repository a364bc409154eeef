/* The interface of `huffman.c`, used by `libjpeg.c`. */
#ifndef TAGMILL_HUFFMAN_H
#define TAGMILL_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

#define PEEKED 10 /* bits that one look into a table decodes */
#define TABLES 4 /* of each kind, that a JPEG has */
#define CHUNK 4096 /* bytes of the scan that are freed of stuffed zeros at a time */
#define PADDING 64 /* zeros after them */

/* A Huffman table, and what it was made of. */
typedef struct {
    uint8_t counts[17], symbols[256]; /* by length of code, and in order of code, as the JPEG has them */
    uint32_t steps[1 << PEEKED]; /* for a symbol: bits | code's bits << 8 | 63 - value's bits << 16 | advance << 24 */
    uint64_t pairs[1 << PEEKED]; /* for one or two symbols with their values: bits | advance after the first << 8 |
                                    advance << 16 | first value << 32 | last value << 48 */
    uint16_t runs[1 << PEEKED]; /* for as many symbols of a block as fit, without their values: bits | advance << 8 */
    int32_t beyond[18]; /* the first number of 16 bits that is no code of this length or a shorter one */
    int32_t place[17]; /* of the first symbol of a length, less its code */
    int made;
} Codes;

/* The state of the one scan of a JPEG, and tables, which are kept from JPEG to JPEG. */
typedef struct {
    const uint8_t *source, *end; /* bytes of the JPEG after the chunk */
    const uint8_t *next, *limit; /* in the chunk: what is read next, and the last place where that is possible */
    uint8_t *filled; /* the end of what the chunk holds */
    uint64_t window; /* the next bits of the scan, from the highest on */
    int bits; /* how many they are */
    int ended; /* the chunk holds all up to a marker or the end */
    int blocks, columns, column, first, last; /* MCUs of a row; those outside first..last are not wanted */
    int interval, until_restart, restart;
    int component[D_MAX_BLOCKS_IN_MCU], only_mean[D_MAX_BLOCKS_IN_MCU];
    const Codes *means[D_MAX_BLOCKS_IN_MCU], *others[D_MAX_BLOCKS_IN_MCU]; /* codes of DC and AC coefficients */
    int32_t mean[MAX_COMPS_IN_SCAN];
    int odd; /* libjpeg called `error_exit` because the scan is not as it should be */
    uint8_t chunk[CHUNK + PADDING];
    Codes dc[TABLES], ac[TABLES];
} Huffman;

/* Decodes the scan of a JPEG instead of libjpeg, after `jpeg_start_decompress` and before the first row: the same
 * coefficients of all blocks in the columns of MCUs `first` to `last`; others are left zero. `end` is the end of the bytes.
 * Does nothing for JPEGs of another process than Huffman's in one scan. `client` is what the decompressor's `client_data`
 * points to, and `huffman` is inside it. At anything odd it sets `odd` and calls `error_exit`: libjpeg itself decides. */
void huffman_install(Huffman *huffman, j_decompress_ptr jpeg, const uint8_t *end, int first, int last);

/* Returns the state that belongs to a decompressor; defined by the user of this file. */
Huffman *huffman_of(j_decompress_ptr jpeg);

#endif
