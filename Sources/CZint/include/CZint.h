/// Encodes machine-readable codes with zint (https://zint.org.uk): modules in memory, no files, no drawing.
#ifndef CZINT_H
#define CZINT_H

#include <stdint.h>

typedef enum {
    CZINT_OK = 0,
    /// The content has characters, a length or a check digit that the symbology refuses.
    CZINT_INVALID_CONTENT = 1,
    /// An option is out of range, or the content does not fit the size that it asks for.
    CZINT_INVALID_OPTION = 2,
    CZINT_OUT_OF_MEMORY = 3,
    CZINT_INTERNAL = 4,
} CZintStatus;

/// Zint's names for what is used here; `zint.h` explains the options that each takes.
typedef enum {
    CZINT_CODE11 = 1, CZINT_STANDARD_2_OF_5 = 2, CZINT_INTERLEAVED_2_OF_5 = 3, CZINT_INDUSTRIAL_2_OF_5 = 7,
    CZINT_CODE39 = 8, CZINT_EAN = 13, CZINT_GS1_128 = 16, CZINT_CODABAR = 18, CZINT_CODE128 = 20,
    CZINT_LEITCODE = 21, CZINT_CODE93 = 25, CZINT_DATABAR = 29, CZINT_DATABAR_LIMITED = 30,
    CZINT_DATABAR_EXPANDED = 31, CZINT_TELEPEN = 32, CZINT_UPC_A = 34, CZINT_UPC_E = 37, CZINT_MSI = 47,
    CZINT_PHARMACODE = 51, CZINT_PZN = 52, CZINT_PDF417 = 55, CZINT_TRUNCATED_PDF417 = 56, CZINT_QR = 58,
    CZINT_DATA_MATRIX = 71, CZINT_SSCC18 = 75, CZINT_DATABAR_STACKED = 80, CZINT_DATABAR_EXPANDED_STACKED = 81,
    CZINT_MICRO_PDF417 = 84, CZINT_PLESSEY = 86, CZINT_ITF14 = 89, CZINT_AZTEC = 92, CZINT_MICRO_QR = 97,
    CZINT_AZTEC_RUNE = 128, CZINT_CODE32 = 129, CZINT_RECTANGULAR_MICRO_QR = 145,
} CZintSymbology;

enum { CZINT_MAXIMUM_ROWS = 200, CZINT_MAXIMUM_COLUMNS = 1152, CZINT_TEXT_BYTES = 128, CZINT_MESSAGE_BYTES = 100 };

typedef struct {
    int32_t symbology;
    /// Zint's `option_1`, `option_2`, `option_3`: 0 for the default of each.
    int32_t options[3];
    /// Whether the content is GS1 data: `[01]09501101530003[10]AB`.
    int32_t is_gs1;
} CZintRequest;

typedef struct {
    int32_t rows;
    int32_t columns;
    /// In modules; 0 for as high as one likes.
    float row_heights[CZINT_MAXIMUM_ROWS];
    /// Human-readable text, UTF-8, ends with 0.
    char text[CZINT_TEXT_BYTES];
    /// What went wrong, ends with 0.
    char message[CZINT_MESSAGE_BYTES];
} CZintSymbol;

/// Encodes `count` bytes of UTF-8.
///
/// - Parameter modules: room for `CZINT_MAXIMUM_ROWS * CZINT_MAXIMUM_COLUMNS` bytes; the first `rows * columns` become 1 for
///   dark and 0 for light, row by row.
CZintStatus czint_encode(
    const CZintRequest *request, const uint8_t *content, int32_t count, CZintSymbol *symbol, uint8_t *modules);

#endif
