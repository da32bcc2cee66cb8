/// Random contents of the sorts that codes carry.
struct SymbolContent {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    private static let alphanumeric = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    private static let mixed = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    private static let syllables = [
        "ka", "lo", "mer", "tin", "sa", "ve", "ro", "pol", "an", "di", "que", "shi", "mon", "bar", "el", "fu", "gra",
        "ost", "ni", "per", "tu", "wer", "zan", "ix", "ho", "cre", "ble", "sta", "ing", "ter",
    ]

    static func digits(_ count: Int, _ random: inout RandomSource) -> String {
        String((0..<count).map { _ in Character("\(random.whole(in: 0...9))") })
    }

    static func capitals(_ count: Int, _ random: inout RandomSource) -> String {
        String((0..<count).map { _ in random.pick(letters) })
    }

    static func serial(_ count: Int, _ random: inout RandomSource) -> String {
        String((0..<count).map { _ in random.pick(alphanumeric) })
    }

    static func word(_ random: inout RandomSource) -> String {
        var text = (0...random.whole(in: 0...3)).map { _ in random.pick(syllables) }.joined()
        if random.chance(0.3) { text = text.prefix(1).uppercased() + text.dropFirst() }
        return text
    }

    static func words(_ count: Int, _ random: inout RandomSource) -> String {
        (0..<max(1, count)).map { _ in word(&random) }.joined(separator: " ")
    }

    /// Text for a two-dimensional symbol, about `length` characters of a random sort.
    static func text(length: Int, _ random: inout RandomSource) -> String {
        switch random.whole(in: 0...7) {
        case 0, 1, 2:
            let address = random.pick(["https://", "http://", "HTTPS://"]) + word(&random) + word(&random)
            let path = random.pick([".com/", ".de/", ".org/q/", ".io/", ".co.jp/p?id="])
            let rest = max(0, length - address.count - path.count)
            return address + path + String((0..<rest).map { _ in random.pick(mixed) })
        case 3: return digits(max(1, length), &random)
        case 4: return serial(max(1, length), &random)
        case 5: return String(words(length / 5 + 1, &random).prefix(max(1, length)))
        case 6:
            return "BEGIN:VCARD\nVERSION:3.0\nN:\(word(&random));\(word(&random))\nTEL:+\(digits(11, &random))\n"
                + "EMAIL:\(word(&random))@\(word(&random)).com\nORG:\(words(max(1, length / 20), &random))\nEND:VCARD"
        default:
            // Any bytes, as Latin-1 characters.
            return String((0..<max(1, length)).map { _ in Character(UnicodeScalar(UInt8(random.whole(in: 33...255)))) })
        }
    }

    /// GS1 element strings in zint's brackets.
    static func gs1(_ random: inout RandomSource) -> String {
        var text = "[01]" + withCheckDigit(digits(13, &random))
        if random.chance(0.5) {
            text += "[17]2\(random.whole(in: 6...9))0\(random.whole(in: 1...9))1\(random.whole(in: 0...9))"
        }
        if random.chance(0.6) { text += "[10]" + serial(random.whole(in: 3...10), &random) }
        if random.chance(0.3) { text += "[21]" + serial(random.whole(in: 4...14), &random) }
        return text
    }

    /// - Source: GS1 General Specifications 7.9: weights 3 and 1 from the right.
    static func withCheckDigit(_ digits: String) -> String {
        var sum = 0
        for (index, digit) in digits.reversed().enumerated() {
            sum += (digit.wholeNumberValue ?? 0) * (index.isMultiple(of: 2) ? 3 : 1)
        }
        return digits + "\((10 - sum % 10) % 10)"
    }
}
