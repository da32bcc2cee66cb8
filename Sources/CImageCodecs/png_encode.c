// RGB to PNG through libpng.

#include "CImageCodecs.h"

#if !__has_include(<png.h>)
#error "png.h is missing: apt-get install libpng-dev (macOS: brew install libpng)"
#endif

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

/// One encoder with what its callbacks need.
typedef struct {
    png_structp encoder;
    png_infop info;
    uint8_t *output;
    size_t count;
    size_t capacity;
    jmp_buf escape;
    CImageMessage *message;
    CImageStatus status;
} PNGWriter;

static void leave(PNGWriter *writer, CImageStatus status, const char *text) {
    snprintf(writer->message->text, CIMAGE_MESSAGE_CAPACITY, "%s", text);
    writer->status = status;
    longjmp(writer->escape, 1);
}

static void fail(png_structp encoder, png_const_charp text) {
    leave(png_get_error_ptr(encoder), CIMAGE_UNSUPPORTED, text);
}

static void stay_silent(png_structp encoder, png_const_charp text) {
    (void)encoder;
    (void)text;
}

static void append(png_structp encoder, png_bytep bytes, size_t count) {
    PNGWriter *writer = png_get_io_ptr(encoder);
    if (count > writer->capacity - writer->count) {
        size_t capacity = (writer->count + count) * 2;
        uint8_t *output = realloc(writer->output, capacity);
        if (!output) leave(writer, CIMAGE_OUT_OF_MEMORY, "no memory for the PNG file");
        writer->output = output;
        writer->capacity = capacity;
    }
    memcpy(writer->output + writer->count, bytes, count);
    writer->count += count;
}

static void flush(png_structp encoder) { (void)encoder; }

/// Encodes all rows. `writer` lives in the caller, so the jump leaves it intact.
static void try_encode(PNGWriter *writer, const uint8_t *rgb, uint32_t width, uint32_t height) {
    if (setjmp(writer->escape) != 0) return;
    writer->encoder = png_create_write_struct(PNG_LIBPNG_VER_STRING, writer, fail, stay_silent);
    if (!writer->encoder) leave(writer, CIMAGE_OUT_OF_MEMORY, "no memory for a PNG encoder");
    writer->info = png_create_info_struct(writer->encoder);
    if (!writer->info) leave(writer, CIMAGE_OUT_OF_MEMORY, "no memory for a PNG encoder");
    png_set_write_fn(writer->encoder, writer, append, flush);
    png_set_IHDR(
        writer->encoder, writer->info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    // Photographs gain little from zlib's slower levels.
    png_set_compression_level(writer->encoder, 4);
    png_write_info(writer->encoder, writer->info);
    for (size_t y = 0; y < height; y++) png_write_row(writer->encoder, rgb + y * width * 3);
    png_write_end(writer->encoder, writer->info);
}

CImageStatus cimage_png_encode(
    const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **encoded, size_t *encoded_count,
    CImageMessage *message) {
    PNGWriter writer;
    memset(&writer, 0, sizeof writer);
    writer.message = message;
    message->text[0] = 0;
    try_encode(&writer, rgb, width, height);
    if (writer.encoder) png_destroy_write_struct(&writer.encoder, &writer.info);
    if (writer.status != CIMAGE_OK) {
        free(writer.output);
        return writer.status;
    }
    *encoded = writer.output;
    *encoded_count = writer.count;
    return CIMAGE_OK;
}
