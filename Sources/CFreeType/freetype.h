// FreeType's headers include one another as <freetype/...>, so they need the -I flag that pkg-config gives this target.
#include <ft2build.h>
#include FT_FREETYPE_H
