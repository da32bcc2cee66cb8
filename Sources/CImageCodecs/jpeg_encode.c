// RGB to JPEG through libjpeg.

#include "CImageCodecs.h"

#if !__has_include(<jpeglib.h>)
#error "jpeglib.h is missing: apt-get install libjpeg-dev (macOS: brew install jpeg-turbo)"
#endif

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/// One encoder with what its callbacks need.
typedef struct {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    CImageMessage *message;
    CImageStatus status;
    unsigned char *output;
    unsigned long output_count;
} JPEGWriter;

static void fail(j_common_ptr codec) {
    JPEGWriter *writer = codec->client_data;
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    snprintf(writer->message->text, CIMAGE_MESSAGE_CAPACITY, "%s", text);
    writer->status = codec->err->msg_code == JERR_OUT_OF_MEMORY ? CIMAGE_OUT_OF_MEMORY : CIMAGE_UNSUPPORTED;
    longjmp(writer->escape, 1);
}

static void stay_silent(j_common_ptr codec) { (void)codec; }

/// Encodes all rows. `writer` lives in the caller, so the jump leaves it intact.
static void try_encode(JPEGWriter *writer, const uint8_t *rgb, uint32_t width, uint32_t height, int32_t quality) {
    j_compress_ptr encoder = &writer->encoder;
    if (setjmp(writer->escape) != 0) return;
    jpeg_create_compress(encoder);
    jpeg_mem_dest(encoder, &writer->output, &writer->output_count);
    encoder->image_width = width;
    encoder->image_height = height;
    encoder->input_components = 3;
    encoder->in_color_space = JCS_RGB;
    jpeg_set_defaults(encoder);
    jpeg_set_quality(encoder, quality, TRUE);
    if (quality >= 90) {
        // Thin coloured lines and letters blur when colour is halved.
        encoder->comp_info[0].h_samp_factor = 1;
        encoder->comp_info[0].v_samp_factor = 1;
    }
    jpeg_start_compress(encoder, TRUE);
    while (encoder->next_scanline < height) {
        // libjpeg does not write to its input, but its rows are not const.
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)encoder->next_scanline * width * 3);
        jpeg_write_scanlines(encoder, &row, 1);
    }
    jpeg_finish_compress(encoder);
}

CImageStatus cimage_jpeg_encode(
    const uint8_t *rgb, uint32_t width, uint32_t height, int32_t quality, uint8_t **encoded, size_t *encoded_count,
    CImageMessage *message) {
    JPEGWriter writer;
    memset(&writer, 0, sizeof writer);
    writer.message = message;
    message->text[0] = 0;
    writer.encoder.err = jpeg_std_error(&writer.errors);
    writer.errors.error_exit = fail;
    writer.errors.output_message = stay_silent;
    writer.encoder.client_data = &writer;
    try_encode(&writer, rgb, width, height, quality);
    jpeg_destroy_compress(&writer.encoder);
    if (writer.status != CIMAGE_OK) {
        free(writer.output);
        return writer.status;
    }
    *encoded = writer.output;
    *encoded_count = writer.output_count;
    return CIMAGE_OK;
}

void cimage_free(uint8_t *encoded) { free(encoded); }
