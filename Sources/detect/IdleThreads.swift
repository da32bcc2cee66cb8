// How long idle threads of the network's pool spin. libgomp spins for milliseconds by default, which costs nothing on an idle
// machine and most of the speed on a busy one: with one other busy process on two cores the base model took 5.4 s by default
// and 3.4 to 3.7 s with a short spin, against 1.12 and 1.14 s alone. It reads the setting from the environment before `main`.

#if canImport(Glibc)
    import Glibc
#endif

enum IdleThreads {
    /// Rounds of the waiting loop, some tens of microseconds.
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
