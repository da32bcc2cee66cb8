// A bounded queue between the threads of two stages: the stage before a slow one waits instead of filling the memory.

import Dispatch
import Synchronization

/// Hands elements from any number of threads to any number of others, first come, first served, holding no more than a budget of
/// bytes between them.
final class Channel<Element: Sendable>: Sendable {
    private struct State {
        var waiting: [(element: Element, cost: Int)] = []
        var cost = 0
        var isFinished = false
        var isCancelled = false
    }

    private let state = Mutex(State())
    /// Signalled when something was added or will never be.
    private let filled = DispatchSemaphore(value: 0)
    /// Signalled when something was taken or will never be.
    private let emptied = DispatchSemaphore(value: 0)
    private let maximumCount: Int
    private let maximumCost: Int

    /// - Parameters:
    ///   - maximumCount: at most this many elements wait.
    ///   - maximumCost: at most this many bytes wait, or a single larger element.
    init(maximumCount: Int, maximumCost: Int) {
        self.maximumCount = maximumCount
        self.maximumCost = maximumCost
    }

    /// Adds an element, waiting for room.
    ///
    /// - Returns: false when the receiver wants no more; the element is dropped.
    func send(_ element: Element, cost: Int = 0) -> Bool {
        while true {
            let isAdded = state.withLock { state -> Bool? in
                if state.isCancelled { return false }
                let isFull =
                    state.waiting.count >= maximumCount || (!state.waiting.isEmpty && state.cost + cost > maximumCost)
                if isFull { return nil }
                state.waiting.append((element, cost))
                state.cost += cost
                return true
            }
            if let isAdded {
                // What ends one sender's wait for good ends all others'.
                (isAdded ? filled : emptied).signal()
                return isAdded
            }
            emptied.wait()
        }
    }

    /// The next element, waiting for it; nil when there will be none.
    func receive() -> Element? {
        while true {
            let (element, isOver) = state.withLock { state -> (Element?, Bool) in
                if state.isCancelled { return (nil, true) }
                guard !state.waiting.isEmpty else { return (nil, state.isFinished) }
                let (element, cost) = state.waiting.removeFirst()
                state.cost -= cost
                return (element, false)
            }
            if let element {
                emptied.signal()
                return element
            }
            if isOver {
                filled.signal()
                return nil
            }
            filled.wait()
        }
    }

    /// The senders have no more elements; those waiting are still received.
    func finish() {
        state.withLock { $0.isFinished = true }
        filled.signal()
    }

    /// Nobody wants the rest: drops what waits and wakes everybody.
    func cancel() {
        state.withLock { state in
            state.isCancelled = true
            state.waiting = []
        }
        filled.signal()
        emptied.signal()
    }
}

/// Work on a thread of its own.
struct BackgroundTask {
    private let done = DispatchSemaphore(value: 0)

    /// Starts `body`, which stays on one thread until it returns.
    init(_ label: String, _ body: @escaping @Sendable () -> Void) {
        let done = done
        DispatchQueue(label: label).async {
            body()
            done.signal()
        }
    }

    /// Waits until the work has ended.
    func wait() { done.wait() }
}
