/* The interface of `resize.c`, used by `libjpeg.c`. */
#ifndef TAGMILL_RESIZE_H
#define TAGMILL_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#define CHANNELS 3
#define SLACK 32 /* bytes after a row that may be read, and are not used */
#define MAX_SIDE 65535
#define FOUR 4 /* rows that are resized together */

enum kind { AS_UINT8 = 0, AS_FLOAT32 = 1, AS_BFLOAT16 = 2 };

/* The squares to fill: values of this kind; floats are uint8 times a scale plus a shift. */
typedef struct {
    enum kind kind;
    int size, simd;
    float *scales, *shifts; /* for a row of values, [3 * size + SLACK] */
} Output;

/* Memory that is reused for each window. */
typedef struct {
    uint8_t *data;
    size_t bytes;
} Memory;

/* Rows of pixels [height][width][3], from the first on, and the window among them. */
typedef struct Source {
    int width, height;
    double left, top, across, down; /* its beginning and its extent, pixels */
    /* Returns the next rows, each with SLACK bytes after it; any rows below the last one. They are valid until the next
     * call. Returns -1 if they cannot be read. */
    int (*next)(struct Source *source, const uint8_t *four[FOUR]);
} Source;

/* These return -1 if there is no memory. What they allocated must be freed in any case. */
int output_make(Output *output, int kind, int size, int simd, const float scale[CHANNELS], const float shift[CHANNELS]);
void output_free(Output *output);
int memory_grow(Memory *memory, size_t bytes); /* discards the content */

size_t square_bytes(const Output *output);

/* Fills one square. Returns -1 if there is no memory or the source returns no rows: then it is filled in part. */
int resize(Source *source, int mirrored, const Output *output, Memory *memory, uint8_t *out);

#endif
