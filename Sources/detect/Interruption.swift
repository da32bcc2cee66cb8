// Ctrl-C and its relatives. While nothing is at stake the process ends at once; while results are being written the run is
// asked to stop after the image in flight, so that every file and the JSON array are whole. A second Ctrl-C always ends it.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Synchronization

/// Whether the user wants the run to end.
enum Interruption {
    /// The signal that asked for the end; 0 for none yet.
    private static let received = Atomic<Int32>(0)
    private static let isGuarding = Atomic<Bool>(false)

    /// Installs the handlers. A closed pipe becomes an error of `write` instead of a signal.
    static func install() {
        signal(SIGPIPE, SIG_IGN)
        // Touched here first, so that the handler finds both ready.
        received.store(0, ordering: .relaxed)
        isGuarding.store(false, ordering: .relaxed)
        var ours = sigset_t()
        sigemptyset(&ours)
        for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) {
            signal(number, handler)
            sigaddset(&ours, number)
        }
        // A program that starts us from a thread of libdispatch leaves them blocked.
        sigprocmask(SIG_UNBLOCK, &ours, nil)
    }

    /// Whoever started us may want a signal to be ignored, as `nohup` does.
    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        #if os(Linux)
            let current = action.__sigaction_handler.sa_handler
        #else
            let current = action.__sigaction_u.__sa_handler
        #endif
        // SIG_IGN is the address 1; functions have no other comparison.
        return unsafeBitCast(current, to: Int.self) == 1
    }

    private static let handler: @convention(c) (Int32) -> Void = { number in
        let isFirst = received.exchange(number, ordering: .relaxed) == 0
        if !isFirst || !isGuarding.load(ordering: .relaxed) { _exit(128 + number) }
    }

    /// Runs `body` to its end even when a signal comes; `body` asks ``isRequested`` where it may stop.
    static func guarded<Result>(_ body: () throws -> Result) rethrows -> Result {
        isGuarding.store(true, ordering: .relaxed)
        defer { isGuarding.store(false, ordering: .relaxed) }
        return try body()
    }

    static var isRequested: Bool { received.load(ordering: .relaxed) != 0 }

    /// The exit status of an interrupted run: 130 for Ctrl-C.
    static var exitStatus: Int32 { 128 + received.load(ordering: .relaxed) }
}
