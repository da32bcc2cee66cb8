/// Changes to the colours of 8-bit RGB images, red green blue, in place.
///
/// - Source: `torchvision/transforms/_functional_tensor.py` of torchvision 0.29.2, for images of bytes. Sums are in
///   float32, and the same on any machine.
#ifndef CKERNELS_COLORS_H
#define CKERNELS_COLORS_H

#include <stdint.h>

/// `factor * byte + addend`, cut to 0...255 and to whole numbers.
void colors_blend(int64_t byte_count, uint8_t *bytes, float factor, float addend);

/// The sum of the pixels' greys, whole numbers: 0.2989 red + 0.587 green + 0.114 blue.
uint64_t colors_sum_of_greys(int64_t pixel_count, const uint8_t *pixels);

/// `factor * byte + grey_factor * grey`, cut to 0...255 and to whole numbers.
void colors_saturate(int64_t pixel_count, uint8_t *pixels, float factor, float grey_factor);

/// Turns each hue by `turns` of the colour wheel, in -0.5...0.5; saturation and value stay.
void colors_turn_hue(int64_t pixel_count, uint8_t *pixels, float turns);

#endif
