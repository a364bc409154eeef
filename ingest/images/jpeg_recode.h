/* A JPEG with restart markers and the same pixels: see jpeg_recode.c. */
#ifndef TAGMILL_JPEG_RECODE_H
#define TAGMILL_JPEG_RECODE_H

#include <Python.h>

#define MOST_INTERVAL 65535 /* MCUs: what a DRI segment can say */

PyObject *recode(PyObject *module, PyObject *args);

#endif
