/// A colour for every class, always the same one.
package enum ClassColors {
    /// Colours that differ from one another, and neighbours most, on the dark and bright parts of photographs.
    private static let base: [Color] = [
        0xFF3B30, 0x00B8FF, 0x34C759, 0xFFCC00, 0xC13BFF, 0xFF8A00, 0x00D5C0, 0xFF4FA3, 0x2F6BFF, 0xA4E000,
        0x8C5A2B, 0x7AD7FF, 0xB00040, 0x00A36C, 0xFFB38A, 0x6A3DE8, 0xD9D200, 0xFF8FE0, 0x4E7D96, 0x9FE8A8,
    ].map { Color($0) }

    /// What the second and later rounds through the base colours are mixed with, and how much of it.
    private static let shades: [(color: Color, share: Float)] = [
        (.white, 0), (.black, 0.25), (.white, 0.35), (.white, 0.6), (.black, 0.4),
    ]

    /// The colour of a class; any number is fine. The first 100 classes have different ones.
    package static func color(ofClass classID: Int) -> Color {
        let count = base.count * shades.count
        let index = (classID % count + count) % count
        let shade = shades[index / base.count]
        return base[index % base.count].mixed(with: shade.color, share: shade.share)
    }
}
