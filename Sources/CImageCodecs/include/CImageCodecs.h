/// libjpeg, libpng, zlib and FreeType behind status codes, and the inner loops of resampling.
///
/// Both image libraries report errors by longjmp; every jump starts and ends inside one function here, so that none crosses a Swift
/// frame. Messages are copied into the caller's buffer. Nothing here keeps state between calls but a font handle, so every
/// function may be called from several threads.
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What came of a call.
typedef enum {
    CIMAGE_OK = 0,
    /// The bytes break the format's rules, or the decoder warned about them.
    CIMAGE_DAMAGED,
    /// The bytes end before the image does.
    CIMAGE_TRUNCATED,
    /// A kind of file that is not decoded here.
    CIMAGE_UNSUPPORTED,
    /// More scans than allowed.
    CIMAGE_TOO_MANY_SCANS,
    CIMAGE_OUT_OF_MEMORY,
} CImageStatus;

/// Bytes for a message with its terminating zero: libjpeg's JMSG_LENGTH_MAX is 200.
#define CIMAGE_MESSAGE_CAPACITY 256

/// Where a message goes; always terminated.
typedef struct {
    char text[CIMAGE_MESSAGE_CAPACITY];
} CImageMessage;

/// How to decode.
typedef struct {
    /// The size that the header gives and that the output has room for.
    uint32_t width;
    uint32_t height;
    /// JPEG: more scans than this are refused.
    int32_t scan_limit;
    /// Decode what is there of a damaged image; the rest of the output stays as it was.
    bool tolerant;
} CImageDecoding;

// JPEG (jpeg_decode.c, jpeg_encode.c)

/// Decodes to `rgb`, `[height, width, 3]`, with the accurate integer DCT and smooth chroma upsampling.
CImageStatus cimage_jpeg_decode(
    const uint8_t *bytes, size_t count, const CImageDecoding *decoding, uint8_t *rgb, CImageMessage *message);

/// Encodes `rgb`, `[height, width, 3]`. `quality` 1...100; from 90 on colour is kept at full resolution.
/// `*encoded` belongs to the caller: `cimage_free`.
CImageStatus cimage_jpeg_encode(
    const uint8_t *rgb, uint32_t width, uint32_t height, int32_t quality, uint8_t **encoded, size_t *encoded_count,
    CImageMessage *message);

// PNG (png_decode.c, png_encode.c)

/// Decodes to `rgb`, `[height, width, 3]`: alpha is dropped, 16 bits become 8 as Pillow's `convert("RGB")` makes them.
CImageStatus cimage_png_decode(
    const uint8_t *bytes, size_t count, const CImageDecoding *decoding, uint8_t *rgb, CImageMessage *message);

/// Encodes `rgb`, `[height, width, 3]`. `*encoded` belongs to the caller: `cimage_free`.
CImageStatus cimage_png_encode(
    const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **encoded, size_t *encoded_count,
    CImageMessage *message);

/// Inflates a zlib stream into at most `capacity` bytes; the number written, or -1 when it is damaged or longer.
int64_t cimage_inflate(const uint8_t *bytes, size_t count, uint8_t *output, size_t capacity);

/// Frees what an encoder returned; NULL is fine.
void cimage_free(uint8_t *encoded);

// Text (glyphs.c)

/// The embedded font at one size. Not for two threads at once.
typedef struct CImageFont CImageFont;

/// One glyph's coverage and place.
typedef struct {
    /// `[height, width]` with `stride` bytes a row, 0...255; valid until the next call with this font. NULL for a blank.
    const uint8_t *coverage;
    int32_t width;
    int32_t height;
    int32_t stride;
    /// From the pen to the left column, and from the baseline up to the top row, in pixels.
    int32_t left;
    int32_t top;
    /// How far the pen moves, in 1/64 pixel.
    int32_t advance;
} CImageGlyph;

/// The embedded font with `pixel_size` pixels to the em; NULL when memory is short.
CImageFont *cimage_font_open(uint32_t pixel_size);
void cimage_font_close(CImageFont *font);

/// Renders one character, or the replacement box if the font lacks it. False when memory is short.
bool cimage_font_glyph(CImageFont *font, uint32_t code_point, CImageGlyph *glyph);

// Resampling (resample.c): the loops of Swift's `Resampling`, which owns the weights and keeps the plain version.

/// One row of RGB resampled to `output_width` pixels. For output pixel x, `starts[x]` is the first input pixel, `counts[x]` how many
/// there are, and `weights[x * stride]` their weights in 1/2^22.
void cimage_resample_row(
    const uint8_t *input, uint8_t *output, size_t output_width, const int32_t *starts, const int32_t *counts,
    const int32_t *weights, size_t stride);

/// One output row as the weighted sum of `row_count` input rows of `byte_count` bytes each, weights in 1/2^22.
void cimage_resample_rows(
    const uint8_t *input, uint8_t *output, size_t byte_count, size_t row_count, const int32_t *weights);

#endif
