/* A baseline JPEG coded again from its own coefficients, with restart markers: it decodes to the same pixels.
 *
 * Quantisation tables, sampling and coefficients stay; only the entropy coding is new. Huffman tables are made for the file:
 * they are never larger than those of ITU-T T.81, annex K, which most encoders write. Making them also checks the range of
 * every coefficient, which libjpeg-turbo's vectorised coder does not.
 *
 * Whatever is not plain (another colour space, several scans, a warning of libjpeg's) is declined, not judged.
 */
#include "jpeg_recode.h"

#include "jpeg_refusal.h"

/* All that must be let go of, whatever happens. */
typedef struct {
    struct jpeg_decompress_struct source;
    struct jpeg_compress_struct sink;
    int source_begun, sink_begun;
    unsigned char *jpeg;
    unsigned long size;
    Refusal refusal;
} Recoding;

/* 0 if the work was done. */
static int run(Recoding *work, const unsigned char *body, size_t size, int width, int height, int interval) {
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    struct jpeg_decompress_struct *source = &work->source;
    source->err = work->sink.err = refusing(&work->refusal);
    if (setjmp(work->refusal.out)) return -1;
    work->source_begun = 1;
    jpeg_create_decompress(source);
    jpeg_mem_src(source, body, (unsigned long)size);
    source->progress = &progress;
    if (jpeg_read_header(source, TRUE) != JPEG_HEADER_OK) return -1;
    if (source->image_width != (JDIMENSION)width || source->image_height != (JDIMENSION)height) return -1;
    if (source->num_components != 3 || source->comps_in_scan != 3) return -1;
    if (source->jpeg_color_space != JCS_YCbCr || source->data_precision != 8) return -1;
    if (source->progressive_mode || source->arith_code) return -1;
    jvirt_barray_ptr *coefficients = jpeg_read_coefficients(source);
    work->sink_begun = 1;
    jpeg_create_compress(&work->sink);
    jpeg_mem_dest(&work->sink, &work->jpeg, &work->size);
    jpeg_copy_critical_parameters(source, &work->sink);
    work->sink.optimize_coding = TRUE;
    work->sink.restart_interval = (unsigned)interval;
    jpeg_write_coefficients(&work->sink, coefficients);
    jpeg_finish_compress(&work->sink);
    jpeg_finish_decompress(source); /* a warning here refuses the file too */
    return 0;
}

PyObject *recode(PyObject *module, PyObject *args) {
    Py_buffer body;
    int width, height, interval;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*iii", &body, &width, &height, &interval)) return NULL;
    PyObject *made = NULL;
    Recoding *work = NULL;
    if (interval < 1 || interval > MOST_INTERVAL) {
        PyErr_Format(PyExc_ValueError, "restart interval %d", interval);
    } else if ((work = calloc(1, sizeof(Recoding))) == NULL) {
        PyErr_NoMemory();
    } else {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = run(work, body.buf, (size_t)body.len, width, height, interval);
        if (work->source_begun) jpeg_destroy_decompress(&work->source);
        if (work->sink_begun) destroy_sink(&work->sink);
        Py_END_ALLOW_THREADS
        made = status ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize((char *)work->jpeg, (Py_ssize_t)work->size);
        free(work->jpeg);
        free(work);
    }
    PyBuffer_Release(&body);
    return made;
}
