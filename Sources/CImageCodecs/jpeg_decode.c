// JPEG to RGB through libjpeg (libjpeg-turbo on Debian and Homebrew).
//
// Colours are Pillow's: four-component files are taken to be inverted CMYK, as Adobe writes them, and turned into RGB as in
// src/libImaging/Convert.c (cmyk2rgb) of Pillow 13.0.0.

#include "CImageCodecs.h"

#if !__has_include(<jpeglib.h>)
#error "jpeglib.h is missing: apt-get install libjpeg-dev (macOS: brew install jpeg-turbo)"
#endif

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/// One decoder with what its callbacks need.
typedef struct {
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    CImageMessage *message;
    CImageStatus status;
    int scan_limit;
    bool tolerant;
} JPEGReader;

static JPEGReader *reader_of(j_common_ptr codec) { return codec->client_data; }

static void leave(JPEGReader *reader, CImageStatus status, const char *text) {
    snprintf(reader->message->text, CIMAGE_MESSAGE_CAPACITY, "%s", text);
    reader->status = status;
    longjmp(reader->escape, 1);
}

/// libjpeg's error_exit: notes the message and leaves.
static void fail(j_common_ptr codec) {
    JPEGReader *reader = reader_of(codec);
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    CImageStatus status = CIMAGE_DAMAGED;
    switch (codec->err->msg_code) {
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_IMAGE_TOO_BIG:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED: status = CIMAGE_UNSUPPORTED; break;
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY:
    case JWRN_JPEG_EOF: status = CIMAGE_TRUNCATED; break;
    case JERR_OUT_OF_MEMORY: status = CIMAGE_OUT_OF_MEMORY; break;
    default: break;
    }
    leave(reader, status, text);
}

/// libjpeg's emit_message: a warning (level -1) about the data is as good as an error, unless the caller is tolerant.
static void note(j_common_ptr codec, int level) {
    if (level >= 0) return;
    // These two are about the file's label, not its data.
    if (codec->err->msg_code == JWRN_JFIF_MAJOR || codec->err->msg_code == JWRN_ADOBE_XFORM) return;
    codec->err->num_warnings++;
    if (!reader_of(codec)->tolerant) fail(codec);
}

static void stay_silent(j_common_ptr codec) { (void)codec; }

/// Called between rows of blocks: a few kilobytes can hold thousands of scans over a huge image.
static void watch_scans(j_common_ptr codec) {
    JPEGReader *reader = reader_of(codec);
    if (reader->decoder.input_scan_number > reader->scan_limit) {
        leave(reader, CIMAGE_TOO_MANY_SCANS, "too many scans");
    }
}

static void prepare(JPEGReader *reader, CImageMessage *message, bool tolerant, int scan_limit) {
    memset(reader, 0, sizeof *reader);
    reader->message = message;
    reader->message->text[0] = 0;
    reader->status = CIMAGE_OK;
    reader->tolerant = tolerant;
    reader->scan_limit = scan_limit;
    reader->decoder.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = fail;
    reader->errors.emit_message = note;
    reader->errors.output_message = stay_silent;
    reader->progress.progress_monitor = watch_scans;
    reader->decoder.client_data = reader;
}

/// Reads up to the first scan. To be called after `setjmp`.
static void start(JPEGReader *reader, const uint8_t *bytes, size_t count) {
    jpeg_create_decompress(&reader->decoder);
    reader->decoder.progress = &reader->progress;
    jpeg_mem_src(&reader->decoder, bytes, (unsigned long)count);
    jpeg_read_header(&reader->decoder, TRUE);
}

/// a * b / 255, rounded as Pillow's MULDIV255.
static inline unsigned scaled(unsigned a, unsigned b) {
    unsigned product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/// Inverted CMYK to RGB.
static void convert_cmyk(const uint8_t *cmyk, uint8_t *rgb, size_t pixel_count) {
    for (size_t pixel = 0; pixel < pixel_count; pixel++, cmyk += 4, rgb += 3) {
        unsigned light = cmyk[3];
        for (int channel = 0; channel < 3; channel++) {
            rgb[channel] = (uint8_t)(light - scaled(255u - cmyk[channel], light));
        }
    }
}

/// Decodes all rows. To be called after `setjmp`.
static void decode_rows(JPEGReader *reader, const CImageDecoding *decoding, uint8_t *rgb) {
    j_decompress_ptr decoder = &reader->decoder;
    if (decoder->image_width != decoding->width || decoder->image_height != decoding->height) {
        leave(reader, CIMAGE_DAMAGED, "the frame header's size is not the one found first");
    }
    bool is_cmyk = decoder->num_components == 4;
    decoder->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    decoder->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(decoder);
    size_t row_bytes = (size_t)decoding->width * 3;
    JSAMPARRAY cmyk = NULL;
    if (is_cmyk) {
        cmyk = decoder->mem->alloc_sarray((j_common_ptr)decoder, JPOOL_IMAGE, decoding->width * 4, 1);
    }
    while (decoder->output_scanline < decoder->output_height) {
        uint8_t *target = rgb + row_bytes * decoder->output_scanline;
        JSAMPROW row = is_cmyk ? cmyk[0] : target;
        if (jpeg_read_scanlines(decoder, &row, 1) != 1) break;
        if (is_cmyk) convert_cmyk(row, target, decoding->width);
    }
    jpeg_finish_decompress(decoder);
}

/// Where errors land; `reader` lives in the caller, so the jump leaves it intact.
static void try_decode(
    JPEGReader *reader, const uint8_t *bytes, size_t count, const CImageDecoding *decoding, uint8_t *rgb) {
    if (setjmp(reader->escape) == 0) {
        start(reader, bytes, count);
        decode_rows(reader, decoding, rgb);
    } else if (
        reader->tolerant && reader->decoder.output_scanline > 0
        && (reader->status == CIMAGE_DAMAGED || reader->status == CIMAGE_TRUNCATED)) {
        // The rows so far are good.
        reader->status = CIMAGE_OK;
    }
}

CImageStatus cimage_jpeg_decode(
    const uint8_t *bytes, size_t count, const CImageDecoding *decoding, uint8_t *rgb, CImageMessage *message) {
    JPEGReader reader;
    prepare(&reader, message, decoding->tolerant, decoding->scan_limit);
    try_decode(&reader, bytes, count, decoding, rgb);
    jpeg_destroy_decompress(&reader.decoder);
    return reader.status;
}
