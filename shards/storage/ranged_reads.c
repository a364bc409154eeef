/* Reads ranges of a local file, each into its own bytes object, with one release of the GIL; imported by `ranged_reads.py`. */
#define _GNU_SOURCE
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_PARTS 1024 /* that one system call may fill: Linux's IOV_MAX */
#define MOST_BETWEEN (1 << 16) /* bytes of a gap that are read to save a system call */

/* The ranges and the result. */
typedef struct {
    Py_ssize_t count;
    const int64_t *places; /* [count, 2]: first byte, and the byte after the last */
    char **into;           /* [count] */
    char *between;         /* MOST_BETWEEN bytes for gaps, never used */
    struct iovec *parts;   /* [MOST_PARTS] */
    int64_t size, reached; /* of the file; the byte after the last that was read */
} Work;

/* Fills some parts, the first of which begins at `place`. Returns 0, 1 if the file ends before, or -1 with errno. */
static int fill(int file, struct iovec *parts, int count, int64_t place, int64_t *reached) {
    while (count) {
        ssize_t got = preadv(file, parts, count, (off_t)place);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) return 1;
        *reached = place += got;
        for (; count && (size_t)got >= parts->iov_len; parts++, count--) got -= (ssize_t)parts->iov_len;
        if (count) {
            parts->iov_base = (char *)parts->iov_base + got;
            parts->iov_len -= (size_t)got;
        }
    }
    return 0;
}

/* Reads all ranges, those that are close together with one call. */
static int read_all(int file, Work *work) {
    struct stat facts;
    if (fstat(file, &facts)) return -1;
    work->size = facts.st_size;
    for (Py_ssize_t next = 0; next < work->count;) {
        int64_t begin = work->places[2 * next], end = begin;
        int count = 0;
        for (; next < work->count && count + 2 <= MOST_PARTS; next++) {
            int64_t start = work->places[2 * next], stop = work->places[2 * next + 1];
            if (start - end > MOST_BETWEEN) break;
            if (start > end) work->parts[count++] = (struct iovec){work->between, (size_t)(start - end)};
            if (stop > start) work->parts[count++] = (struct iovec){work->into[next], (size_t)(stop - start)};
            end = stop;
        }
        int ended = fill(file, work->parts, count, begin, &work->reached);
        if (ended) return ended < 0 ? -1 : 0;
        int64_t passed = end < work->size ? end : work->size; /* if the last range is empty */
        if (passed > work->reached) work->reached = passed;
    }
    return 0;
}

/* Returns 0 or an errno. */
static int read_file(const char *path, Work *work) {
    int file;
    do {
        file = open(path, O_RDONLY | O_CLOEXEC);
    } while (file < 0 && errno == EINTR);
    if (file < 0) return errno;
    int error = read_all(file, work) ? errno : 0;
    close(file);
    return error;
}

/* Allocates bytes objects of the lengths of the ranges. */
static PyObject *empty(const Work *work) {
    PyObject *pieces = PyList_New(work->count);
    int64_t end = 0;
    for (Py_ssize_t i = 0; pieces && i < work->count; i++) {
        int64_t start = work->places[2 * i], stop = work->places[2 * i + 1];
        PyObject *piece = NULL;
        if (start < end || stop < start)
            PyErr_SetString(PyExc_ValueError, "places ascend, and none begins before the one before it ends");
        else
            piece = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(stop - start));
        if (!piece || PyList_SetItem(pieces, i, piece)) {
            Py_CLEAR(pieces);
        } else {
            work->into[i] = PyBytes_AsString(piece);
            end = stop;
        }
    }
    return pieces;
}

static PyObject *read_pieces(PyObject *self, PyObject *arguments) {
    PyObject *path, *pieces = NULL;
    Py_buffer places;
    if (!PyArg_ParseTuple(arguments, "O&y*:read", PyUnicode_FSConverter, &path, &places)) return NULL;
    Work work = {places.len / (Py_ssize_t)(2 * sizeof(int64_t)), places.buf, NULL, NULL, NULL, 0, 0};
    work.into = calloc((size_t)work.count + 1, sizeof(char *));
    work.between = malloc(MOST_BETWEEN);
    work.parts = malloc(MOST_PARTS * sizeof(struct iovec));
    int error = 0;
    if (!work.into || !work.between || !work.parts) {
        PyErr_NoMemory();
    } else if ((pieces = empty(&work)) != NULL) {
        work.reached = work.count ? work.places[0] : 0;
        Py_BEGIN_ALLOW_THREADS
        error = read_file(PyBytes_AsString(path), &work);
        Py_END_ALLOW_THREADS
    }
    if (error) {
        Py_CLEAR(pieces);
        errno = error;
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, PyBytes_AsString(path));
    }
    free(work.into);
    free(work.between);
    free(work.parts);
    PyBuffer_Release(&places);
    Py_DECREF(path);
    return pieces ? Py_BuildValue("NLL", pieces, (long long)work.reached, (long long)work.size) : NULL;
}

static PyMethodDef methods[] = {
    {"read", read_pieces, METH_VARARGS,
     "read(path, places) -> (bytes of every place, the byte after the last that was read, bytes of the file)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_pieces", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__pieces(void) { return PyModule_Create(&definition); }
