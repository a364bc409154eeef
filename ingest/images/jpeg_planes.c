/* A JPEG made smaller without leaving its own colour planes: `jpeg_planes.py` is its door.
 *
 * libjpeg hands out luma and chroma as they lie in the file (raw data), each plane is averaged down straight to the size
 * that it has in the result (chroma to half of it, 4:2:0), and libjpeg takes these as raw data again. What the usual way does
 * beside that is left out: colours enlarged to the size of luma, turned into RGB and back, and halved again. Rows are averaged
 * as they are decoded, so nothing but the results is held whole.
 *
 * The average is Pillow's box filter: the input is cut at the rounded multiples of the scale, and all samples of a box weigh
 * the same. It is rounded once, where Pillow rounds after each of two passes.
 *
 * Whatever is not plain (another colour space, a warning of libjpeg's, a size that is not smaller) is declined, not judged.
 * Beside that, `ends_early` tells of any JPEG whether its scans are as long as they should be, and `jpeg_recode.c` adds
 * restart markers to one.
 */
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "jpeg_recode.h"
#include "jpeg_refusal.h"

#if JPEG_LIB_VERSION >= 70
#define SCALED(component) ((component)->DCT_h_scaled_size)
#define SMALLEST(cinfo) ((cinfo)->min_DCT_h_scaled_size)
#else
#define SCALED(component) ((component)->DCT_scaled_size)
#define SMALLEST(cinfo) ((cinfo)->min_DCT_scaled_size)
#endif

#define PLANES 3
#define MOST_ROWS (MAX_SAMP_FACTOR * DCTSIZE) /* of a plane, that libjpeg gives or takes at once */
#define MOST_BOX (1 << 23) /* samples of a box: their sum fits 31 bits */
#define THUMBNAIL 64

#define LANES 4 /* rows that are averaged along their columns at once, one in each lane of a vector */
typedef uint32_t Sums __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef int32_t Values __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef float Floats __attribute__((vector_size(LANES * sizeof(float))));

/* What becomes of one plane. Output sample i of an axis is the average of the inputs cuts[i] to cuts[i + 1] - 1. */
typedef struct {
    int width, height, stride; /* of the result, in samples */
    int *across, *down;        /* cuts, [width + 1] and [height + 1] */
    float *shares;             /* one over the columns of a box, [width] */
    int columns;               /* of the input */
    uint32_t *rows;            /* sums over the rows of a box, of LANES output rows, [LANES][columns] */
    Sums *left;                /* of all that is to the left, [columns + 1] */
    int seen, summed, done;    /* input rows seen, output rows whose rows are summed, and that are done */
    uint8_t *samples;          /* [height + LANES][stride]; the rest of a row repeats its last sample */
} Plane;

/* All that must be let go of, whatever happens. */
typedef struct {
    Plane planes[PLANES], thumbnail;
    uint8_t *rows; /* of one call of libjpeg's */
    struct jpeg_decompress_struct source;
    struct jpeg_compress_struct sink;
    int source_begun, sink_begun;
    unsigned char *jpeg;
    unsigned long size;
    Refusal refusal;
} Work;

/* Whether the scans that were read have brought every component, and of progressive ones every bit: libjpeg makes a picture of
 * the first alone, without a warning. */
static int has_all_scans(const struct jpeg_decompress_struct *source) {
    for (int c = 0; c < source->num_components; c++) {
        if (source->comp_info[c].quant_table == NULL) return 0; /* it is set by the first scan of a component */
        for (int k = 0; source->progressive_mode && k < DCTSIZE2; k++)
            if (source->coef_bits[c][k] != 0) return 0;
    }
    return 1;
}

/* Cuts an axis of so many inputs into `size` boxes, of which `whole` have `extent` of them. */
static int cut(int **cuts, int size, int whole, double extent, int input) {
    if ((*cuts = malloc((size + 1) * sizeof(int))) == NULL) return -1;
    for (int i = 0; i <= size; i++) {
        double place = i * extent / whole + 0.5;
        int most = input - (i < size); /* chroma's last box may be half a box: it has a sample all the same */
        (*cuts)[i] = place < most ? (int)place : most;
    }
    (*cuts)[size] = input;
    for (int i = 0; i < size; i++)
        if ((*cuts)[i + 1] <= (*cuts)[i]) return -1;
    return 0;
}

/* The average of an input of columns x rows samples; those that the picture takes are `across` x `down`, and each output
 * sample stands for step x step of the result's width x height pixels. */
static int plane_make(Plane *plane, int step, int result_width, int result_height, double across, double down, int columns,
                      int rows) {
    int width = (result_width + step - 1) / step, height = (result_height + step - 1) / step;
    double wide = step * across / result_width, high = step * down / result_height; /* a box */
    if (wide < 1 || high < 1 || (wide + 2) * (high + 2) > MOST_BOX) return -1;
    plane->width = width;
    plane->height = height;
    plane->stride = (width + 2 * DCTSIZE - 1) / (2 * DCTSIZE) * (2 * DCTSIZE);
    plane->columns = columns;
    plane->shares = malloc(width * sizeof(float));
    plane->rows = calloc((size_t)columns * LANES, sizeof(uint32_t));
    plane->left = aligned_alloc(sizeof(Sums), ((size_t)columns + 1) * sizeof(Sums));
    plane->samples = malloc((size_t)plane->stride * (height + LANES));
    if (cut(&plane->across, width, result_width, step * across, columns)) return -1;
    if (cut(&plane->down, height, result_height, step * down, rows)) return -1;
    if (!plane->shares || !plane->rows || !plane->left || !plane->samples) return -1;
    for (int x = 0; x < width; x++) plane->shares[x] = 1.0f / (float)(plane->across[x + 1] - plane->across[x]);
    return 0;
}

static void plane_free(Plane *plane) {
    free(plane->across);
    free(plane->down);
    free(plane->shares);
    free(plane->rows);
    free(plane->left);
    free(plane->samples);
}

/* Loops over samples are compiled for AVX2 too, where the loader of programs can choose. */
#if defined(__x86_64__) && defined(__GNUC__) && defined(__GLIBC__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

/* Averages the rows that are summed along their columns. */
FOR_EACH_PROCESSOR static void across(Plane *plane) {
    int width = plane->width, columns = plane->columns, count = plane->summed - plane->done;
    const uint32_t *rows = plane->rows;
    const int *cuts = plane->across;
    const float *shares = plane->shares;
    /* Sums may go round beyond 32 bits; the difference of two, a box, does not. */
    Sums sum = {0}, *left = plane->left;
    left[0] = sum;
    for (int x = 0; x < columns; x++, rows++)
        left[x + 1] = sum += (Sums){rows[0], rows[columns], rows[2 * columns], rows[3 * columns]};
    Floats down;
    uint8_t *out[LANES]; /* of rows that there are none of too: they are made of what is left over, below the picture */
    for (int i = 0; i < LANES; i++) {
        int y = plane->done + i;
        down[i] = 1.0f / (float)(i < count ? plane->down[y + 1] - plane->down[y] : 1);
        out[i] = plane->samples + (size_t)y * plane->stride;
    }
    for (int x = 0; x < width; x++) {
        Floats boxes = __builtin_convertvector((Values)(left[cuts[x + 1]] - left[cuts[x]]), Floats);
        Values values = __builtin_convertvector(boxes * (shares[x] * down) + 0.5f, Values);
        for (int i = 0; i < LANES; i++) out[i][x] = (uint8_t)values[i];
    }
    for (int i = 0; i < count; i++) memset(out[i] + width, out[i][width - 1], plane->stride - width);
    plane->done = plane->summed;
}

/* One more input row; returns how many output rows are done with it. */
FOR_EACH_PROCESSOR static int take(Plane *plane, const uint8_t *row) {
    if (plane->summed == plane->height) return 0;
    int columns = plane->columns;
    uint32_t *restrict sums = plane->rows + (size_t)(plane->summed - plane->done) * columns;
    if (plane->seen == plane->down[plane->summed])
        for (int x = 0; x < columns; x++) sums[x] = row[x];
    else
        for (int x = 0; x < columns; x++) sums[x] += row[x];
    if (++plane->seen < plane->down[plane->summed + 1]) return 0;
    int before = plane->done;
    if (++plane->summed == plane->height || plane->summed - before == LANES) across(plane);
    return plane->done - before;
}

/* What the picture's header must say for this way; 0 where it does. */
static int prepare_planes(Work *work, int width, int height) {
    struct jpeg_decompress_struct *source = &work->source;
    if (source->num_components != PLANES || source->jpeg_color_space != JCS_YCbCr || source->data_precision != 8) return -1;
    jpeg_calc_output_dimensions(source);
    size_t bytes = 0;
    for (int c = 0; c < PLANES; c++) {
        jpeg_component_info *component = &source->comp_info[c];
        if (c == 0 && (component->h_samp_factor != source->max_h_samp_factor || component->v_samp_factor != source->max_v_samp_factor))
            return -1;
        /* Samples of the plane that the picture takes; the last may be a part of one. */
        double part = (double)SCALED(component) / DCTSIZE;
        double columns = part * source->image_width * component->h_samp_factor / source->max_h_samp_factor;
        double rows = part * source->image_height * component->v_samp_factor / source->max_v_samp_factor;
        if (plane_make(&work->planes[c], c == 0 ? 1 : 2, width, height, columns, rows, (int)component->downsampled_width,
                       (int)component->downsampled_height))
            return -1;
        bytes += (size_t)component->width_in_blocks * SCALED(component) * component->v_samp_factor * SCALED(component);
    }
    if (plane_make(&work->thumbnail, 1, THUMBNAIL, THUMBNAIL, width, height, width, height)) return -1;
    return (work->rows = malloc(bytes)) == NULL ? -1 : 0;
}

static void decode(Work *work) {
    struct jpeg_decompress_struct *source = &work->source;
    JSAMPROW rows[PLANES][MOST_ROWS];
    JSAMPARRAY planes[PLANES] = {rows[0], rows[1], rows[2]};
    int counts[PLANES];
    uint8_t *next = work->rows;
    jpeg_start_decompress(source); /* this reads all scans, where there are several */
    if (!has_all_scans(source)) refuse((j_common_ptr)source);
    for (int c = 0; c < PLANES; c++) {
        jpeg_component_info *component = &source->comp_info[c];
        counts[c] = component->v_samp_factor * SCALED(component);
        for (int y = 0; y < counts[c]; y++, next += (size_t)component->width_in_blocks * SCALED(component)) rows[c][y] = next;
    }
    unsigned lines = source->max_v_samp_factor * SMALLEST(source);
    for (int given[PLANES] = {0}; source->output_scanline < source->output_height;) {
        if (jpeg_read_raw_data(source, planes, lines) == 0) refuse((j_common_ptr)source);
        for (int c = 0; c < PLANES; c++) {
            int most = (int)source->comp_info[c].downsampled_height;
            for (int y = 0; y < counts[c] && given[c] < most; y++, given[c]++) {
                Plane *plane = &work->planes[c];
                int made = take(plane, rows[c][y]);
                for (int row = plane->done - made; c == 0 && row < plane->done; row++)
                    take(&work->thumbnail, plane->samples + (size_t)row * plane->stride);
            }
        }
    }
    jpeg_finish_decompress(source);
}

static void encode(Work *work, int quality, int interval) {
    struct jpeg_compress_struct *sink = &work->sink;
    sink->image_width = work->planes[0].width;
    sink->image_height = work->planes[0].height;
    sink->input_components = PLANES;
    sink->in_color_space = JCS_YCbCr;
    jpeg_set_defaults(sink);
    jpeg_set_quality(sink, quality, TRUE);
    sink->raw_data_in = TRUE;
    sink->restart_interval = (unsigned)interval;
    for (int c = 0; c < PLANES; c++) sink->comp_info[c].h_samp_factor = sink->comp_info[c].v_samp_factor = c == 0 ? 2 : 1;
    jpeg_start_compress(sink, TRUE);
    JSAMPROW rows[PLANES][2 * DCTSIZE];
    JSAMPARRAY planes[PLANES] = {rows[0], rows[1], rows[2]};
    while (sink->next_scanline < sink->image_height) {
        for (int c = 0; c < PLANES; c++) {
            Plane *plane = &work->planes[c];
            int count = c == 0 ? 2 * DCTSIZE : DCTSIZE, first = (int)sink->next_scanline / (c == 0 ? 1 : 2);
            for (int y = 0; y < count; y++) {
                int row = first + y < plane->height ? first + y : plane->height - 1;
                rows[c][y] = plane->samples + (size_t)row * plane->stride;
            }
        }
        if (jpeg_write_raw_data(sink, planes, 2 * DCTSIZE) == 0) refuse((j_common_ptr)sink);
    }
    jpeg_finish_compress(sink);
}

/* What is asked for: pixels of the picture by its header, of the result, and how. */
typedef struct {
    int source_width, source_height, width, height, fraction, quality;
    int interval; /* MCUs between restart markers, 0 for none */
} Orders;

/* 0 if the work was done. */
static int run(Work *work, const unsigned char *body, size_t size, const Orders *orders) {
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    work->source.err = work->sink.err = refusing(&work->refusal);
    if (setjmp(work->refusal.out)) return -1;
    work->source_begun = 1;
    jpeg_create_decompress(&work->source);
    jpeg_mem_src(&work->source, body, (unsigned long)size);
    work->source.progress = &progress;
    if (jpeg_read_header(&work->source, TRUE) != JPEG_HEADER_OK) return -1;
    if (work->source.image_width != (JDIMENSION)orders->source_width) return -1;
    if (work->source.image_height != (JDIMENSION)orders->source_height) return -1;
    work->source.scale_num = 1;
    work->source.scale_denom = (unsigned)orders->fraction;
    work->source.raw_data_out = TRUE;
    if (prepare_planes(work, orders->width, orders->height)) return -1;
    decode(work);
    for (int c = 0; c < PLANES; c++)
        if (work->planes[c].done < work->planes[c].height) return -1;
    work->sink_begun = 1;
    jpeg_create_compress(&work->sink);
    jpeg_mem_dest(&work->sink, &work->jpeg, &work->size);
    encode(work, orders->quality, orders->interval);
    return 0;
}

/* A decoder that is asked for nothing but its warnings. */
typedef struct {
    struct jpeg_error_mgr manager;
    struct jpeg_decompress_struct source;
    jmp_buf out;
    int early; /* a scan ended before its picture */
} Look;

static void stop_looking(j_common_ptr info) { longjmp(((Look *)info->client_data)->out, 1); }

/* An end marker in place of coded pixels, or none. A restart marker that comes too soon is damage, behind which the rest of the
 * picture is read again; where the header asks for no restarts nothing is read behind it. */
static void look_at_warning(j_common_ptr info, int level) {
    struct jpeg_decompress_struct *source = (struct jpeg_decompress_struct *)info;
    if (level >= 0 || (info->err->msg_code != JWRN_HIT_MARKER && info->err->msg_code != JWRN_JPEG_EOF)) return;
    int restart = source->restart_interval && source->unread_marker >= JPEG_RST0 && source->unread_marker <= JPEG_RST0 + 7;
    if (info->err->msg_code == JWRN_HIT_MARKER && restart) return;
    ((Look *)info->client_data)->early = 1;
    stop_looking(info);
}

/* Reads the coefficients of all scans; 1 where one ends early, 0 where none does or libjpeg refuses the file. */
static int look(Look *look, const unsigned char *body, size_t size) {
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    look->source.err = jpeg_std_error(&look->manager);
    look->manager.error_exit = stop_looking;
    look->manager.emit_message = look_at_warning;
    look->source.client_data = look;
    if (setjmp(look->out) == 0) {
        jpeg_create_decompress(&look->source);
        jpeg_mem_src(&look->source, body, (unsigned long)size);
        look->source.progress = &progress;
        if (jpeg_read_header(&look->source, TRUE) == JPEG_HEADER_OK) jpeg_read_coefficients(&look->source);
    }
    jpeg_destroy_decompress(&look->source);
    return look->early;
}

static PyObject *ends_early(PyObject *module, PyObject *args) {
    Py_buffer body;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*", &body)) return NULL;
    Look *found = calloc(1, sizeof(Look));
    int early = 0;
    if (found != NULL) {
        Py_BEGIN_ALLOW_THREADS
        early = look(found, body.buf, (size_t)body.len);
        Py_END_ALLOW_THREADS
        free(found);
    }
    PyBuffer_Release(&body);
    return found == NULL ? PyErr_NoMemory() : PyBool_FromLong(early);
}

static PyObject *smaller(PyObject *module, PyObject *args) {
    Py_buffer body;
    Orders orders = {.interval = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "y*iiiiii|i", &body, &orders.source_width, &orders.source_height, &orders.width, &orders.height,
                          &orders.fraction, &orders.quality, &orders.interval))
        return NULL;
    int width = orders.width, height = orders.height, fraction = orders.fraction, quality = orders.quality;
    int interval = orders.interval;
    PyObject *made = NULL;
    Work *work = NULL;
    if (width < THUMBNAIL || height < THUMBNAIL || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION ||
        fraction < 1 || fraction > DCTSIZE || quality < 1 || quality > 100 || interval < 0 || interval > MOST_INTERVAL) {
        PyErr_Format(PyExc_ValueError, "%d x %d samples at 1/%d with quality %d and restart interval %d", width, height, fraction,
                     quality, interval);
    } else if ((work = calloc(1, sizeof(Work))) == NULL) {
        PyErr_NoMemory();
    } else {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = run(work, body.buf, (size_t)body.len, &orders);
        if (work->source_begun) jpeg_destroy_decompress(&work->source);
        if (work->sink_begun) destroy_sink(&work->sink);
        Py_END_ALLOW_THREADS
        if (status) {
            made = Py_NewRef(Py_None);
        } else {
            PyObject *thumbnail = PyBytes_FromStringAndSize((char *)work->thumbnail.samples, THUMBNAIL * THUMBNAIL);
            PyObject *jpeg = PyBytes_FromStringAndSize((char *)work->jpeg, (Py_ssize_t)work->size);
            made = thumbnail && jpeg ? PyTuple_Pack(2, jpeg, thumbnail) : NULL;
            Py_XDECREF(thumbnail);
            Py_XDECREF(jpeg);
        }
        for (int c = 0; c < PLANES; c++) plane_free(&work->planes[c]);
        plane_free(&work->thumbnail);
        free(work->rows);
        free(work->jpeg);
        free(work);
    }
    PyBuffer_Release(&body);
    return made;
}

static PyMethodDef methods[] = {
    {"smaller", smaller, METH_VARARGS,
     "smaller(body, source width, source height, width, height, fraction, quality, restart interval) -> (JPEG, luma thumbnail of "
     "64 x 64), or None where that is declined"},
    {"ends_early", ends_early, METH_VARARGS, "ends_early(body) -> whether a scan of a JPEG ends before its picture"},
    {"recode", recode, METH_VARARGS,
     "recode(body, width, height, restart interval) -> the JPEG with its own coefficients and restart markers, or None where that is "
     "declined"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_planes", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__planes(void) { return PyModule_Create(&definition); }
