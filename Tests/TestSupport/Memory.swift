#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// This process's resident memory in bytes; `getrusage` would count what a parent had before it started this program.
package struct Memory {
    /// Now; where the system doesn't say, the peak.
    package private(set) var current = 0
    /// The most that it ever was.
    package private(set) var peak = 0

    /// Asks the system; zeros where it doesn't say.
    package init() {
        #if os(Linux)
            guard let file = fopen("/proc/self/status", "r") else { return }
            defer { fclose(file) }
            var buffer = [CChar](repeating: 0, count: 256)
            while fgets(&buffer, Int32(buffer.count), file) != nil {
                let line = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                let words = line.split(whereSeparator: \.isWhitespace)
                guard words.count == 3, words[2] == "kB", let kibibytes = Int(words[1]) else { continue }
                if words[0] == "VmHWM:" { peak = kibibytes * 1024 }
                if words[0] == "VmRSS:" { current = kibibytes * 1024 }
            }
        #else
            var usage = rusage()
            guard getrusage(RUSAGE_SELF, &usage) == 0 else { return }
            (current, peak) = (usage.ru_maxrss, usage.ru_maxrss)
        #endif
    }
}
