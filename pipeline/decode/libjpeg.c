/* Decodes windows of JPEGs with libjpeg and resizes them into their rows of a batch (`resize.c`) without the GIL;
 * imported by `libjpeg.py` only.
 *
 * Only the columns of the window are converted to pixels; rows above the window are skipped, rows below it are not read.
 * A few more columns than the window's are decoded, so that interpolated colours at its edges equal those of the whole
 * image. Rows are resized four at a time, as they are decoded.
 *
 * JPEGs of four colours are left to Pillow; an image that libjpeg refuses, or without this window, is lost.
 */
#include <Python.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>
#include <jerror.h>

#include "cut.h"
#include "cut_windows.h"
#include "huffman.h"
#include "resize.h"

#define BESIDE 2 /* columns on each side of a window that its edges need for interpolated colours */
#define MOST_MEMORY (1L << 30) /* bytes that libjpeg may allocate for an image of several scans, which it holds whole */
#define MOST_SCANS 100 /* of an image: a scan of a few bytes takes the time of all pixels */

#define LONG 5000000 /* nanoseconds from which an image's processor time is asked for, which costs a system call */

enum { FILLED, LEFT, LOST, TAKEN }; /* TAKEN: by another thread, or by none yet */
enum { NEXT, STOP, TIMES }; /* fields of the turns of a batch, each an int64; the last is the first image's time */
enum { LIBJPEG, OURS, ONLY_OURS }; /* who decodes Huffman codes: tests want no second try by libjpeg */
enum { ROW, X, Y, WIDTH, HEIGHT, FLIP, FACTS }; /* fields of a window, each an int32 */

/* State that is reused for each image, with all memory to free. */
typedef struct {
    Source source; /* as `resize` sees it */
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf refused;
    Memory lines, memory, cut;
    size_t stride, offset; /* bytes from line to line, and from the start of a line to the window */
    int given; /* rows that `next` returned */
    int cuts, ours; /* whether pictures are cut first, and who decodes their codes */
    Huffman huffman;
} Picture;

Huffman *huffman_of(j_decompress_ptr jpeg) { return &((Picture *)jpeg->client_data)->huffman; }

/* Jumps out of libjpeg; `client_data` holds the Picture. */
static void refuse(j_common_ptr info) { longjmp(((Picture *)info->client_data)->refused, 1); }

/* Like Pillow and DALI, accept corrupt-data warnings; only a premature end of file is an error. */
static void warned(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) refuse(info);
}

static void count_scans(j_common_ptr info) {
    if (((j_decompress_ptr)info)->input_scan_number > MOST_SCANS) refuse(info);
}

static int smaller_of(int a, int b) { return a < b ? a : b; }

static int next(Source *source, const uint8_t *four[FOUR]) {
    Picture *picture = (Picture *)source;
    if (setjmp(picture->refused)) return -1;
    int wanted = smaller_of(FOUR, source->height - picture->given);
    JSAMPROW rows[FOUR];
    for (int k = 0; k < FOUR; k++) rows[k] = picture->lines.data + k * picture->stride;
    for (int k = 0; k < wanted;) {
        int read = (int)jpeg_read_scanlines(&picture->jpeg, rows + k, (JDIMENSION)(wanted - k));
        if (read == 0) return -1;
        k += read;
    }
    picture->given += wanted;
    for (int k = 0; k < FOUR; k++) four[k] = rows[k] + picture->offset;
    return 0;
}

/* Returns the factor by which the decoder itself shrinks an image, at no cost but less sharply than the filter. At least a
 * factor of `left` remains for the filter. */
static int shrink_of(int side, int size, int left) {
    for (int shrink = 8; shrink > 1; shrink /= 2)
        if ((long)side >= (long)shrink * left * size) return shrink;
    return 1;
}

/* Lets `huffman.c` decode the scan, which ends before `end`; `columns` of pixels from `first` on are wanted. */
static void take_over(Picture *picture, const unsigned char *end, JDIMENSION first, JDIMENSION columns, int side) {
    struct jpeg_decompress_struct *jpeg = &picture->jpeg;
    int of_mcu = jpeg->num_components == 1 ? side : side * jpeg->max_h_samp_factor; /* columns, as in jpeg_crop_scanline */
    huffman_install(&picture->huffman, jpeg, end, (int)first / of_mcu, (int)(first + columns - 1) / of_mcu);
}

/* Reads an image up to the first row of its window. Returns LEFT or LOST, or FILLED if it can be filled. */
static int begin(Picture *picture, const unsigned char *bytes, size_t size, const int32_t *facts, int shrink, int ours) {
    struct jpeg_decompress_struct *jpeg = &picture->jpeg;
    if (setjmp(picture->refused)) return LOST;
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    if (jpeg_read_header(jpeg, TRUE) != JPEG_HEADER_OK) return LOST;
    if (jpeg->num_components > CHANNELS) return LEFT;
    int64_t right = (int64_t)facts[X] + facts[WIDTH], bottom = (int64_t)facts[Y] + facts[HEIGHT];
    if (facts[X] < 0 || facts[Y] < 0 || facts[WIDTH] < 1 || facts[HEIGHT] < 1) return LOST;
    if (right > jpeg->image_width || bottom > jpeg->image_height) return LOST;
    jpeg->out_color_space = JCS_RGB;
    jpeg->scale_num = 1;
    jpeg->scale_denom = (unsigned)shrink;
    jpeg_start_decompress(jpeg);
    int x = facts[X] / shrink, y = facts[Y] / shrink;
    int end = smaller_of((int)((right + shrink - 1) / shrink), (int)jpeg->output_width);
    int last = smaller_of((int)((bottom + shrink - 1) / shrink), (int)jpeg->output_height);
    JDIMENSION first = (JDIMENSION)(x > BESIDE ? x - BESIDE : 0);
    JDIMENSION columns = (JDIMENSION)smaller_of(end + BESIDE, (int)jpeg->output_width) - first;
    jpeg_crop_scanline(jpeg, &first, &columns); /* moves `first` to the start of a block */
    if (ours) take_over(picture, bytes + size, first, columns, DCTSIZE / shrink);
    if (y > 0 && jpeg_skip_scanlines(jpeg, (JDIMENSION)y) != (JDIMENSION)y) return LOST;
    picture->stride = (size_t)CHANNELS * columns + SLACK;
    picture->offset = (size_t)CHANNELS * (x - (int)first);
    picture->given = 0;
    picture->source.width = end - x;
    picture->source.height = last - y;
    picture->source.left = (double)facts[X] / shrink - x;
    picture->source.top = (double)facts[Y] / shrink - y;
    picture->source.across = (double)facts[WIDTH] / shrink;
    picture->source.down = (double)facts[HEIGHT] / shrink;
    return memory_grow(&picture->lines, FOUR * picture->stride) ? LOST : FILLED;
}

/* Replaces a JPEG by the part that its window needs, where that can be cut, and moves the window. */
static void cut(Picture *picture, const unsigned char **bytes, size_t *size, int32_t *facts, int shrink) {
    if (memory_grow(&picture->cut, *size)) return;
    size_t left = cut_window(*bytes, *size, facts + X, DCTSIZE / shrink, picture->cut.data);
    if (!left) return;
    *bytes = picture->cut.data;
    *size = left;
}

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Fills one row of the batch; returns the outcome. With `ours` it is LOST, and `odd` set, if a scan is not as it should be. */
static int fill_one(Picture *picture, const unsigned char *bytes, size_t size, const int32_t *window, int shrink, int ours,
                    const Output *output, uint8_t *square) {
    picture->huffman.odd = 0;
    int outcome = begin(picture, bytes, size, window, shrink, ours);
    if (outcome == FILLED && resize(&picture->source, window[FLIP], output, &picture->memory, square)) outcome = LOST;
    jpeg_abort_decompress(&picture->jpeg);
    return outcome;
}

/* Fills the rows of the images that this thread takes, one at a time, until none is left or it is asked to stop, and writes
 * the outcome of each. Its time in `turns` is minus the monotonic time of its begin, and then what it took: a long one only
 * as much as this thread's processor time since it was asked for, because a thread may have been suspended. Returns -1 if
 * libjpeg cannot start. */
static int fill_all(Picture *picture, const Py_buffer *jpegs, Py_ssize_t count, const int32_t *facts, const Output *output,
                    int left_for_filter, uint8_t *out, char *became, int64_t *turns) {
    picture->jpeg.err = jpeg_std_error(&picture->manager);
    picture->manager.error_exit = refuse;
    picture->manager.emit_message = warned;
    picture->jpeg.client_data = picture;
    picture->source.next = next;
    if (setjmp(picture->refused)) return -1; /* compiled for another version */
    jpeg_create_decompress(&picture->jpeg);
    picture->jpeg.mem->max_memory_to_use = MOST_MEMORY;
    picture->progress.progress_monitor = count_scans;
    picture->jpeg.progress = &picture->progress;
    int64_t now = nanoseconds(CLOCK_MONOTONIC), worked = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    while (!__atomic_load_n(&turns[STOP], __ATOMIC_RELAXED)) {
        int64_t i = __atomic_fetch_add(&turns[NEXT], 1, __ATOMIC_RELAXED), begun = now;
        if (i < 0 || i >= count) break;
        __atomic_store_n(&turns[TIMES + i], -begun, __ATOMIC_RELAXED);
        int32_t window[FACTS];
        memcpy(window, facts + i * FACTS, sizeof window);
        uint8_t *square = out + window[ROW] * square_bytes(output);
        const unsigned char *bytes = jpegs[i].buf;
        size_t size = (size_t)jpegs[i].len;
        int shrink = shrink_of(smaller_of(window[WIDTH], window[HEIGHT]), output->size, left_for_filter);
        if (picture->cuts) cut(picture, &bytes, &size, window, shrink);
        became[i] = (char)fill_one(picture, bytes, size, window, shrink, picture->ours, output, square);
        if (picture->huffman.odd && picture->ours != ONLY_OURS)
            became[i] = (char)fill_one(picture, bytes, size, window, shrink, LIBJPEG, output, square);
        now = nanoseconds(CLOCK_MONOTONIC);
        int64_t took = now - begun;
        if (took >= LONG) {
            int64_t before = worked;
            worked = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
            if (worked - before < took) took = worked - before;
        }
        __atomic_store_n(&turns[TIMES + i], took, __ATOMIC_RELAXED);
    }
    return 0;
}

/* Holds the buffers of Python's objects while the GIL is released; returns how many it got. */
static Py_ssize_t hold(PyObject *jpegs, Py_buffer *held, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyObject_GetBuffer(PyList_GetItem(jpegs, i), &held[i], PyBUF_SIMPLE)) return i;
    return count;
}

/* Returns whether there are as many windows and turns as images, each window with a row of the batch. */
static int fits(const Py_buffer *windows, Py_ssize_t count, const Output *output, const Py_buffer *batch, const Py_buffer *turns) {
    const int32_t *facts = windows->buf;
    if (turns->obj && turns->len != (TIMES + count) * (Py_ssize_t)sizeof(int64_t)) return 0;
    if (windows->len != count * FACTS * (Py_ssize_t)sizeof(int32_t)) return 0;
    Py_ssize_t rows = batch->len / (Py_ssize_t)square_bytes(output);
    for (Py_ssize_t i = 0; i < count; i++)
        if (facts[i * FACTS + ROW] < 0 || facts[i * FACTS + ROW] >= rows) return 0;
    return 1;
}

static PyObject *fill(PyObject *self, PyObject *args) {
    Py_buffer batch, windows, turns = {0};
    PyObject *jpegs, *became = NULL;
    int size, kind, left_for_filter, simd, cuts = 1, ours = OURS, status = 0;
    float scale[CHANNELS], shift[CHANNELS];
    (void)self;
    if (!PyArg_ParseTuple(args, "w*iiO!y*i(fff)(fff)p|piw*", &batch, &size, &kind, &PyList_Type, &jpegs, &windows, &left_for_filter,
                          &scale[0], &scale[1], &scale[2], &shift[0], &shift[1], &shift[2], &simd, &cuts, &ours, &turns))
        return NULL;
    Py_ssize_t count = PyList_Size(jpegs), held = 0;
    Output output = {0};
    Picture *picture = calloc(1, sizeof(Picture));
    Py_buffer *views = calloc(count + 1, sizeof(Py_buffer));
    int64_t *own = calloc(TIMES + count, sizeof(int64_t)); /* turns of a call that takes all images */
    if (size < 1 || size > MAX_SIDE || kind < AS_UINT8 || kind > AS_BFLOAT16 || left_for_filter < 1) {
        PyErr_SetString(PyExc_ValueError, "size or kind of the output, or what is left for the filter");
    } else if (!picture || !views || !own || output_make(&output, kind, size, simd, scale, shift)) {
        PyErr_NoMemory();
    } else if (!fits(&windows, count, &output, &batch, &turns)) {
        PyErr_SetString(PyExc_ValueError, "windows are int32 [pictures, 6], their rows inside the batch, and turns int64 [2 + pictures]");
    } else if ((held = hold(jpegs, views, count)) == count && (became = PyBytes_FromStringAndSize(NULL, count)) != NULL) {
        picture->cuts = cuts;
        picture->ours = ours;
        memset(PyBytes_AsString(became), TAKEN, count);
        Py_BEGIN_ALLOW_THREADS
        status = fill_all(picture, views, count, windows.buf, &output, left_for_filter, batch.buf, PyBytes_AsString(became), turns.obj ? turns.buf : own);
        jpeg_destroy_decompress(&picture->jpeg);
        Py_END_ALLOW_THREADS
        if (status) {
            Py_CLEAR(became);
            PyErr_SetString(PyExc_RuntimeError, "libjpeg is another than that of the set-up: run it again");
        }
    }
    for (Py_ssize_t i = 0; i < held; i++) PyBuffer_Release(&views[i]);
    if (picture) {
        free(picture->lines.data);
        free(picture->memory.data);
        free(picture->cut.data);
    }
    free(picture);
    free(views);
    free(own);
    output_free(&output);
    PyBuffer_Release(&turns);
    PyBuffer_Release(&windows);
    PyBuffer_Release(&batch);
    return became;
}

static PyMethodDef methods[] = {
    {"fill", fill, METH_VARARGS,
     "fill(batch, size, kind, jpegs, windows, left_for_filter, scale, shift, simd, cut=True, huffman=1[, turns]) -> a byte for each picture: 0 filled, 1 left to others, 2 lost, 3 taken by another call"},
    {"cut_windows", cut_windows, METH_VARARGS,
     "cut_windows(jpegs, windows, eighths) -> the cuts, or None where a picture is needed whole; windows are moved in place"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_windows", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__windows(void) { return PyModule_Create(&definition); }
