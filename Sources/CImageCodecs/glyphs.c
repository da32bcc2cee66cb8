// Antialiased glyphs of the embedded font through FreeType.

#include "CImageCodecs.h"

#if !__has_include(<ft2build.h>)
#error "ft2build.h is missing: apt-get install libfreetype-dev pkg-config (macOS: brew install freetype pkg-config)"
#endif

#include <stdlib.h>

#include <ft2build.h>
#include FT_FREETYPE_H

#include "font.h"

struct CImageFont {
    FT_Library library;
    FT_Face face;
};

CImageFont *cimage_font_open(uint32_t pixel_size) {
    CImageFont *font = calloc(1, sizeof *font);
    if (!font) return NULL;
    if (FT_Init_FreeType(&font->library) != 0
        || FT_New_Memory_Face(font->library, cimage_font_bytes, (FT_Long)cimage_font_byte_count, 0, &font->face) != 0
        || FT_Set_Pixel_Sizes(font->face, 0, pixel_size) != 0) {
        cimage_font_close(font);
        return NULL;
    }
    return font;
}

void cimage_font_close(CImageFont *font) {
    if (!font) return;
    if (font->face) FT_Done_Face(font->face);
    if (font->library) FT_Done_FreeType(font->library);
    free(font);
}

bool cimage_font_glyph(CImageFont *font, uint32_t code_point, CImageGlyph *glyph) {
    // Glyph 0, the replacement box, stands for what the font lacks. The light target sharpens rows only, so widths stay true.
    FT_UInt index = FT_Get_Char_Index(font->face, code_point);
    if (FT_Load_Glyph(font->face, index, FT_LOAD_RENDER | FT_LOAD_TARGET_LIGHT) != 0) return false;
    FT_GlyphSlot slot = font->face->glyph;
    if (slot->bitmap.buffer && (slot->bitmap.pixel_mode != FT_PIXEL_MODE_GRAY || slot->bitmap.pitch < 0)) return false;
    glyph->coverage = slot->bitmap.buffer;
    glyph->width = (int32_t)slot->bitmap.width;
    glyph->height = (int32_t)slot->bitmap.rows;
    glyph->stride = slot->bitmap.pitch;
    glyph->left = slot->bitmap_left;
    glyph->top = slot->bitmap_top;
    glyph->advance = (int32_t)slot->advance.x;
    return true;
}
