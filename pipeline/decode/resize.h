/* What `resize.c` does for `libjpeg.c`. */
#ifndef TAGMILL_RESIZE_H
#define TAGMILL_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#define CHANNELS 3
#define SLACK 32 /* bytes behind a row that may be read, and are not used */
#define MAX_SIDE 65535
#define FOUR 4 /* rows that are resized at once */

enum kind { AS_UINT8 = 0, AS_FLOAT32 = 1, AS_BFLOAT16 = 2 };

/* The squares that are made: values of this kind, uint8 times a scale plus a shift where they are floats. */
typedef struct {
    enum kind kind;
    int size, simd;
    float *scales, *shifts; /* of a row of values, [3 * size + SLACK] */
} Output;

/* Memory that serves one window after the other. */
typedef struct {
    uint8_t *data;
    size_t bytes;
} Memory;

/* Rows of pixels [height][width][3], from the first on, and where the window lies among them. */
typedef struct Source {
    int width, height;
    double left, top, across, down; /* where it begins, and how far it goes */
    /* Gives the next rows, each with SLACK bytes behind it; below the last one any. They are valid until the next call.
     * Returns -1 where they cannot be had. */
    int (*next)(struct Source *source, const uint8_t *four[FOUR]);
} Source;

/* These return -1 where there is no memory. What was made must be freed in any case. */
int output_make(Output *output, int kind, int size, int simd, const float scale[CHANNELS], const float shift[CHANNELS]);
void output_free(Output *output);
int memory_grow(Memory *memory, size_t bytes); /* what was in it is lost */

size_t square_bytes(const Output *output);

/* Fills one square. Returns -1 where there is no memory or the source gives no rows: then it is filled in part. */
int resize(Source *source, int mirrored, const Output *output, Memory *memory, uint8_t *out);

#endif
