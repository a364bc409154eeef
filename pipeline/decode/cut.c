/* Cuts windows from the bytes of JPEGs, before anything is decoded.
 *
 * A restart marker ends a segment that is decoded without those before it: the predictions of DC begin again there, on a
 * whole byte. So the segments that cover a window, one after the other, with their markers numbered from 0 and the
 * frame's size set to theirs, are a JPEG whose pixels are those of the whole picture, bit for bit (ITU-T T.81, B.2.1,
 * E.1.4). Bytes above the window are only searched for markers, which is many times faster than undoing the Huffman code.
 *
 * Only what is understood in full is cut: one scan of 8 bits with Huffman codes, not progressive, of grey or three
 * colours, that has each marker in its place as far as the window reaches. All else is declined and decoded whole.
 */
#include "cut.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { SOF0 = 0xC0, SOF1 = 0xC1, DHT = 0xC4, RST0 = 0xD0, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DRI = 0xDD };
enum { APP0 = 0xE0, APP15 = 0xEF, COM = 0xFE };

#define BLOCK 8         /* pixels */
#define MAX_SIDE 65500  /* of a picture that libjpeg accepts */
#define MAX_BYTES (1u << 30)
#define MAX_ACROSS ((MAX_SIDE + BLOCK - 1) / BLOCK) /* segments in a row */
#define COLOURS 3
/* Colours of half the columns are interpolated in rows of more than two of them (jdsample.c): of more pixels than this. */
#define NARROW 4

typedef struct {
    size_t frame, scan; /* offsets of the frame's height, and of the first byte of the scan */
    int width, height;  /* pixels */
    int halved[2];      /* whether colours have half the columns, half the rows */
    int components, interval;
    uint8_t ids[COLOURS];
} Header;

/* Segments from `first` to before `end` along one axis; each is `unit` pixels long. */
typedef struct {
    int first, end, count, unit;
} Range;

static int word(const uint8_t *at) { return at[0] << 8 | at[1]; }

static void put_word(uint8_t *at, int value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Reads a start of frame, `length` bytes from `at` on. The readers of the header return -1 for what is not cut. */
static int read_frame(const uint8_t *at, size_t length, Header *header) {
    if (header->components || length < 6 || at[0] != 8) return -1;
    header->height = word(at + 1);
    header->width = word(at + 3);
    header->components = at[5];
    if (header->components != 1 && header->components != COLOURS) return -1;
    if (length != 6 + 3 * (size_t)header->components) return -1;
    if (!header->width || !header->height || header->width > MAX_SIDE || header->height > MAX_SIDE) return -1;
    for (int k = 0; k < header->components; k++) {
        const uint8_t *component = at + 6 + 3 * k;
        int across = component[1] >> 4, down = component[1] & 15;
        header->ids[k] = component[0];
        if (k == 0 && (across < 1 || across > 2 || down < 1 || down > 2)) return -1;
        if ((k > 0 || header->components == 1) && (across != 1 || down != 1)) return -1;
        if (k == 0) header->halved[0] = across == 2, header->halved[1] = down == 2;
        for (int before = 0; before < k; before++)
            if (header->ids[before] == header->ids[k]) return -1;
    }
    return 0;
}

/* Returns whether a start of scan holds all components of the frame, whole. */
static int is_only_scan(const uint8_t *at, size_t length, const Header *header) {
    if (!header->components || length != 4 + 2 * (size_t)header->components || at[0] != header->components) return 0;
    for (int k = 0; k < header->components; k++)
        if (at[1 + 2 * k] != header->ids[k]) return 0;
    const uint8_t *spectrum = at + 1 + 2 * header->components;
    return spectrum[0] == 0 && spectrum[1] == BLOCK * BLOCK - 1 && spectrum[2] == 0;
}

static int read_header(const uint8_t *jpeg, size_t size, Header *header) {
    memset(header, 0, sizeof *header);
    if (size < 4 || size > MAX_BYTES || jpeg[0] != 0xFF || jpeg[1] != SOI) return -1;
    for (size_t at = 2; size - at >= 4;) {
        size_t length = (size_t)word(jpeg + at + 2), rest = size - at - 2;
        if (jpeg[at] != 0xFF || length < 2 || length > rest) return -1;
        int marker = jpeg[at + 1];
        const uint8_t *body = jpeg + at + 4;
        if (marker == SOS) {
            header->scan = at + 2 + length;
            return header->interval && is_only_scan(body, length - 2, header) ? 0 : -1;
        }
        if (marker == SOF0 || marker == SOF1) {
            if (read_frame(body, length - 2, header)) return -1;
            header->frame = at + 5;
        } else if (marker == DRI) {
            if (length != 4) return -1;
            header->interval = word(body);
        } else if (marker != DQT && marker != DHT && marker != COM && (marker < APP0 || marker > APP15)) {
            return -1;
        }
        at += 2 + length;
    }
    return -1;
}

/* Finds the segments along an axis of `side` pixels that a window needs; with `halved` colours those too from which the
 * colours of its edge are interpolated: one decoded pixel on each side. */
static void find_range(Range *range, int side, int begin, int extent, int eighths, int halved) {
    int first = begin * eighths / BLOCK - halved, end = ((begin + extent) * eighths + BLOCK - 1) / BLOCK + halved;
    first = first > 0 ? first * BLOCK / eighths : 0;
    end = (end * BLOCK + eighths - 1) / eighths;
    end = end < side ? end : side;
    range->count = (side + range->unit - 1) / range->unit;
    range->first = first / range->unit;
    range->end = (end + range->unit - 1) / range->unit;
}

static int pixels_of(const Range *range, int side) {
    int end = range->end * range->unit;
    return (end < side ? end : side) - range->first * range->unit;
}

/* Finds the segments of a window. Returns -1 where they are no rectangle, or all. */
static int find_segments(const Header *header, const int32_t box[BOX], int eighths, Range *across, Range *down) {
    int wide = BLOCK << header->halved[0], high = BLOCK << header->halved[1];
    int units = (header->width + wide - 1) / wide; /* MCUs of a row */
    if (box[BOX_X] < 0 || box[BOX_Y] < 0 || box[BOX_WIDTH] < 1 || box[BOX_HEIGHT] < 1) return -1;
    if (box[BOX_WIDTH] > header->width - box[BOX_X] || box[BOX_HEIGHT] > header->height - box[BOX_Y]) return -1;
    if (units % header->interval && header->interval % units) return -1;
    int rows = header->interval > units ? header->interval / units : 1; /* of a segment */
    across->unit = wide * (header->interval > units ? units : header->interval);
    down->unit = high * rows;
    find_range(across, header->width, box[BOX_X], box[BOX_WIDTH], eighths, header->halved[0]);
    find_range(down, header->height, box[BOX_Y], box[BOX_HEIGHT], eighths, header->halved[1]);
    while (header->halved[0] && pixels_of(across, header->width) * eighths <= NARROW * BLOCK) {
        if (across->first > 0)
            across->first--;
        else if (across->end < across->count)
            across->end++;
        else
            break;
    }
    return across->first == 0 && across->end == across->count && down->first == 0 && down->end == down->count ? -1 : 0;
}

/* Returns the next marker, which is not a byte 0xFF of the Huffman code with the 0 that follows those; NULL if there is none. */
static const uint8_t *find_marker(const uint8_t *at, const uint8_t *end) {
#if defined(__SSE2__)
    const __m128i full = _mm_set1_epi8((char)0xFF), zero = _mm_setzero_si128();
    for (; end - at > 16; at += 16) {
        __m128i lead = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)at), full);
        __m128i stuffed = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(at + 1)), zero);
        int found = _mm_movemask_epi8(_mm_andnot_si128(stuffed, lead));
        if (found) return at + __builtin_ctz((unsigned)found);
    }
#endif
    while (end - at > 1 && (at = memchr(at, 0xFF, (size_t)(end - at - 1)))) {
        if (at[1]) return at;
        at += 2;
    }
    return NULL;
}

/* Returns the end of the marker after segment `number` of `count`; NULL if another one, or none, is there. */
static const uint8_t *after_segment(const uint8_t *at, const uint8_t *end, int number, int count) {
    const uint8_t *marker = find_marker(at, end);
    int wanted = number + 1 == count ? EOI : RST0 + number % 8;
    return marker && marker[1] == wanted ? marker + 2 : NULL;
}

/* Copies segments with the marker after each. Returns the end of what was written; NULL if a marker is not in its place. */
static uint8_t *copy_segments(const uint8_t *at, const uint8_t *end, const Range *across, const Range *down, uint8_t *out) {
    uint32_t ends[MAX_ACROSS]; /* of the segments in a row, from its first byte on */
    int number = 0, count = across->count * down->count, columns = across->end - across->first, written = 0;
    for (int row = down->first; row < down->end; row++) {
        for (; number < row * across->count + across->first; number++)
            if (!(at = after_segment(at, end, number, count))) return NULL;
        const uint8_t *begin = at;
        for (int k = 0; k < columns; k++, number++) {
            if (!(at = after_segment(at, end, number, count))) return NULL;
            ends[k] = (uint32_t)(at - begin);
        }
        memcpy(out, begin, (size_t)(at - begin));
        for (int k = 0; k < columns; k++, written++) out[ends[k] - 1] = (uint8_t)(RST0 + written % 8);
        out += at - begin;
    }
    out[-1] = EOI;
    return out;
}

size_t cut_window(const uint8_t *jpeg, size_t size, int32_t box[BOX], int eighths, uint8_t *out) {
    Header header;
    Range across, down;
    if (eighths < 1 || eighths > BLOCK || read_header(jpeg, size, &header)) return 0;
    if (find_segments(&header, box, eighths, &across, &down)) return 0;
    const uint8_t *written = copy_segments(jpeg + header.scan, jpeg + size, &across, &down, out + header.scan);
    if (!written) return 0;
    memcpy(out, jpeg, header.scan);
    put_word(out + header.frame, pixels_of(&down, header.height));
    put_word(out + header.frame + 2, pixels_of(&across, header.width));
    box[BOX_X] -= across.first * across.unit;
    box[BOX_Y] -= down.first * down.unit;
    return (size_t)(written - out);
}
