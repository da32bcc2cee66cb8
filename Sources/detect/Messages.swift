// What a command says on standard error while it works: failures, warnings, notes, the progress bar and the last line. The
// error that ends a command early, and wrong calls, are said by Program.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Dispatch

/// Says things to people. Used by one thread at a time.
final class Messages {
    /// How much is said.
    enum Level: Int, Comparable, Sendable {
        case quiet, normal, verbose

        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    let level: Level
    private let terminal: Terminal
    private var bar: ProgressBar?

    init(level: Level, color: Terminal.Color) {
        self.level = level
        terminal = Terminal(STDERR_FILENO, color: color)
    }

    /// What went wrong with one input, or ended the run: said at every level.
    func error(_ text: String) { say(terminal.styled("error: ", .error) + text.printable) }

    func warning(_ text: String) {
        if level >= .normal { say(terminal.styled("warning: ", .warning) + text.printable) }
    }

    func note(_ text: String) {
        if level >= .normal { say(text.printable) }
    }

    func detail(_ text: String) {
        if level >= .verbose { say(text.printable) }
    }

    private func say(_ line: String) {
        hideBar()
        StandardError.write("detect: \(line)\n")
    }

    /// Shows a bar from now on, when anybody can see it.
    ///
    /// - Parameter earlier: how much was done before.
    func beginProgress(of total: Int, after earlier: Int = 0) {
        if terminal.isInteractive, level >= .normal, total > 1 { bar = ProgressBar(total: total, earlier: earlier) }
    }

    /// Moves the bar.
    func showProgress(_ done: Int) {
        guard let bar else { return }
        StandardError.write("\r\u{1B}[K" + terminal.styled(bar.line(done, width: terminal.width), .progress))
    }

    /// Clears the bar's line for something else: call before standard output is written to, too.
    func hideBar() {
        if bar != nil { StandardError.write("\r\u{1B}[K") }
    }

    func endProgress() {
        hideBar()
        bar = nil
    }
}

/// A bar of one line: how far, how fast, how long still.
struct ProgressBar {
    private let total: Int
    private let earlier: Int
    private let start = DispatchTime.now()

    /// - Parameter earlier: how much was done before, which says nothing of the rate.
    init(total: Int, earlier: Int = 0) {
        self.total = total
        self.earlier = earlier
    }

    /// At most `width - 1` characters.
    func line(_ done: Int, width: Int) -> String {
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9
        return Self.line(done, of: total, after: earlier, seconds: seconds, width: width)
    }

    static func line(_ done: Int, of total: Int, after earlier: Int = 0, seconds: Double, width: Int) -> String {
        var text = " \(done)/\(total) "
        if done > earlier, seconds > 0 {
            let rate = Double(done - earlier) / seconds
            text += rate >= 1 ? "\(decimal(rate, 1)) images/s" : "\(decimal(1 / rate, 1)) s/image"
            text += ", \(duration(Double(total - done) / rate)) left"
        }
        let room = min(30, width - 3 - text.count)
        guard room >= 5 else { return String(text.dropFirst().prefix(max(0, width - 1))) }
        let filled = room * done / max(1, total)
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled) + "]" + text
    }

    /// `0:07`, `12:30`, `1:02:03`.
    static func duration(_ seconds: Double) -> String {
        let whole = seconds < 1e9 ? Int(seconds.rounded(.up)) : 0
        let rest = String(whole % 60 + 100).dropFirst()
        let minutes = whole / 60
        return minutes < 60 ? "\(minutes):\(rest)" : "\(minutes / 60):\(String(minutes % 60 + 100).dropFirst()):\(rest)"
    }
}

/// A number with a fixed count of decimals; no locale is asked.
func decimal(_ value: Double, _ places: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = [1.0, 10, 100, 1000][min(max(places, 0), 3)]
    let scaled = Int((abs(value) * scale).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard places > 0 else { return "\(sign)\(scaled)" }
    let fraction = String(scaled % Int(scale) + Int(scale)).dropFirst()
    return "\(sign)\(scaled / Int(scale)).\(fraction)"
}

/// "1 image", "3 images".
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// `40,069,665`.
func grouped(_ number: Int) -> String {
    let digits = Array(String(number))
    return digits.indices.reduce(into: "") { text, index in
        if index > 0, (digits.count - index) % 3 == 0 { text += "," }
        text.append(digits[index])
    }
}
