// How long idle threads of the network's pool spin. libgomp spins for 300,000 rounds by default, which takes the processor from
// others while a thread waits for one that was interrupted. Base model on two cores, default against the short spin: 1.07 s
// both alone, 2.40 and 2.11 s beside one busy process, 3.68 and 3.04 s beside three. libgomp reads the setting from the
// environment before `main`, so the program starts itself once more.

#if canImport(Glibc)
    import Glibc
#endif

enum IdleThreads {
    /// Rounds of the waiting loop.
    private static let spinCount = "10000"

    /// Starts this program anew with a short spin, unless the user has chosen a way of waiting; returns if it cannot.
    static func restartWithShortSpin() {
        #if os(Linux)
            guard getenv("GOMP_SPINCOUNT") == nil, getenv("OMP_WAIT_POLICY") == nil else { return }
            // The link's target, not the link: the process keeps its name.
            var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            guard readlink("/proc/self/exe", &path, path.count - 1) > 0 else { return }
            guard setenv("GOMP_SPINCOUNT", spinCount, 1) == 0 else { return }
            execv(path, CommandLine.unsafeArgv)
        #endif
    }
}
