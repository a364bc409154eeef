/* The interface of `cut.c`, used by `libjpeg.c` and `cut_windows.c`. */
#ifndef TAGMILL_CUT_H
#define TAGMILL_CUT_H

#include <stddef.h>
#include <stdint.h>

enum { BOX_X, BOX_Y, BOX_WIDTH, BOX_HEIGHT, BOX }; /* fields of a window, pixels */

/* Writes to `out`, which has room for `size` bytes, a JPEG of the part of a picture that its window needs, and moves
 * `box` to the window's place there. `eighths`: pixels that the decoder will make of eight, 1 to 8. Returns the bytes
 * written; 0, with `box` as it was, if the picture has to be decoded whole. */
size_t cut_window(const uint8_t *jpeg, size_t size, int32_t box[BOX], int eighths, uint8_t *out);

#endif
