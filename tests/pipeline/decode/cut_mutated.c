/* Cuts windows of the JPEGs on standard input and compares the pixels of cut and whole image: for sanitizers, compiled and
 * fed by test_cut_mutated.py. Each JPEG is in memory of its own size, and so is its cut, so that any byte read or written
 * outside is found. Prints how often each outcome occurred. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "cut.h"

enum { DECLINED, EQUAL, DIFFERENT, BOTH_REFUSED, CUT_REFUSED, WHOLE_REFUSED, OUTCOMES };
static const char *NAMES[OUTCOMES] = {"declined", "equal", "different", "both_refused", "cut_refused", "whole_refused"};

typedef struct {
    uint32_t size;
    int32_t box[BOX], eighths;
} Head;

typedef struct {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr manager;
    jmp_buf refused;
    uint8_t *row, *pixels; /* of the window */
} Decoder;

static void refuse(j_common_ptr info) { longjmp(((Decoder *)info->client_data)->refused, 1); }

/* As libjpeg.c does: only a file that ends too early is refused. */
static void warned(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) refuse(info);
}

/* Decodes a window, given in pixels of the unscaled image. Returns its bytes, or 0 if libjpeg refuses the image. */
static size_t decode(Decoder *decoder, const uint8_t *bytes, size_t size, const int32_t box[BOX], int eighths) {
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    int x = box[BOX_X] * eighths / 8, end = ((box[BOX_X] + box[BOX_WIDTH]) * eighths + 7) / 8;
    int y = box[BOX_Y] * eighths / 8, last = ((box[BOX_Y] + box[BOX_HEIGHT]) * eighths + 7) / 8;
    size_t line = 3 * (size_t)(end - x);
    free(decoder->row);
    free(decoder->pixels);
    decoder->row = NULL;
    decoder->pixels = malloc(line * (size_t)(last - y));
    if (setjmp(decoder->refused)) return 0;
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = JCS_RGB;
    jpeg->scale_num = (unsigned)eighths;
    jpeg->scale_denom = 8;
    jpeg_start_decompress(jpeg);
    decoder->row = malloc(3 * (size_t)jpeg->output_width);
    if (end > (int)jpeg->output_width || last > (int)jpeg->output_height) abort();
    for (int row = 0; row < last; row++) {
        if (jpeg_read_scanlines(jpeg, &decoder->row, 1) != 1) return 0;
        if (row >= y) memcpy(decoder->pixels + (size_t)(row - y) * line, decoder->row + 3 * (size_t)x, line);
    }
    return line * (size_t)(last - y);
}

static int outcome(Decoder *decoder, const Head *head, const uint8_t *jpeg) {
    int32_t box[BOX];
    memcpy(box, head->box, sizeof box);
    uint8_t *cut = malloc(head->size ? head->size : 1), *wanted = NULL;
    size_t size = cut_window(jpeg, head->size, box, head->eighths, cut);
    if (!size) {
        if (memcmp(box, head->box, sizeof box)) abort();
        free(cut);
        return DECLINED;
    }
    if (box[BOX_WIDTH] != head->box[BOX_WIDTH] || box[BOX_HEIGHT] != head->box[BOX_HEIGHT]) abort();
    cut = realloc(cut, size);
    size_t of_whole = decode(decoder, jpeg, head->size, head->box, head->eighths);
    jpeg_abort_decompress(&decoder->jpeg);
    if (of_whole) {
        wanted = decoder->pixels;
        decoder->pixels = NULL;
    }
    size_t of_cut = decode(decoder, cut, size, box, head->eighths);
    jpeg_abort_decompress(&decoder->jpeg);
    int became = !of_whole && !of_cut ? BOTH_REFUSED : !of_whole ? WHOLE_REFUSED : !of_cut ? CUT_REFUSED
                 : of_whole == of_cut && !memcmp(wanted, decoder->pixels, of_cut) ? EQUAL : DIFFERENT;
    free(wanted);
    free(cut);
    return became;
}

int main(void) {
    static Decoder decoder;
    long counts[OUTCOMES] = {0};
    Head head;
    decoder.jpeg.err = jpeg_std_error(&decoder.manager);
    decoder.manager.error_exit = refuse;
    decoder.manager.emit_message = warned;
    decoder.jpeg.client_data = &decoder;
    jpeg_create_decompress(&decoder.jpeg);
    while (fread(&head, sizeof head, 1, stdin) == 1) {
        uint8_t *jpeg = malloc(head.size);
        if (fread(jpeg, 1, head.size, stdin) != head.size) abort();
        counts[outcome(&decoder, &head, jpeg)]++;
        free(jpeg);
    }
    jpeg_destroy_decompress(&decoder.jpeg);
    free(decoder.row);
    free(decoder.pixels);
    for (int k = 0; k < OUTCOMES; k++) printf("%s %ld\n", NAMES[k], counts[k]);
    return 0;
}
