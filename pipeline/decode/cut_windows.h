/* The interface of `cut_windows.c`, a function of the module that `libjpeg.c` defines. */
#ifndef TAGMILL_CUT_WINDOWS_H
#define TAGMILL_CUT_WINDOWS_H

#include <Python.h>

PyObject *cut_windows(PyObject *self, PyObject *args);

#endif
