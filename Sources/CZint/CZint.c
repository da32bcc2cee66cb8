#include "CZint.h"

#include <string.h>
#include <zint.h>

static CZintStatus status_of(int code) {
    // Warnings are below ZINT_ERROR; the symbol is whole.
    if (code < ZINT_ERROR) return CZINT_OK;
    switch (code) {
        case ZINT_ERROR_TOO_LONG:
        case ZINT_ERROR_INVALID_DATA:
        case ZINT_ERROR_INVALID_CHECK:
            return CZINT_INVALID_CONTENT;
        case ZINT_ERROR_INVALID_OPTION:
        case ZINT_ERROR_NONCOMPLIANT:
        case ZINT_ERROR_USES_ECI:
            return CZINT_INVALID_OPTION;
        case ZINT_ERROR_MEMORY:
            return CZINT_OUT_OF_MEMORY;
        default:
            return CZINT_INTERNAL;
    }
}

CZintStatus czint_encode(
    const CZintRequest *request, const uint8_t *content, int32_t count, CZintSymbol *symbol, uint8_t *modules) {
    memset(symbol, 0, sizeof *symbol);
    // Zint reads a length of 0 as "until the terminating zero", which `content` does not have.
    if (count <= 0 || count > ZINT_MAX_DATA_LEN) {
        strcpy(symbol->message, "the content is empty or too long");
        return CZINT_INVALID_CONTENT;
    }
    struct zint_symbol *zint = ZBarcode_Create();
    if (!zint) return CZINT_OUT_OF_MEMORY;
    zint->symbology = request->symbology;
    zint->input_mode = request->is_gs1 ? GS1_MODE : UNICODE_MODE;
    if (request->options[0]) zint->option_1 = request->options[0];
    if (request->options[1]) zint->option_2 = request->options[1];
    if (request->options[2]) zint->option_3 = request->options[2];

    CZintStatus status = status_of(ZBarcode_Encode(zint, content, count));
    if (status == CZINT_OK &&
        (zint->rows < 1 || zint->rows > CZINT_MAXIMUM_ROWS || zint->width < 1 || zint->width > CZINT_MAXIMUM_COLUMNS))
        status = CZINT_INTERNAL;
    strncpy(symbol->message, zint->errtxt, CZINT_MESSAGE_BYTES - 1);
    if (status == CZINT_OK) {
        symbol->rows = zint->rows;
        symbol->columns = zint->width;
        memcpy(symbol->row_heights, zint->row_height, sizeof symbol->row_heights);
        memcpy(symbol->text, zint->text, CZINT_TEXT_BYTES);
        symbol->text[CZINT_TEXT_BYTES - 1] = 0;
        for (int row = 0; row < zint->rows; row++)
            for (int column = 0; column < zint->width; column++)
                *modules++ = (uint8_t)((zint->encoded_data[row][column >> 3] >> (column & 7)) & 1);
    }
    ZBarcode_Delete(zint);
    return status;
}
