// PNG to RGB through libpng, and bounded inflation of compressed text chunks.
//
// Colours are Pillow's `Image.open(f).convert("RGB")`: alpha and transparency are dropped, gamma and profiles ignored, 16-bit colour
// cut to its high byte, 16-bit grey clipped to 255 (src/libImaging/Convert.c, I16_RGB), palette entries that the file lacks black.

#include "CImageCodecs.h"

#if !__has_include(<png.h>)
#error "png.h is missing: apt-get install libpng-dev (macOS: brew install libpng)"
#endif

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

/// One decoder with what its callbacks need.
typedef struct {
    png_structp decoder;
    png_infop info;
    const uint8_t *bytes;
    size_t count;
    size_t position;
    jmp_buf escape;
    CImageMessage *message;
    CImageStatus status;
    bool tolerant;
    /// Rows are being read: warnings are about pixels.
    bool in_rows;
    /// At least one row is in the output.
    bool has_rows;
} PNGReader;

static void leave(PNGReader *reader, CImageStatus status, const char *text) {
    snprintf(reader->message->text, CIMAGE_MESSAGE_CAPACITY, "%s", text);
    reader->status = status;
    longjmp(reader->escape, 1);
}

static void fail(png_structp decoder, png_const_charp text) {
    leave(png_get_error_ptr(decoder), CIMAGE_DAMAGED, text);
}

/// Warnings outside the rows are about profiles, text and the like, which are not used.
static void note(png_structp decoder, png_const_charp text) {
    PNGReader *reader = png_get_error_ptr(decoder);
    if (reader->in_rows && !reader->tolerant) leave(reader, CIMAGE_DAMAGED, text);
}

static void read_bytes(png_structp decoder, png_bytep target, size_t count) {
    PNGReader *reader = png_get_io_ptr(decoder);
    if (count > reader->count - reader->position) {
        leave(reader, CIMAGE_TRUNCATED, "the file ends inside a chunk");
    }
    memcpy(target, reader->bytes + reader->position, count);
    reader->position += count;
}

/// Makes the decoder and reads up to the first image data. To be called after `setjmp`.
static void start(PNGReader *reader) {
    reader->decoder = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, fail, note);
    if (!reader->decoder) leave(reader, CIMAGE_OUT_OF_MEMORY, "no memory for a PNG decoder");
    reader->info = png_create_info_struct(reader->decoder);
    if (!reader->info) leave(reader, CIMAGE_OUT_OF_MEMORY, "no memory for a PNG decoder");
    png_set_read_fn(reader->decoder, reader, read_bytes);
    png_set_user_limits(reader->decoder, 65535, 65535);
    // Every chunk but header, palette and pixels is skipped, unread and uninflated: no bomb in a profile or a text.
    png_set_keep_unknown_chunks(reader->decoder, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    // A palette index without an entry is black, as in Pillow.
    png_set_check_for_invalid_index(reader->decoder, 0);
    int action = reader->tolerant ? PNG_CRC_QUIET_USE : PNG_CRC_ERROR_QUIT;
    png_set_crc_action(reader->decoder, action, action);
    png_read_info(reader->decoder, reader->info);
}

static void finish(PNGReader *reader) {
    if (reader->decoder) png_destroy_read_struct(&reader->decoder, &reader->info, NULL);
}

static PNGReader reader_for(const uint8_t *bytes, size_t count, bool tolerant, CImageMessage *message) {
    PNGReader reader;
    memset(&reader, 0, sizeof reader);
    reader.bytes = bytes;
    reader.count = count;
    reader.tolerant = tolerant;
    reader.message = message;
    message->text[0] = 0;
    return reader;
}

/// What a row holds after libpng's part of the conversion.
typedef enum { ROW_RGB, ROW_PALETTE_INDEX, ROW_GREY_16 } RowKind;

/// Asks libpng for rows of at most three bytes a pixel.
static RowKind set_conversions(PNGReader *reader) {
    png_structp decoder = reader->decoder;
    int bits = png_get_bit_depth(decoder, reader->info);
    int color = png_get_color_type(decoder, reader->info);
    png_set_interlace_handling(decoder);
    if (color == PNG_COLOR_TYPE_PALETTE) {
        png_set_packing(decoder);
        return ROW_PALETTE_INDEX;
    }
    if (color == PNG_COLOR_TYPE_GRAY && bits == 16) return ROW_GREY_16;
    if (bits == 16) png_set_strip_16(decoder);
    if (bits < 8) png_set_expand_gray_1_2_4_to_8(decoder);
    if (color & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(decoder);
    if (!(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(decoder);
    return ROW_RGB;
}

/// Widens a row of palette indices to RGB in place, from the right, so that nothing is overwritten before it is read.
static void expand_palette(uint8_t *row, size_t width, const uint8_t palette[256][3]) {
    for (size_t x = width; x-- > 0;) {
        const uint8_t *entry = palette[row[x]];
        row[3 * x + 2] = entry[2];
        row[3 * x + 1] = entry[1];
        row[3 * x] = entry[0];
    }
}

/// Widens a row of big-endian 16-bit grey to RGB in place, from the right.
static void expand_grey_16(uint8_t *row, size_t width) {
    for (size_t x = width; x-- > 0;) {
        uint8_t grey = row[2 * x] == 0 ? row[2 * x + 1] : 255;
        row[3 * x + 2] = row[3 * x + 1] = row[3 * x] = grey;
    }
}

static void expand_rows(PNGReader *reader, const CImageDecoding *decoding, RowKind kind, uint8_t *rgb) {
    uint8_t palette[256][3] = {{0}};
    png_colorp entries = NULL;
    int entry_count = 0;
    if (kind == ROW_PALETTE_INDEX) png_get_PLTE(reader->decoder, reader->info, &entries, &entry_count);
    for (int index = 0; index < entry_count && index < 256; index++) {
        palette[index][0] = entries[index].red;
        palette[index][1] = entries[index].green;
        palette[index][2] = entries[index].blue;
    }
    for (size_t y = 0; y < decoding->height; y++) {
        uint8_t *row = rgb + y * decoding->width * 3;
        if (kind == ROW_PALETTE_INDEX) expand_palette(row, decoding->width, palette);
        if (kind == ROW_GREY_16) expand_grey_16(row, decoding->width);
    }
}

/// Reads all rows as `kind` says. To be called after `setjmp`.
static void read_rows(PNGReader *reader, const CImageDecoding *decoding, uint8_t *rgb) {
    png_structp decoder = reader->decoder;
    int passes = png_get_interlace_type(decoder, reader->info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    reader->in_rows = true;
    for (int pass = 0; pass < passes; pass++) {
        for (size_t y = 0; y < decoding->height; y++) {
            png_read_row(decoder, rgb + y * decoding->width * 3, NULL);
            reader->has_rows = true;
        }
    }
    png_read_end(decoder, NULL);
}

/// Where errors of the rows land: a tolerant caller keeps the rows so far.
static void try_rows(PNGReader *reader, const CImageDecoding *decoding, uint8_t *rgb) {
    if (setjmp(reader->escape) == 0) {
        read_rows(reader, decoding, rgb);
    } else if (reader->tolerant && reader->has_rows && reader->status != CIMAGE_OUT_OF_MEMORY) {
        reader->status = CIMAGE_OK;
    }
}

/// Where errors before the rows land; `reader` lives in the caller, so the jump leaves it intact.
static void try_start(PNGReader *reader, const CImageDecoding *decoding, RowKind *kind) {
    if (setjmp(reader->escape) != 0) return;
    start(reader);
    if (png_get_image_width(reader->decoder, reader->info) != decoding->width
        || png_get_image_height(reader->decoder, reader->info) != decoding->height) {
        leave(reader, CIMAGE_DAMAGED, "the header's size is not the one found first");
    }
    *kind = set_conversions(reader);
    png_read_update_info(reader->decoder, reader->info);
    if (png_get_rowbytes(reader->decoder, reader->info) > (size_t)decoding->width * 3) {
        leave(reader, CIMAGE_DAMAGED, "a row is longer than its pixels");
    }
}

CImageStatus cimage_png_decode(
    const uint8_t *bytes, size_t count, const CImageDecoding *decoding, uint8_t *rgb, CImageMessage *message) {
    PNGReader reader = reader_for(bytes, count, decoding->tolerant, message);
    RowKind kind = ROW_RGB;
    try_start(&reader, decoding, &kind);
    if (reader.status == CIMAGE_OK) try_rows(&reader, decoding, rgb);
    if (reader.status == CIMAGE_OK && kind != ROW_RGB) expand_rows(&reader, decoding, kind, rgb);
    finish(&reader);
    return reader.status;
}

int64_t cimage_inflate(const uint8_t *bytes, size_t count, uint8_t *output, size_t capacity) {
    uLongf written = capacity;
    if (uncompress(output, &written, bytes, count) != Z_OK) return -1;
    return (int64_t)written;
}
