// Standard output carries data, standard error everything else. Both are written with plain system calls, because what
// happens on a full disk or a closed pipe must be known at once and not when the process ends.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Tensors

/// Data for programs and people, in large pieces.
final class StandardOutput {
    private var buffer: [UInt8] = []

    func write(_ text: String) throws {
        buffer += text.utf8
        if buffer.count >= 1 << 16 { try flush() }
    }

    /// - Throws: ``ClosedPipe`` when nobody reads any more, ``FileError`` when the data cannot be written.
    func flush() throws {
        let bytes = buffer
        buffer = []
        try writeAll(bytes, to: STDOUT_FILENO, name: "standard output")
    }
}

/// Messages for people.
enum StandardError {
    /// Nothing can be done when this fails, so nothing is.
    static func write(_ text: String) {
        try? writeAll(Array(text.utf8), to: STDERR_FILENO, name: "standard error")
    }
}

private func writeAll(_ bytes: [UInt8], to descriptor: Int32, name: String) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 {
            switch errno {
            case EINTR: continue
            case EPIPE: throw ClosedPipe()
            default: throw FileError(path: name, action: "write", systemCode: errno)
            }
        }
        rest = rest.dropFirst(count)
    }
}

/// Opens `/dev/null` for each standard stream that the process was started without, so that no file takes its number.
func openMissingStandardStreams() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
        // The lowest free number is the missing one's.
        _ = open("/dev/null", descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY)
    }
}

/// What a terminal shows, and whether in colour.
struct Terminal: Sendable {
    enum Color: String, CaseIterable, Sendable { case auto, always, never }

    enum Style: String {
        case error = "31;1"
        case warning = "33;1"
        case progress = "32"
    }

    /// Whether it is a terminal that understands cursor movements.
    let isInteractive: Bool
    private let isColored: Bool
    private let descriptor: Int32

    /// - Parameter descriptor: the stream to write to.
    init(_ descriptor: Int32, color: Color) {
        let isTerminal = isatty(descriptor) == 1
        let isDumb = environment("TERM").map { $0 == "dumb" } ?? true
        self.descriptor = descriptor
        isInteractive = isTerminal && !isDumb
        switch color {
        case .always: isColored = true
        case .never: isColored = false
        // https://no-color.org: set and not empty means no colour.
        case .auto: isColored = isInteractive && (environment("NO_COLOR") ?? "").isEmpty
        }
    }

    func styled(_ text: String, _ style: Style) -> String {
        isColored ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// The terminal's width in characters; 80 where it is not known.
    var width: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

private func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}
