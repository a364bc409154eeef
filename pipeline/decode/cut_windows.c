/* Cuts the windows of a list of JPEGs without the GIL, for decoders that get bytes; imported by `cut.py` only. */
#include "cut_windows.h"

#include <stdlib.h>

#include "cut.h"

/* One JPEG of the list: its bytes, and those of its cut, none where it is declined. */
typedef struct {
    Py_buffer jpeg;
    const uint8_t *cut;
    size_t size;
} Item;

/* Holds the bytes of all JPEGs, where there are any. Returns how many these are together, or -1 with an exception set. */
static Py_ssize_t hold(PyObject *jpegs, Item *items, Py_ssize_t count) {
    Py_ssize_t bytes = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *jpeg = PyList_GetItem(jpegs, i);
        if (!jpeg) return -1;
        if (jpeg == Py_None) continue;
        if (PyObject_GetBuffer(jpeg, &items[i].jpeg, PyBUF_SIMPLE)) return -1;
        bytes += items[i].jpeg.len;
    }
    return bytes;
}

/* Makes all cuts in `memory`, which has room for as many bytes as the JPEGs have. */
static void cut_all(Item *items, Py_ssize_t count, int32_t *boxes, int eighths, uint8_t *memory) {
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!items[i].jpeg.obj) continue;
        items[i].cut = memory;
        items[i].size = cut_window(items[i].jpeg.buf, (size_t)items[i].jpeg.len, boxes + i * BOX, eighths, memory);
        memory += items[i].size;
    }
}

/* Returns the cuts, and None for each JPEG that was declined. */
static PyObject *cuts_of(const Item *items, Py_ssize_t count) {
    PyObject *cuts = PyList_New(count);
    for (Py_ssize_t i = 0; cuts && i < count; i++) {
        PyObject *cut = items[i].size ? PyBytes_FromStringAndSize((const char *)items[i].cut, (Py_ssize_t)items[i].size) : Py_None;
        if (cut == Py_None) Py_INCREF(cut);
        if (!cut || PyList_SetItem(cuts, i, cut)) Py_CLEAR(cuts);
    }
    return cuts;
}

PyObject *cut_windows(PyObject *self, PyObject *args) {
    PyObject *jpegs, *cuts = NULL;
    Py_buffer boxes;
    Py_ssize_t bytes;
    int eighths;
    (void)self;
    if (!PyArg_ParseTuple(args, "O!w*i", &PyList_Type, &jpegs, &boxes, &eighths)) return NULL;
    Py_ssize_t count = PyList_Size(jpegs);
    Item *items = calloc((size_t)count + 1, sizeof(Item));
    if (boxes.len != count * BOX * (Py_ssize_t)sizeof(int32_t)) {
        PyErr_SetString(PyExc_ValueError, "windows are int32 [pictures, 4]");
    } else if (!items) {
        PyErr_NoMemory();
    } else if ((bytes = hold(jpegs, items, count)) >= 0) {
        uint8_t *memory = malloc((size_t)bytes + 1);
        if (memory) {
            Py_BEGIN_ALLOW_THREADS
            cut_all(items, count, boxes.buf, eighths, memory);
            Py_END_ALLOW_THREADS
            cuts = cuts_of(items, count);
        } else {
            PyErr_NoMemory();
        }
        free(memory);
    }
    for (Py_ssize_t i = 0; items && i < count; i++)
        if (items[i].jpeg.obj) PyBuffer_Release(&items[i].jpeg);
    free(items);
    PyBuffer_Release(&boxes);
    return cuts;
}
