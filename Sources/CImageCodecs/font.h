// The embedded font: a part of DejaVu Sans, made by tools/subset_font.py. Its licence is in DejaVuSans-LICENSE.txt.
#ifndef CIMAGECODECS_FONT_H
#define CIMAGECODECS_FONT_H

#include <stddef.h>

extern const unsigned char cimage_font_bytes[];
extern const size_t cimage_font_byte_count;

#endif
