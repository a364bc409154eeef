/* Windows of pictures that lie in memory, resized into their places of a batch (`resize.c`) without the interpreter lock;
 * `resize.py` is its door.
 */
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "resize.h"

/* What a call holds of Python's objects while it works without the interpreter lock. */
typedef struct {
    Py_ssize_t count, held;
    Py_buffer *windows;
    Py_ssize_t *rows;
    int *flips;
} Held;

static void held_free(Held *held) {
    for (Py_ssize_t i = 0; i < held->held; i++) PyBuffer_Release(&held->windows[i]);
    free(held->windows);
    free(held->rows);
    free(held->flips);
}

static int is_window(const Py_buffer *view) {
    if (view->ndim != 3 || view->itemsize != 1 || view->shape[2] != CHANNELS) return 0;
    return view->shape[0] > 0 && view->shape[1] > 0 && view->shape[0] <= MAX_SIDE && view->shape[1] <= MAX_SIDE;
}

static int held_make(Held *held, PyObject *windows, PyObject *rows, PyObject *flips, Py_ssize_t capacity) {
    *held = (Held){PyList_Size(windows), 0, NULL, NULL, NULL};
    if (PyList_Size(rows) != held->count || PyList_Size(flips) != held->count) {
        PyErr_SetString(PyExc_ValueError, "windows, rows and flips are not as many");
        return -1;
    }
    held->windows = calloc(held->count + 1, sizeof(Py_buffer));
    held->rows = calloc(held->count + 1, sizeof(Py_ssize_t));
    held->flips = calloc(held->count + 1, sizeof(int));
    if (!held->windows || !held->rows || !held->flips) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < held->count; i++) {
        held->rows[i] = PyLong_AsSsize_t(PyList_GetItem(rows, i));
        held->flips[i] = PyObject_IsTrue(PyList_GetItem(flips, i));
        if (PyErr_Occurred()) return -1;
        if (PyObject_GetBuffer(PyList_GetItem(windows, i), &held->windows[i], PyBUF_ND)) return -1;
        held->held++;
        if (!is_window(&held->windows[i]) || held->rows[i] < 0 || held->rows[i] >= capacity) {
            PyErr_SetString(PyExc_ValueError, "a window is uint8 [height, width, 3], and its row inside the batch");
            return -1;
        }
    }
    return 0;
}

/* A window in memory, as rows one after the other. */
typedef struct {
    Source source;
    const uint8_t *pixels;
    int given;
    Memory last; /* a copy of the last row, behind which may not be read where it lies */
} Window;

static int next(Source *source, const uint8_t *four[FOUR]) {
    Window *window = (Window *)source;
    size_t row_bytes = (size_t)CHANNELS * source->width;
    for (int k = 0; k < FOUR; k++, window->given++)
        four[k] = window->given < source->height - 1 ? window->pixels + window->given * row_bytes : window->last.data;
    return 0;
}

static int fill_all(const Held *held, const Output *output, uint8_t *out) {
    Window window = {0};
    Memory memory = {0};
    int status = 0;
    for (Py_ssize_t i = 0; i < held->count && !status; i++) {
        const Py_buffer *view = &held->windows[i];
        int height = (int)view->shape[0], width = (int)view->shape[1];
        size_t row_bytes = (size_t)CHANNELS * width;
        window.source = (Source){width, height, 0, 0, width, height, next};
        window.pixels = view->buf;
        window.given = 0;
        if ((status = memory_grow(&window.last, row_bytes + SLACK))) break;
        memcpy(window.last.data, window.pixels + (height - 1) * row_bytes, row_bytes);
        memset(window.last.data + row_bytes, 0, SLACK);
        status = resize(&window.source, held->flips[i], output, &memory, out + held->rows[i] * square_bytes(output));
    }
    free(window.last.data);
    free(memory.data);
    return status;
}

static PyObject *fill(PyObject *self, PyObject *args) {
    Py_buffer batch;
    PyObject *windows, *rows, *flips;
    int size, kind, simd, status = 0;
    float scale[CHANNELS], shift[CHANNELS];
    (void)self;
    if (!PyArg_ParseTuple(args, "w*iiO!O!O!(fff)(fff)p", &batch, &size, &kind, &PyList_Type, &windows, &PyList_Type, &rows,
                          &PyList_Type, &flips, &scale[0], &scale[1], &scale[2], &shift[0], &shift[1], &shift[2], &simd))
        return NULL;
    Held held = {0};
    Output output = {0};
    if (size < 1 || size > MAX_SIDE || kind < AS_UINT8 || kind > AS_BFLOAT16) {
        PyErr_SetString(PyExc_ValueError, "size or kind of the output");
        goto end;
    }
    if (output_make(&output, kind, size, simd, scale, shift)) {
        PyErr_NoMemory();
        goto end;
    }
    if (held_make(&held, windows, rows, flips, batch.len / (Py_ssize_t)square_bytes(&output))) goto end;
    Py_BEGIN_ALLOW_THREADS
    status = fill_all(&held, &output, batch.buf);
    Py_END_ALLOW_THREADS
    if (status) PyErr_NoMemory();
end:
    output_free(&output);
    held_free(&held);
    PyBuffer_Release(&batch);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"fill", fill, METH_VARARGS, "fill(batch, size, kind, windows, rows, flips, scale, shift, simd)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_resample", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__resample(void) { return PyModule_Create(&module); }
