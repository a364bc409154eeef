/* How the C files here answer what libjpeg says of a file: any error or warning ends the work on it, and so do too many scans. */
#ifndef TAGMILL_JPEG_REFUSAL_H
#define TAGMILL_JPEG_REFUSAL_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

#define MOST_SCANS 100 /* of a picture: a few bytes of one cost as much time as all its pixels */

typedef struct {
    struct jpeg_error_mgr manager;
    jmp_buf out;
} Refusal;

static inline void refuse(j_common_ptr info) { longjmp(((Refusal *)info->err)->out, 1); }

/* A warning tells of bytes that are missing or wrong. */
static inline void refuse_warning(j_common_ptr info, int level) {
    if (level < 0) refuse(info);
}

static inline void count_scans(j_common_ptr info) {
    if (((j_decompress_ptr)info)->input_scan_number > MOST_SCANS) info->err->error_exit(info);
}

static inline struct jpeg_error_mgr *refusing(Refusal *refusal) {
    struct jpeg_error_mgr *manager = jpeg_std_error(&refusal->manager);
    manager->error_exit = refuse;
    manager->emit_message = refuse_warning;
    return manager;
}

/* Destroys a compressor that writes to memory. Its buffer moves as it grows, and libjpeg tells its owner only at the end: where the
 * work is refused before, the owner would free what was freed. */
static inline void destroy_sink(struct jpeg_compress_struct *sink) {
    if (sink->dest != NULL) sink->dest->term_destination(sink);
    jpeg_destroy_compress(sink);
}

#endif
